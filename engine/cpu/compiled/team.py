"""The threads that compute, as Python sees them: a caller, and helpers that sleep where nothing is to be done."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import weakref
from functools import cache
from typing import Any

import numpy as np

from engine.cpu.compiled import team_kernels as words
from engine.cpu.compiled.team_kernels import HELP_OUT, RUN
from engine.cpu.compiled.vectors import LINE

Array = np.ndarray[Any, Any]

SEMAPHORE_BYTES = 2 * LINE
"""More than any C library takes for a `sem_t` (32 in glibc and musl), and lines of its own."""
NS = 1e-9

_run: Any = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(RUN)  # lets go of Python's lock meanwhile
_help_out: Any = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(HELP_OUT)


class Team:
    """Does operations with up to so many threads, for one caller at a time."""

    def __init__(self, threads: int) -> None:
        self.threads = threads if sys.platform == "linux" else 1  # elsewhere no semaphores lie in memory
        helpers = self.threads - 1
        self._words = aligned(8 * (words.FIRST_HELPER + helpers * words.HELPER_WORDS), fill=0).view(np.int64)
        self._address: int = self._words.ctypes.data
        semaphores = aligned(helpers * SEMAPHORE_BYTES, fill=0)
        memory = (self._words, semaphores)
        for helper in range(1, self.threads):
            address = semaphores.ctypes.data + (helper - 1) * SEMAPHORE_BYTES
            if ctypes.CDLL(None).sem_init(ctypes.c_void_p(address), 0, 0) != 0:
                raise OSError("This C library makes no semaphores. Start the engine with FOREWORD_THREADS=1.")
            first = words.FIRST_HELPER + (helper - 1) * words.HELPER_WORDS
            self._words[first + words.SEMAPHORE] = address
            threading.Thread(target=_helper, args=(helper, memory), daemon=True).start()
        if helpers:
            weakref.finalize(self, _stop, memory)

    def run(self, operations: Array, rows: int, threads: int) -> None:
        """Do operations, int64 [count, OPERATION_WORDS], one after the other over so many rows each.

        What their addresses point to must be kept alive by the caller.
        """
        self._words[words.HELPERS] = min(threads, self.threads) - 1
        _run(self._address, operations.ctypes.data, len(operations), rows)

    def ran_s(self) -> float:
        """For how long the calling thread has worked, without what it ran while helpers had no core to end on."""
        return time.thread_time() - NS * int(self._words[words.WAITED_NS])

    def tasks(self) -> tuple[int, int]:
        """How many were shared out so far, and how many of them helpers did."""
        return int(self._words[words.ALL_TASKS]), int(self._words[words.HELPED_TASKS])


@cache
def team_of(threads: int) -> Team:
    """One for all callers of this process, who must not call at the same time."""
    return Team(threads)


def operation(
    function: int,
    context: Array,
    units: int = 1,
    *,
    cost_ps: int,
    least_units: int = 1,
    least_rows: int = 1,
    free_rows: int = 1,
) -> list[int]:
    """A row of `Team.run`'s table: `function` over rows and `units`, whose `context` is to be kept alive.

    One unit of one row costs `cost_ps` picoseconds, and as many rows as `free_rows` cost together what one costs.
    """
    made = [0] * words.OPERATION_WORDS
    made[words.OPERATION], made[words.OF], made[words.OPERATION_UNITS] = (
        function,
        context.ctypes.data,
        units,
    )
    made[words.LEAST_UNITS], made[words.LEAST_ROWS] = least_units, least_rows
    made[words.COST], made[words.FREE_ROWS] = cost_ps, free_rows
    return made


def aligned(size: int, fill: int | None = None) -> Array:
    """uint8 [size] at the start of a cache line."""
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    memory = memory[start : start + size]
    if fill is not None:
        memory.fill(fill)
    return memory


def _helper(helper: int, memory: tuple[Array, Array]) -> None:
    """A helping thread's life: in machine code, without Python's lock. Keeps the memory alive that it works on."""
    _help_out(memory[0].ctypes.data, helper)


def _stop(memory: tuple[Array, Array]) -> None:
    team, semaphores = memory
    team[words.STOP] = 1
    for at in range(len(semaphores) // SEMAPHORE_BYTES):
        ctypes.CDLL(None).sem_post(ctypes.c_void_p(semaphores.ctypes.data + at * SEMAPHORE_BYTES))
