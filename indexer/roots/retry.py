"""Tries again what failed through no fault of its own: a full disk, a download, a child that was out of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FIRST_S = 30.0
"""As for a pass that failed; a save tries again at once."""

LONGEST_S = 600.0
"""Each time twice as long, but no longer: a model that ends for lack of memory costs seconds each time."""


class Retry:
    """Of one piece of work; belongs to an event loop."""

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._delay_s = FIRST_S
        self._timer: asyncio.TimerHandle | None = None

    def later(self) -> None:
        """It failed."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._again)
        self._delay_s = min(2 * self._delay_s, LONGEST_S)

    def cancel(self) -> None:
        """It is being tried, or nobody wants it any longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def succeeded(self) -> None:
        self.cancel()
        self._delay_s = FIRST_S
