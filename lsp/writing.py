"""What the model writes at a place: follows the stream until the trimmer has what it wants, then closes it, which
ends it in the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from lsp.measured import noted
from lsp.offers.sureness import Mark, Sureness, sureness_of
from lsp.settings import Settings
from lsp.trim import Decision, Place, Trimmer

if TYPE_CHECKING:
    from engine.endpoints.endpoint import Chunk, Endpoint, Sampling
    from engine.prompts import Prompt

LINE_TOKENS = 96
"""No line of code is longer; the trimmer normally ends the stream long before."""
TOKENS_PER_BLOCK_LINE = 14
"""Of source text, indentation included, rounded up; times `max_lines` it bounds a block."""
MAX_BLOCK_TOKENS = 512

GIVE_UP_S = 120.0
"""From the request at the engine to the end of its answer, however it goes on: a cold prompt of the largest window that
a slow engine has is read in half of it, and nobody waits longer."""

TOO_LATE = f"the engine wrote nothing whole within {GIVE_UP_S:.0f} s"


class Answer(msgspec.Struct):
    """What came of one stream."""

    decision: Decision
    chunk: Chunk | None = None
    """The last one that was read."""
    first_at: float | None = None
    asked_at: float = 0.0
    marks: list[Mark] = []
    """Of what was written, where that was asked for and the engine tells."""

    @property
    def sureness(self) -> Sureness | None:
        """Of the decision's text."""
        return None if self.chunk is None else sureness_of(self.marks, self.chunk.text, self.decision.text)

    @property
    def mean_logprob(self) -> float | None:
        """Of what was written, where that was asked for and the engine tells."""
        return None if self.chunk is None else self.chunk.mean_logprob


class Trimmers:
    """Of the streams at one place. The first one's is made while the index and the engine are waited for."""

    def __init__(self) -> None:
        self._ready: asyncio.Task[Trimmer] | None = None

    def begin(self, place: Place) -> None:
        """In a thread: what surrounds a cursor takes some milliseconds to read."""
        self._ready = asyncio.create_task(_trimmer_at(place), name="trimmer")

    async def one(self, place: Place) -> Trimmer:
        """For one stream, which alone may use it."""
        ready, self._ready = self._ready, None
        return await (_trimmer_at(place) if ready is None else ready)

    def close(self) -> None:
        """Nothing is written any more."""
        if self._ready is not None:
            self._ready.cancel()


async def _trimmer_at(place: Place) -> Trimmer:
    def make() -> Trimmer:
        trimmer = Trimmer(place)
        trimmer.prepare()
        return trimmer

    return await asyncio.to_thread(make)


def sampling_at(place: Place, settings: Settings, *, logprobs: bool = False) -> Sampling:
    """The most probable text of as many tokens as this place has room for."""
    from engine.endpoints.endpoint import Sampling

    most = min(MAX_BLOCK_TOKENS, settings.max_lines * TOKENS_PER_BLOCK_LINE) if place.block else LINE_TOKENS
    return Sampling(most, logprobs=logprobs)


async def write(
    endpoint: Endpoint,
    prompt: Prompt,
    trimmer: Trimmer,
    sampling: Sampling,
    *,
    wait_s: float,
    priority: int | None,
    on_text: Callable[[str], None],
    on_sure: Callable[[Sureness], None],
    clock: Callable[[], float],
) -> Answer:
    """Ends in bounded time whatever the engine does. After `wait_s` from the first token lines that are whole are
    enough. `on_sure` is told how sure the model is of what goes to `on_text` next, where that is known. Without a
    `priority` it is a completion that somebody waits for. Raises EngineRequestError."""
    from engine.endpoints.endpoint import Priority

    priority = Priority.COMPLETION if priority is None else priority
    ahead = priority == Priority.PREFETCH
    answer = Answer(Decision("", False, why="the engine sent nothing"), asked_at=clock())
    try:
        async with (
            asyncio.timeout(GIVE_UP_S),
            aclosing(noted(endpoint.generate(prompt, sampling, priority=priority), ahead=ahead)) as chunks,
        ):
            await _follow(chunks, trimmer, answer, sampling.max_tokens, wait_s, on_text, on_sure, clock)
    except TimeoutError:
        if not answer.decision.text:
            answer.decision = Decision("", True, why=TOO_LATE)
    return answer


async def _follow(
    chunks: AsyncGenerator[Chunk, None],
    trimmer: Trimmer,
    answer: Answer,
    most_tokens: int,
    wait_s: float,
    on_text: Callable[[str], None],
    on_sure: Callable[[Sureness], None],
    clock: Callable[[], float],
) -> None:
    """Until nothing that follows can be wanted."""
    shown = ""
    async for chunk in chunks:
        answer.chunk = chunk
        answer.first_at = answer.first_at or clock()
        if chunk.mean_logprob is not None:
            answer.marks.append(Mark(len(chunk.text), chunk.mean_logprob * chunk.completion_tokens))
        # a server that does not keep to the limit that it was given would write for ever
        finished = chunk.finished or ("length" if chunk.completion_tokens > most_tokens else None)
        # a parse of what surrounds the cursor takes up to 20 ms: others shall not wait for it
        if finished is None:
            answer.decision = await asyncio.to_thread(trimmer.feed, chunk.text)
        else:
            cut = finished == "length"
            answer.decision = await asyncio.to_thread(trimmer.finish, chunk.text, cut=cut)
        now = answer.decision.text if answer.decision.done else answer.decision.shown
        if now != shown:
            shown = now
            sureness = sureness_of(answer.marks, chunk.text, shown)
            if sureness is not None:
                on_sure(sureness)
            on_text(shown)
        late = clock() - answer.first_at > wait_s
        if answer.decision.done or (late and answer.decision.text):
            return
