"""What has come of an edit: clients answer that it was applied even where the user declined it, or a part of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from lsp.edits.applying import FileChange

State = Literal["applied", "declined", "otherwise"]
"""`otherwise`: neither what was meant nor what was there before."""


class Compared(msgspec.Struct, frozen=True):
    state: Literal["applied", "declined", "partly"]
    files: tuple[tuple[str, State], ...]
    """By the path before the edit."""

    @property
    def told(self) -> str:
        """For a person; empty where all is as it was meant."""
        if self.state == "applied":
            return ""
        if self.state == "declined":
            return "the edit was declined: nothing was changed"
        words = {"declined": "not changed", "otherwise": "not as it was meant"}
        return "applied in part: " + ", ".join(
            f"{path} {words[state]}" for path, state in self.files if state != "applied"
        )


def compared(changes: Sequence[FileChange], now: Callable[[str], str | None]) -> Compared:
    """`now` gives the text that a path has, in an editor or else on disk; None where there is no such file."""
    files: tuple[tuple[str, State], ...] = tuple((change.path, _state(change, now)) for change in changes)
    states = {state for _, state in files}
    whole: Literal["applied", "declined", "partly"] = "partly"
    if states <= {"applied"}:
        whole = "applied"
    elif states == {"declined"}:
        whole = "declined"
    return Compared(whole, files)


def _state(change: FileChange, now: Callable[[str], str | None]) -> State:
    here, there = now(change.path), now(change.new_path)
    before = change.before.text if change.before is not None else None
    moved = change.path != change.new_path
    if same_text(there, change.after) and not (moved and here is not None):
        return "applied"
    if same_text(here, before) and not (moved and there is not None):
        return "declined"
    return "otherwise"


def same_text(one: str | None, other: str | None) -> bool:
    """But for line ends: an editor may have its own for the whole of a file."""
    if one is None or other is None:
        return one is other
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
