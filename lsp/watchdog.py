"""How long the event loop did not come round, and what it was at meanwhile; only where somebody measures that."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Mapping

import msgspec

BEAT_S = 0.002
"""Between two rounds that are looked for; what is later than this was blocked."""

SUSPECT_S = 0.015
"""So long without a round, and the loop's stack is taken: who blocks it for longer is caught at it."""

STACK_FRAMES = 30
"""The innermost ones say who it was; behind an import stand a dozen of the interpreter's own."""


class Blocked(msgspec.Struct, frozen=True):
    """One time during which the loop did not come round."""

    seconds: float = 0.0
    """Without the time in which its thread could have run and other processes had all processors, where the system
    tells (Linux)."""
    late_s: float = 0.0
    """With that time."""
    cpu_s: float = 0.0
    """Of them, what the loop's own thread computed: the rest of the time others had the processor, or the
    interpreter's lock."""
    collected_s: float = 0.0
    """Of them, what the garbage collector took, in whichever thread."""
    stack: tuple[str, ...] = ()
    """What the loop's thread was at, the innermost last; empty where nobody looked in time."""


class Watchdog:
    """Of the running loop, from `start` to `stop`; `worst` since the last `reset`."""

    def __init__(self) -> None:
        self.worst = Blocked()
        self.latest_s = 0.0
        """The longest `late_s`."""
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._last = self._last_cpu = self._last_queued = 0.0
        self._queue = _scheduler_file()
        self._collected = self._collecting_since = 0.0
        self._stack: tuple[str, ...] = ()
        self._next: asyncio.TimerHandle | None = None
        self._ended = threading.Event()

    def start(self) -> None:
        gc.callbacks.append(self._on_collection)
        self._last, self._last_cpu, self._last_queued = time.monotonic(), time.thread_time(), self._queued_s()
        self._next = self._loop.call_later(BEAT_S, self._beat)
        threading.Thread(target=self._look, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()
        if self._queue is not None:
            os.close(self._queue)
            self._queue = None
        if self._next is not None:
            self._next.cancel()
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)

    def reset(self) -> None:
        self.worst, self.latest_s = Blocked(), 0.0

    def _beat(self) -> None:
        now, cpu, queued = time.monotonic(), time.thread_time(), self._queued_s()
        late_s, cpu_s = max(0.0, now - self._last - BEAT_S), cpu - self._last_cpu
        blocked_s = max(0.0, late_s - (queued - self._last_queued))
        self.latest_s = max(self.latest_s, late_s)
        if blocked_s > self.worst.seconds:
            self.worst = Blocked(blocked_s, late_s, cpu_s, self._collected, self._stack)
        self._collected, self._stack = 0.0, ()
        self._last, self._last_cpu, self._last_queued = now, cpu, queued
        self._next = self._loop.call_later(BEAT_S, self._beat)

    def _queued_s(self) -> float:
        """So long the loop's thread has waited for a processor, as of now."""
        return 0.0 if self._queue is None else int(os.pread(self._queue, 100, 0).split()[1]) * 1e-9

    def _on_collection(self, phase: str, info: Mapping[str, int]) -> None:
        now = time.monotonic()
        if phase == "start":
            self._collecting_since = now
        else:
            self._collected += now - self._collecting_since

    def _look(self) -> None:
        """In a thread of its own."""
        while not self._ended.wait(SUSPECT_S / 3):
            if time.monotonic() - self._last > SUSPECT_S and not self._stack:
                self._stack = _stack_of(self._thread_id)


def _stack_of(thread_id: int) -> tuple[str, ...]:
    """What that thread is at, the innermost last. It must not go on meanwhile: CPython 3.11 crashes where a frame
    returns while somebody asks what is behind it."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1.0)
    try:
        time.sleep(2 * interval)  # whoever waits for the interpreter from now on waits for so long
        frame = sys._current_frames().get(thread_id)  # pyright: ignore[reportPrivateUsage]  # the only way
        found: list[str] = []
        while frame is not None and len(found) < STACK_FRAMES:
            found.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            frame = frame.f_back
    finally:
        sys.setswitchinterval(interval)
    return tuple(reversed(found))


def _scheduler_file() -> int | None:
    """What Linux tells of the calling thread: time on a processor, and time in the queue for one."""
    try:
        return os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
    except OSError:
        return None
