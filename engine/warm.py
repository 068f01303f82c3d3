"""Reads a long prompt into an engine's prefix cache ahead of time, a slice at a time, behind everybody else.

Each request is a prefix of the prompt that ends one slice later than the last, with one token of answer: the
step which reads the slice gives that token, so it costs nothing more, and every server allows it. A host of ours
lets others go first at any moment (`engine.turns`); to any other SGLang server the slices are what makes room.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing

import msgspec

from engine.endpoint import Endpoint, Priority, Sampling
from engine.prompts import Prompt
from engine.sse import EngineRequestError

ONE_TOKEN = Sampling(max_tokens=1)
NOT_TO_BE_WARMED = "it takes no token ids and does not tell what it has cached, so it cannot be warmed ahead"
LET_GO = "the cache let go of what had just been read: it is too small for this, or too busy"


class Warmed(msgspec.Struct, frozen=True):
    """How far a warm-up came."""

    tokens: int
    """Of the prompt, cached at the end."""
    before: int
    """Of these, cached before it began."""
    computed: int
    seconds: float
    stopped: str
    """Why it ended early; empty where the whole prompt is cached."""


def nobody() -> str:
    return ""


async def warm(
    endpoint: Endpoint,
    ids: Sequence[int],
    *,
    slice_tokens: int,
    priority: Priority = Priority.WARM_UP,
    on_progress: Callable[[Warmed], None] | None = None,
    stop: Callable[[], str] = nobody,
    clock: Callable[[], float] = time.monotonic,
) -> Warmed:
    """Cache `ids`. Returns how far it came, also where the engine fails; cancelling it ends its request there.

    While all is found cached the slices double, so a prompt that is cached already takes a few requests and one
    that is not is found out by the first. `stop` is asked between slices; a text is a reason to stop.
    """
    begun_s = clock()
    state = Warmed(0, 0, 0, 0.0, "")
    if endpoint.kind != "sglang":
        return msgspec.structs.replace(state, stopped=f"{endpoint.name}: {NOT_TO_BE_WARMED}")
    step = max(1, slice_tokens)
    while state.tokens < len(ids) and not state.stopped:
        if reason := stop():
            return msgspec.structs.replace(state, stopped=reason)
        end = min(len(ids), state.tokens + step)
        try:
            cached = await cached_of(endpoint, ids[:end], priority)
        except EngineRequestError as error:
            return msgspec.structs.replace(state, stopped=str(error), seconds=clock() - begun_s)
        state = after_slice(state, end, cached, clock() - begun_s)
        step = 2 * step if cached >= end - 1 else max(1, slice_tokens)  # its last token is always computed
        if on_progress is not None:
            on_progress(state)
    return state


def after_slice(state: Warmed, end: int, cached: int, seconds: float) -> Warmed:
    """`state` once a prefix of `end` tokens was answered with `cached` of them found in the cache."""
    if cached < state.tokens - 1:
        return msgspec.structs.replace(state, tokens=cached, stopped=LET_GO, seconds=seconds)
    found = end if cached >= end - 1 else cached
    return Warmed(
        tokens=end,
        before=found if state.computed == 0 else state.before,
        computed=state.computed + end - max(found, state.tokens),
        seconds=seconds,
        stopped="",
    )


async def cached_of(endpoint: Endpoint, ids: Sequence[int], priority: Priority) -> int:
    """Have the engine read `ids`; how many of them it had cached. Raises EngineRequestError."""
    prompt = Prompt(list(ids), "", "", "", "", 0, len(ids))
    cached = None
    async with aclosing(endpoint.generate(prompt, ONE_TOKEN, priority=priority)) as chunks:
        async for chunk in chunks:
            cached = chunk.cached_tokens
    if cached is None:
        raise EngineRequestError(
            "protocol", f"{endpoint.name} does not tell how much of a prompt it had cached"
        )
    return cached
