"""The files of a plan as they are worked on, and who is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from engine.editing.blocks import Event
from engine.editing.plan import Planned

State = Literal["waiting", "writing", "done", "unchanged", "failed", "left out"]
"""`unchanged`: the model found nothing to change in it. `left out`: not done because another file failed."""


class Step(msgspec.Struct, frozen=True):
    """One line of a plan."""

    planned: Planned
    state: State = "waiting"
    reason: str = ""
    """Why it failed or was left out."""

    @property
    def is_missing(self) -> bool:
        return self.state in ("failed", "left out")

    @property
    def told(self) -> str:
        """For a person."""
        return f"{self.planned.path}: {self.reason}"


class Watch(Protocol):
    """Whoever is shown an edit of several files while it is made."""

    def planning(self, text: str) -> None:
        """The plan is being written; `text` is all of it so far."""
        ...

    def planned(self, steps: Sequence[Step]) -> None:
        """The plan, and again whenever a step of it has gone on."""
        ...

    def event(self, at: int, event: Event) -> None:
        """Of the blocks of step `at`."""
        ...


class Unwatched:
    """See Watch: nobody looks."""

    def planning(self, text: str) -> None:
        pass

    def planned(self, steps: Sequence[Step]) -> None:
        pass

    def event(self, at: int, event: Event) -> None:
        pass
