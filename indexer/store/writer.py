"""Writes the store in batches, some moments after memory has learnt of something."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from indexer.store.contents import STORE_ERRORS, explain

_log = logging.getLogger(__name__)

WAIT_S = 1.0
"""From the first thing that waits to the write: what a crash may cost in reading anew, and enough for a burst of
saves to become one batch."""

FULL_BATCH = 500
"""Contents that are not kept waiting: a batch of 500 takes 0.1 s, one by one they would take seconds and leave
thousands of small files."""

_RETRY_S = 10.0
"""After a write that failed: a full disk is not full for ever, and nothing is lost meanwhile."""


class Writer:
    """A thread that calls `write` (never twice at once) for what `waiting` counts, and sleeps while there is nothing.
    It outlives whatever that raises: nobody else would write what waits."""

    def __init__(self, write: Callable[[], None], waiting: Callable[[], int]) -> None:
        self._write = write
        self._waiting = waiting
        self._changed = threading.Condition()
        self._due_s: float | None = None
        self._closed = False
        self.on_success: Callable[[], None] = lambda: None
        """Called on the thread after each write of its own."""
        self.on_failure: Callable[[Exception], object] = lambda failed: None
        """The same with what a write of its own, or `on_success` after it, has raised."""
        self.failure: Exception | None = None
        """Why the last write failed; None once one has succeeded."""
        self._thread = threading.Thread(target=self._run, name="store writer", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something waits now."""
        with self._changed:
            full = self._waiting() >= FULL_BATCH and self.failure is None
            if full or self._due_s is None:
                self._due_s = time.monotonic() + (0.0 if full else WAIT_S)
                self._changed.notify()

    def flush(self) -> None:
        """Writes what waits, on this thread. Raises what `write` raises."""
        try:
            self._write()
        except Exception as failed:
            self._failed(failed)
            raise
        self._succeeded()

    def close(self) -> None:
        """Ends the thread; what waits is not written."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._sleep():
            try:
                self._write()
            except Exception as failed:  # noqa: BLE001  recorded, said, and tried again
                self._failed(failed)
                self._tell("what was read is not on disk yet", failed)
                continue
            self._succeeded()
            try:
                self.on_success()
            except Exception as failed:  # noqa: BLE001  said; it comes again after the next write
                self._tell("the store is not tidied this time", failed)

    def _tell(self, what: str, failed: Exception) -> None:
        expected = isinstance(failed, STORE_ERRORS)
        _log.warning("%s: %s", what, explain(failed), exc_info=None if expected else failed)
        try:
            self.on_failure(failed)
        except Exception as unheard:  # noqa: BLE001  it was recorded and said; whoever would hear more has left
            _log.warning("nobody could be told that the store failed: %s", unheard)

    def _sleep(self) -> bool:
        """Until a write is due (True) or this is closed."""
        with self._changed:
            while not self._closed:
                left_s = None if self._due_s is None else self._due_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    self._due_s = None
                    return True
                self._changed.wait(left_s)
            return False

    def _failed(self, failed: Exception) -> None:
        with self._changed:
            self.failure = failed
            self._due_s = time.monotonic() + _RETRY_S
            self._changed.notify()

    def _succeeded(self) -> None:
        self.failure = None
