"""SGLang's prefix cache in a process of its own, to be asked what it would find of a prompt."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from benchmarks.targets import TargetError, end

CHILD = Path(__file__).with_name("prefix_cache_child.py")
START_TIMEOUT_S = 120.0
"""SGLang is imported within, which takes some seconds on a quiet machine."""
ANSWER_TIMEOUT_S = 30.0
"""One of 32K tokens takes milliseconds."""

_COUNT = struct.Struct(">I")


class PrefixCache:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._given, self._answers = process.stdin, process.stdout

    async def found(self, ids: Sequence[int]) -> int:
        """How many of the prompt's tokens are known; from now on all are. Raises TargetError."""
        self._given.write(_COUNT.pack(len(ids)) + struct.pack(f">{len(ids)}i", *ids))
        await self._given.drain()
        return await self.answer(ANSWER_TIMEOUT_S)

    async def answer(self, timeout_s: float) -> int:
        try:
            async with asyncio.timeout(timeout_s):
                (number,) = _COUNT.unpack(await self._answers.readexactly(_COUNT.size))
        except (asyncio.IncompleteReadError, TimeoutError) as failed:
            raise TargetError(f"SGLang's prefix cache gave no answer: {failed!r}") from failed
        return number


@contextlib.asynccontextmanager
async def prefix_cache(pool_tokens: int) -> AsyncGenerator[PrefixCache]:
    """An empty one with room for so many tokens. Raises TargetError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        str(CHILD),
        str(pool_tokens),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        cache = PrefixCache(process)
        await cache.answer(START_TIMEOUT_S)
        yield cache
    finally:
        await end(process)
