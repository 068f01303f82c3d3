"""What a measurement wants to know of a running server: what it waited for, what it asked the engine, what blocked its
loop. Kept only while somebody measures (`FOREWORD_DEBUG=1`)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lsp.watchdog import Watchdog
from lsp.wire import on_wire

if TYPE_CHECKING:
    from engine.endpoints.endpoint import Chunk

Kind = Literal["pack", "engine", "pause"]
"""The index service was asked for a pack; the engine for its next tokens; a pause in typing was waited for."""

MOST_KEPT = 20_000
"""Of each kind: some minutes of typing between two looks."""


class Wait(msgspec.Struct, frozen=True):
    """From `start` to `end` by the machine's monotonic clock, which other processes read too."""

    kind: Kind
    start: float
    end: float


class Asked(msgspec.Struct):
    """One request at the engine."""

    start: float
    ahead: bool
    """Nobody waited for it when it was asked."""
    tokens: int = 0
    """Written until it ended or was ended, as far as they arrived here."""


class Measured:
    """Of one server."""

    def __init__(self) -> None:
        self.waits: deque[Wait] = deque(maxlen=MOST_KEPT)
        self.asked: deque[Asked] = deque(maxlen=MOST_KEPT)
        self.watchdog = Watchdog()
        self.watchdog.start()

    def take(self) -> dict[str, Any]:
        """All since the last time, by names of the protocol."""
        told = {
            "waits": on_wire(list(self.waits)),
            "asked": on_wire(list(self.asked)),
            "blocked": on_wire(self.watchdog.worst),
            "latestS": self.watchdog.latest_s,
        }
        self.waits.clear()
        self.asked.clear()
        self.watchdog.reset()
        return told


_measured: Measured | None = None


def begin() -> Measured:
    """From now on everything is kept; needs a running event loop."""
    global _measured
    if _measured is not None:
        _measured.watchdog.stop()
    _measured = Measured()
    return _measured


@contextmanager
def waiting(kind: Kind) -> Generator[None]:
    """Notes how long its body takes."""
    if _measured is None:
        yield
        return
    start = time.monotonic()
    try:
        yield
    finally:
        _measured.waits.append(Wait(kind, start, time.monotonic()))


def noted(chunks: AsyncGenerator[Chunk, None], *, ahead: bool) -> AsyncGenerator[Chunk, None]:
    """The same chunks."""
    return chunks if _measured is None else _noted(_measured, chunks, Asked(time.monotonic(), ahead))


async def _noted(
    measured: Measured, chunks: AsyncGenerator[Chunk, None], asked: Asked
) -> AsyncGenerator[Chunk, None]:
    measured.asked.append(asked)
    async with aclosing(chunks):
        while True:
            with waiting("engine"):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            asked.tokens = chunk.completion_tokens
            yield chunk
