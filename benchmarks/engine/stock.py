"""SGLang's own path on a CPU: the product's host with stock attention and linears, at its better thread count."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.engine.figures import STOCK
from benchmarks.engine.hosted import STOCK_ARGUMENTS, STOCK_ENVIRONMENT, Hosted
from benchmarks.engine.texts import Texts
from benchmarks.targets import Say
from engine.profiles import Profile

TRIED_TOKENS = 512
TRIED_DECODED = 8
MOST_THREADS = 2


class Stock(Hosted):
    """A host with stock attention, and the threads that it was given."""

    def __init__(self, profile: Profile, scratch: Path, threads: int) -> None:
        super().__init__(
            STOCK,
            profile,
            scratch / f"threads-{threads}",
            arguments=STOCK_ARGUMENTS,
            environment={**STOCK_ENVIRONMENT, "FOREWORD_THREADS": str(threads)},
        )
        self.threads = str(threads)


async def best_stock(profile: Profile, scratch: Path, texts: Texts, stack: AsyncExitStack, say: Say) -> Stock:
    """The running host with the number of threads that reads and decodes faster. Raises TargetError."""
    tried: dict[int, float] = {}
    host: Stock | None = None
    counts = range(1, min(os.cpu_count() or 1, MOST_THREADS) + 1)
    for threads in counts:
        host = await _started(host, profile, scratch, threads, stack)
        tried[threads] = await _tried(host, texts)
        say(f"stock with {threads} thread(s): {tried[threads]:.2f} s for a trial")
    best = min(counts, key=lambda threads: tried[threads])
    if host is None or host.threads != str(best):
        host = await _started(host, profile, scratch, best, stack)
    return host


async def _started(
    before: Stock | None, profile: Profile, scratch: Path, threads: int, stack: AsyncExitStack
) -> Stock:
    """One at a time: the memory is for one of them."""
    if before is not None:
        await before.close()
    host = Stock(profile, scratch, threads)
    stack.push_async_callback(host.close)
    await host.start()
    return host


async def _tried(host: Hosted, texts: Texts) -> float:
    """Seconds for a cold prompt and, counted as much, what follows it token by token."""
    await host.read(texts.cold(TRIED_TOKENS, 1))
    reading = await host.decode(texts.cold(TRIED_TOKENS, 2), TRIED_DECODED)
    return reading.ttft_s + TRIED_DECODED * (reading.seconds_per_token or 0.0)
