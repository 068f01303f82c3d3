"""How far the work on a root has come, for everybody who wants to know."""

from __future__ import annotations

from indexer.roots.indexing import Report, Stage
from indexer.roots.pace import Pace


class Progress:
    """Written by the root's tasks, on the event loop."""

    def __init__(self) -> None:
        self.listeners: set[Report] = set()
        self.files = (0, 0)
        """(done, total) of the last pass."""
        self.files_read = 0
        """Since the root was opened."""
        self.seconds = 0.0
        """Of the last whole pass."""
        self._stage: Stage | None = None
        self._pace = Pace()

    def report(self, stage: Stage, done: int, total: int) -> None:
        if stage == "parsing":
            self.files = (done, total)
        resting = stage in ("embedding", "counting") and done >= total
        self._stage = None if resting else stage
        self._pace.note(stage, done, total)
        for listener in list(self.listeners):
            listener(stage, done, total)

    def rest(self) -> None:
        """Nothing is under way."""
        self._stage = None

    @property
    def stage(self) -> str:
        """What is under way, empty when nothing is."""
        return self._stage or ""

    @property
    def rate(self) -> float:
        """Per second; 0 while nobody can tell."""
        return round(self._pace.rate, 1) if self._stage else 0.0

    @property
    def seconds_left(self) -> float:
        """The same."""
        return round(self._pace.seconds_left, 1) if self._stage else 0.0
