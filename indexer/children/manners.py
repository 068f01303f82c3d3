"""Whether work that nobody waits for is welcome now: not on battery, and not while memory is short.

The processor needs no rule: what works in the background is niced, so that the system itself gives way to others.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

MEMORY_PRESSURE = Path("/proc/pressure/memory")
"""Linux since 4.20: how much of the last ten seconds everybody waited for memory."""

_MOST_WAITING_PERCENT = 10.0
"""Above this the machine swaps; half a gigabyte of an embedder makes it worse for all."""

_LAST_SECONDS = re.compile(r"full avg10=([0-9.]+) ")

_LOOK_AGAIN_S = 30.0


def why_wait() -> str:
    """Why background work should wait, else empty. Reads some files of the system."""
    if on_battery():
        return "on battery"
    if _memory_is_short():
        return "memory is short"
    return ""


def on_battery() -> bool:
    """False where that cannot be known."""
    ask: Callable[[], object] | None = getattr(psutil, "sensors_battery", None)
    try:
        battery = ask() if ask is not None else None
    except OSError:  # a system that has no place for batteries, as in a container
        return False
    return getattr(battery, "power_plugged", None) is False


def _memory_is_short() -> bool:
    try:
        lines = MEMORY_PRESSURE.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    found = [_LAST_SECONDS.match(line) for line in lines]
    return any(match is not None and float(match[1]) > _MOST_WAITING_PERCENT for match in found)


class Manners:
    """What background work of one service asks before each piece."""

    def __init__(self, why: Callable[[], str] = why_wait, look_again_s: float = _LOOK_AGAIN_S) -> None:
        self._why = why
        self._look_again_s = look_again_s
        self._urgent = 0
        self._asked = asyncio.Event()
        self.waiting = ""
        """Why the work waits, while it does."""

    @contextmanager
    def urgent(self) -> Generator[None]:
        """While somebody waits for the result, the work goes on whatever it costs."""
        self._urgent += 1
        self._asked.set()
        try:
            yield
        finally:
            self._urgent -= 1
            if not self._urgent:
                self._asked.clear()

    async def welcome(self) -> None:
        """Until the next piece of work may be done."""
        while not self._urgent:
            self.waiting = await asyncio.to_thread(self._why)
            if not self.waiting:
                return
            try:
                async with asyncio.timeout(self._look_again_s):
                    await self._asked.wait()
            except TimeoutError:
                continue
        self.waiting = ""
