"""How fast something goes, and how long it will take."""

from __future__ import annotations

import time
from collections import deque

_LOOK_BACK_S = 5.0
"""The rate is that of the last seconds: files differ, and a machine gets busy."""

_LEAST_S = 0.2
"""Of experience before anything is said."""


class Pace:
    """Of one piece of work with stages, each of which counts from 0 to its total."""

    def __init__(self) -> None:
        self._stage = ""
        self._seen: deque[tuple[float, int]] = deque()
        self.rate = 0.0
        """Per second; 0 while nobody can tell."""
        self.seconds_left = 0.0
        """The same."""

    def note(self, stage: str, done: int, total: int) -> None:
        """So much is done now."""
        now = time.monotonic()
        if stage != self._stage or (self._seen and done < self._seen[-1][1]):
            self._stage = stage
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] > _LOOK_BACK_S:
            self._seen.popleft()
        first_s, first_done = self._seen[0]
        elapsed = now - first_s
        known = elapsed >= _LEAST_S and done > first_done
        self.rate = (done - first_done) / elapsed if known else 0.0
        self.seconds_left = (total - done) / self.rate if known else 0.0
