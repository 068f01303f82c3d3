"""Holds Python's collector back while somebody waits for an answer, in the index service and in the server.

To go through everything that an index of a few thousand files keeps takes a tenth of a second to a quarter, in which no
thread does anything else, and to go through all that a server has imported a tenth. It is done in a pause, and nothing
wakes up where nothing is asked."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

PAUSE_S = 2.0
"""Without a question: longer than between two keys of somebody who types, shorter than a thought."""

OFTEN_S = 60.0
"""It is not done in every pause: most of what is there lives as long as the service."""

_NEVER = 1 << 30
"""Collections of the younger generation before one of all."""

MOST_WAITING = 1_000
"""Collections of the younger generation after which all are gone through whoever waits: some 7 million objects more
than before."""


class Collecting:
    """Of this process; belongs to one event loop."""

    def __init__(
        self, pause_s: float = PAUSE_S, often_s: float = OFTEN_S, *, sets_modules_aside: bool = False
    ) -> None:
        """`sets_modules_aside`: what is there in a pause after something was imported is never gone through again; for
        processes that keep little beside their modules, since whatever is dropped of it later in a circle stays."""
        self._pause_s = pause_s
        self._often_s = often_s
        self._sets_modules_aside = sets_modules_aside
        self._modules = 0
        """That were there when they were set aside last."""
        self._usual = gc.get_threshold()
        self._questions = 0
        self._collected_s = time.monotonic()
        self._pause: asyncio.TimerHandle | None = None

    @contextmanager
    def held_back(self) -> Generator[None]:
        """While this lasts, and until a pause comes, only what is young is gone through, which takes a millisecond."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._questions += 1
        gc.set_threshold(*self._usual[:2], _NEVER)
        try:
            yield
        finally:
            self._questions -= 1
            if gc.get_count()[2] > MOST_WAITING:
                self._collect()
            if not self._questions:
                self._pause = asyncio.get_running_loop().call_later(self._pause_s, self._rest)

    def close(self) -> None:
        """The pause that is waited for does not come any more."""
        if self._pause is not None:
            self._pause.cancel()
        gc.set_threshold(*self._usual)

    def _rest(self) -> None:
        gc.set_threshold(*self._usual)
        if self._sets_modules_aside and len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            gc.freeze()
            return
        due = time.monotonic() - self._collected_s >= self._often_s
        if due and gc.get_count()[2] > self._usual[2]:
            self._collect()

    def _collect(self) -> None:
        gc.collect()
        self._collected_s = time.monotonic()
