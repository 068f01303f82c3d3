"""How long the first text of one endpoint is waited for while another could be asked instead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from engine.endpoints.endpoint import Chunk

FIRST_TEXT_S = 20.0
"""How long the first text may take where another endpoint can be asked instead: a GPU server pre-fills a large
window in less. The last endpoint has its own, longer, time-outs."""

AFTER_A_HANG_S = 5.0
"""The same for one that is tried again after it had hung: who pays for the trial is a person who waits."""

LOOK_AGAIN_S = 1.0
"""When that time is over and nobody else can be asked, this often is looked whether somebody can."""

GIVEN_UP_COUNTS_S = 2.0
"""A request that was cancelled sooner tells nothing: whoever types gives up on healthy servers all the time."""


@asynccontextmanager
async def limited(patience_s: float | None, another_is_due: Callable[[], bool]) -> AsyncGenerator[None]:
    """Ends what is done in it by TimeoutError when it takes longer, as soon as another can be asked instead."""
    async with asyncio.timeout(None) as limit:
        if patience_s is None:
            yield
            return
        loop = asyncio.get_running_loop()

        def look() -> None:
            nonlocal timer
            if another_is_due():
                limit.reschedule(loop.time())
            else:
                timer = loop.call_later(LOOK_AGAIN_S, look)

        timer = loop.call_later(patience_s, look)
        try:
            yield
        finally:
            timer.cancel()


async def up_to_text(stream: AsyncGenerator[Chunk, None]) -> list[Chunk]:
    """What comes up to the first text, which is the last; without any where the answer ends before."""
    chunks: list[Chunk] = []
    async for chunk in stream:
        chunks.append(chunk)
        if is_text(chunk):
            break
    return chunks


def is_text(chunk: Chunk) -> bool:
    return bool(chunk.text) or chunk.finished is not None
