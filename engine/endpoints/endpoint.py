"""What an endpoint is: the interface, the types that go in and out, and a whole answer made of a streamed
one."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec

from engine.endpoints.faults import JsonObject, PromptTooLargeError

if TYPE_CHECKING:
    from engine.models.model import SamplingAdvice
    from engine.prompts import Prompt


class Priority(IntEnum):
    """Whose turn it is where requests wait for the same engine: the higher goes first."""

    WARM_UP = -10
    PREFETCH = -5
    EDIT = 0
    COMPLETION = 10


class Sampling(msgspec.Struct, frozen=True):
    """How to choose tokens and when to stop. `stop` strings are not part of the answer."""

    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    """0 is greedy: the same prompt gives the same answer."""
    top_p: float = 1.0
    regex: str | None = None
    ebnf: str | None = None
    """Grammars that constrain decoding, at most one; endpoints that cannot say so in `limits`."""
    json_schema: str | None = None
    """The third kind of grammar: a JSON schema, as text."""
    top_k: int = -1
    """-1: all tokens."""
    repetition_penalty: float = 1.0
    logprobs: bool = False
    """Tell how probable the tokens are, where the endpoint can (`Chunk.mean_logprob`)."""

    @classmethod
    def advised(
        cls, advice: SamplingAdvice, *, max_tokens: int | None = None, stop: tuple[str, ...] = ()
    ) -> Sampling:
        """As the model's makers want it; `max_tokens` is at most theirs."""
        return cls(
            max_tokens=advice.max_tokens if max_tokens is None else min(max_tokens, advice.max_tokens),
            stop=stop,
            temperature=advice.temperature,
            top_p=advice.top_p,
            top_k=advice.top_k,
            repetition_penalty=advice.repetition_penalty,
        )

    @property
    def constrained(self) -> bool:
        return not (self.regex is None and self.ebnf is None and self.json_schema is None)


class Chunk(msgspec.Struct, frozen=True):
    """What is known of an answer after its latest tokens."""

    text: str
    """All of it so far."""
    delta: str
    """What is new in `text`."""
    completion_tokens: int
    prompt_tokens: int
    cached_tokens: int | None
    """Prompt tokens that came from the prefix cache; None where the endpoint does not tell."""
    finished: str | None
    """`stop`, `length`, … at the last chunk, else None."""
    mean_logprob: float | None = None
    """Of the tokens so far, natural logarithms; None where it was not asked for or the endpoint does not tell."""


class Generation(msgspec.Struct, frozen=True):
    """A whole answer. Times are in seconds from the call."""

    text: str
    completion_tokens: int
    prompt_tokens: int
    cached_tokens: int | None
    ttft_s: float
    total_s: float
    finish_reason: str


class Endpoint(Protocol):
    """Something that completes prompts."""

    @property
    def name(self) -> str:
        """For people: what it is and where."""
        ...

    @property
    def kind(self) -> Literal["sglang", "openai"]: ...

    @property
    def context_tokens(self) -> int: ...

    @property
    def limits(self) -> list[str]:
        """What it cannot do, said plainly."""
        ...

    def generate(self, prompt: Prompt, params: Sampling, *, priority: int = 0) -> AsyncGenerator[Chunk, None]:
        """Streams the answer. Closing the generator (use `contextlib.aclosing`) or cancelling the task that
        iterates over it ends the request in the engine. A higher `priority` goes first where that is offered.
        Raises EngineRequestError; the endpoint stays usable."""
        ...

    async def status(self) -> JsonObject: ...

    async def close(self) -> None: ...


@runtime_checkable
class TellsCached(Protocol):
    """An endpoint that knows what its engine has read already."""

    async def cached(self, ids: Sequence[int]) -> int | None:
        """How many of the first of `ids` are in the engine's prefix cache now. Asking computes nothing, starts nothing
        and makes nothing in the cache younger. None where the engine does not tell. Raises EngineRequestError."""
        ...


class Probed(Endpoint, Protocol):
    """An endpoint that can be looked at before it is trusted."""

    @property
    def model(self) -> str:
        """The model's name there; empty where it is not known."""
        ...

    async def probe(self) -> None:
        """Finds out what is there and what is missing, in `limits`, `model` and `context_tokens`. A few small
        requests, never on a completion's way. Raises EngineRequestError where nothing answers or the key is
        refused."""
        ...


def refuse_too_large(name: str, prompt: Prompt, params: Sampling, context_tokens: int) -> None:
    """Before anything is sent. Raises PromptTooLargeError."""
    if prompt.tokens + params.max_tokens > context_tokens:
        raise PromptTooLargeError(
            name, prompt_tokens=prompt.tokens, max_tokens=params.max_tokens, context_tokens=context_tokens
        )


async def collect(
    endpoint: Endpoint,
    prompt: Prompt,
    params: Sampling,
    *,
    priority: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Generation:
    """The whole answer of a streamed request with its times."""
    started = clock()
    first: float | None = None
    last = Chunk("", "", 0, 0, None, None)
    async with aclosing(endpoint.generate(prompt, params, priority=priority)) as chunks:
        async for chunk in chunks:
            last = chunk
            if first is None:
                first = clock()
    ended = clock()
    return Generation(
        last.text,
        last.completion_tokens,
        last.prompt_tokens,
        last.cached_tokens,
        (ended if first is None else first) - started,
        ended - started,
        last.finished or "",
    )
