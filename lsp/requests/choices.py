"""Several completions of one place to choose from: the most probable text, and some that are drawn from what the model
finds likely, over one prompt that is read once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lsp.writing import GIVE_UP_S, Answer

if TYPE_CHECKING:
    from engine.endpoints.endpoint import Sampling

MOST = 3
"""That are shown; who finds nothing among three writes it quicker."""

TEMPERATURE = 0.6
TOP_P = 0.95
"""Between what is best for one sample of a code model (0.2) and for a hundred (0.8): Chen et al. 2021, arXiv
2107.03374, section 3.3, which draws from the same share."""

WriteOne = Callable[["Sampling", Callable[[str], None]], Coroutine[Any, Any, Answer]]
"""Follows one stream; its text so far goes to the function."""


async def choices(
    write_one: WriteOne, sampling: Sampling, count: int, on_text: Callable[[str], None]
) -> list[Answer]:
    """Up to `count` answers, the most probable text's first. The others begin when that does: from then on their prompt
    is cached; what has not ended when one completion would have to is left out. `on_text` gets the first one's. Raises
    EngineRequestError when the first one fails; without another one there is less to choose from."""
    from engine.endpoints.sse import EngineRequestError

    began = asyncio.Event()
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + GIVE_UP_S

    def told(text: str) -> None:
        began.set()
        on_text(text)

    drawn = msgspec.structs.replace(sampling, temperature=TEMPERATURE, top_p=TOP_P)

    async def another() -> Answer | None:
        await began.wait()
        try:
            return await write_one(drawn, lambda _: None)
        except EngineRequestError:
            return None

    others = [asyncio.create_task(another(), name="another choice") for _ in range(count - 1)]
    try:
        first = await write_one(sampling, told)
        left_s = ends_at - loop.time()
        if not others or left_s <= 0:
            return [first]
        began.set()
        done, _ = await asyncio.wait(others, timeout=left_s)
        drawn_ones = [each.result() for each in others if each in done]
        return [first, *(each for each in drawn_ones if each is not None)]
    finally:
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def ranked(answers: Sequence[Answer]) -> list[Answer]:
    """Those with a text, each text once, the one first whose tokens are the most probable on average; in their order
    where that is not told."""
    different: dict[str, Answer] = {}
    for answer in answers:
        if answer.decision.text.strip():
            different.setdefault(answer.decision.text.strip(), answer)
    kept = list(different.values())
    if any(each.mean_logprob is None for each in kept):
        return kept
    return sorted(kept, key=lambda each: each.mean_logprob or 0.0, reverse=True)
