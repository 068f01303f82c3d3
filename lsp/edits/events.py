"""What people see of an edit while it is written: a bar that names file and block, and for editors of ours a
notification for each step of a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from engine.editing.blocks import Begun, Event, Finished, Growing, Malformed

EDIT = "foreword/edit"
LINES_A_STEP = 5
"""A block is told to have grown every so many lines: more often nobody can read it."""

State = Literal["begun", "growing", "finished", "malformed"]


class BlockNote(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One step of one block (`foreword/edit`)."""

    edit: str
    """The id of the edit, as the command was given it or its answer tells it."""
    block: int
    """Its number within the answer, from 0."""
    state: State
    kind: str = ""
    path: str = ""
    step: int = 0
    """Of an edit that was planned: at which file of the plan it is, from 1."""
    lines: int = 0
    """That have arrived so far."""
    content: dict[str, Any] | None = None
    """Of a finished block: its fields, with `type` `replace`, `create`, `delete` or `rename`."""
    reason: str = ""
    """Why a malformed one cannot be used."""


class Teller:
    """Of one edit."""

    def __init__(
        self, edit: str, report: Callable[[str], None], notify: Callable[[BlockNote], None] | None
    ) -> None:
        """`notify` is None where the client does not want it."""
        self._edit = edit
        self._report = report
        self._notify = notify
        self._kind, self._path = "", ""
        self._told_lines = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Begun():
                self._kind, self._path, self._told_lines = event.kind, event.path, 0
                self._report(f"{event.kind} {event.path}")
                self._tell(
                    BlockNote(
                        edit=self._edit, block=event.number, state="begun", kind=event.kind, path=event.path
                    )
                )
            case Growing():
                self._report(f"{self._kind} {self._path}, {event.lines} lines")
                if event.lines - self._told_lines >= LINES_A_STEP:
                    self._told_lines = event.lines
                    self._tell(
                        BlockNote(
                            edit=self._edit,
                            block=event.number,
                            state="growing",
                            path=self._path,
                            lines=event.lines,
                        )
                    )
            case Finished():
                content = msgspec.to_builtins(event.block)
                note = BlockNote(
                    edit=self._edit,
                    block=event.number,
                    state="finished",
                    path=event.block.path,
                    content=content,
                )
                self._tell(note)
            case Malformed():
                self._tell(
                    BlockNote(
                        edit=self._edit,
                        block=event.number,
                        state="malformed",
                        path=event.path,
                        reason=event.reason,
                    )
                )

    def _tell(self, note: BlockNote) -> None:
        if self._notify is not None:
            self._notify(note)


class Numbered:
    """Of an edit whose blocks are written in several conversations: they are numbered through all of them, and each
    tells the file of the plan that it is for."""

    def __init__(
        self,
        edit: str,
        report: Callable[[int, str], None],
        notify: Callable[[BlockNote], None] | None,
    ) -> None:
        """`report` is given the number of the file, from 0."""
        self._edit, self._report, self._notify = edit, report, notify
        self._teller: Teller | None = None
        self._at = -1
        self._first = self._next = 0

    def __call__(self, at: int, event: Event) -> None:
        if self._teller is None or at != self._at:
            self._at, self._first = at, self._next
            self._teller = Teller(self._edit, lambda text: self._report(at, text), self._tell)
        self._teller(event)

    def _tell(self, note: BlockNote) -> None:
        block = self._first + note.block
        self._next = max(self._next, block + 1)
        if self._notify is not None:
            self._notify(msgspec.structs.replace(note, block=block, step=self._at + 1))
