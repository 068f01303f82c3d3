"""Reads a long prompt into an engine's prefix cache ahead of time, a slice at a time, behind everybody else.

Each request is a prefix of the prompt that ends one slice later than the last, with one token of answer: the
step which reads the slice gives that token, so it costs nothing more, and every server allows it. A host of ours
lets others go first at any moment (`engine.scheduler.turns`); at any other SGLang server the slices make room.

Two things look like a cache that lets go, and are none: pages, by which a server may round down what it had, and a
router that sent a slice to another worker, which then has it too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing

import msgspec

from engine.endpoints.endpoint import Endpoint, Priority, Sampling
from engine.endpoints.sse import EngineRequestError
from engine.prompts import Prompt

ONE_TOKEN = Sampling(max_tokens=1)
NOT_TO_BE_WARMED = "it takes no token ids and does not tell what it has cached, so it cannot be warmed ahead"
LARGEST_PAGE = 128
"""Tokens; SGLang's own pages are powers of two up to this."""
MISSES = 2
"""In a row end a warm-up: what one slice did not find, it has read again."""
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
    page, misses = 1, 0
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
        fitting = page_of(state.tokens if cached < state.tokens else end, cached) if state.tokens else 1
        page = max(page, fitting) if cached else page
        misses = misses + 1 if cached < state.tokens and not fitting else 0
        whole = cached >= whole_pages(end - 1, page)  # its last token is always computed
        state = after_slice(state, end, end if whole else cached, clock() - begun_s)
        if misses >= MISSES:
            return msgspec.structs.replace(state, tokens=cached, stopped=LET_GO)
        step = 2 * step if whole else max(1, slice_tokens)
        if on_progress is not None:
            on_progress(state)
    return state


def after_slice(state: Warmed, end: int, cached: int, seconds: float) -> Warmed:
    """`state` once a prefix of `end` tokens was answered with `cached` of them found in the cache, or all."""
    return Warmed(
        tokens=end,
        before=max(cached, state.before) if state.computed == 0 else state.before,
        computed=state.computed + end - cached,
        seconds=seconds,
        stopped="",
    )


def page_of(tokens: int, cached: int) -> int:
    """The smallest page by which `tokens` in the cache, or all but the last of them, are told as `cached`; 0 where
    there is none."""
    page = 1
    while page <= LARGEST_PAGE:
        if cached in (whole_pages(tokens, page), whole_pages(tokens - 1, page)):
            return page
        page *= 2
    return 0


def whole_pages(tokens: int, page: int) -> int:
    return tokens // page * page


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
