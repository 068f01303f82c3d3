"""What a target of the benchmark is, and what every one of them shares."""

from __future__ import annotations

import contextlib
from typing import Protocol

import msgspec
import psutil

from benchmarks.engine.rows import Row


class Reading(msgspec.Struct, frozen=True):
    """One prompt read and possibly continued."""

    ttft_s: float
    seconds_per_token: float | None
    """After the first token; None where one alone was asked for."""
    cached_tokens: int


class Target(Protocol):
    """Something that reads token ids and goes on greedily."""

    @property
    def name(self) -> str: ...

    def settings(self, row: str) -> str:
        """With what it runs this row, for the `against` of a figure."""
        ...

    async def prepare(self, row: Row) -> None:
        """Have the row's base cached, and be ready to run it."""
        ...

    async def run(self, row: Row, ids: list[int]) -> Reading: ...

    async def perplexity(self, windows: list[list[int]]) -> dict[str, float]:
        """By setting; empty where it does not tell."""
        ...

    def memory(self) -> dict[str, tuple[float, float]]:
        """(resident, proportional) megabytes by setting; what its processes share counts once in the second."""
        ...

    async def close(self) -> None: ...


def megabytes(pid: int) -> tuple[float, float]:
    """(resident, proportional) memory of a process and all below it; zero where it is gone."""
    resident = proportional = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                memory = each.memory_full_info()
                resident += memory.rss / 1e6
                proportional += getattr(memory, "pss", memory.rss) / 1e6
    return resident, proportional
