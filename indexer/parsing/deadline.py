"""A limit of the processor's time: what is found within it does not hang on how busy the machine is."""

from __future__ import annotations

import time


class Deadline:
    """Of the thread that made it, which alone may ask."""

    def __init__(self, limit_s: float) -> None:
        self._clock_s = time.monotonic() + limit_s
        self._thread_s = time.thread_time() + limit_s

    def passed(self) -> bool:
        """Whether the thread has had more than that; before the clock says so it cannot, and asking the clock
        costs a tenth."""
        return time.monotonic() > self._clock_s and time.thread_time() > self._thread_s
