"""A model's answer to an edit's prompt: streamed, read into blocks while it arrives, bounded in tokens and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

import msgspec

from engine.editing.blocks import Block, Event, Finished, Malformed
from engine.editing.parser import BlockParser, Parser
from engine.editing.tool_calls import ToolCallParser
from engine.endpoints.endpoint import Endpoint, Priority, Sampling
from engine.endpoints.faults import EngineRequestError
from engine.prompts import Prompt

MAX_WRITING_S = 300.0
"""Of one answer. People have cancelled long before; who did not is told."""

REPEATED_LINES = 24
"""So many lines of an answer that repeat the ones before them, in a cycle of up to MAX_CYCLE: a small model runs in
circles, and would until its tokens are spent."""
MAX_CYCLE = 6

OnEvent = Callable[[Event], None]
T = TypeVar("T")

CIRCLES = "the model repeats itself"


class Written(msgspec.Struct, frozen=True, kw_only=True):
    blocks: tuple[Block, ...]
    problems: tuple[Malformed, ...]
    text: str
    constrained: bool
    """A grammar was kept to."""
    prompt_tokens: int
    cached_tokens: int | None
    tokens: int
    total_s: float

    @property
    def well_formed(self) -> bool:
        return bool(self.blocks) and not self.problems


async def write(
    endpoint: Endpoint,
    prompt: Prompt,
    sampling: Sampling,
    on_event: OnEvent,
    *,
    clock: Callable[[], float] = time.monotonic,
    limit_s: float = MAX_WRITING_S,
) -> Written:
    """The answer, under `sampling`'s grammar where the endpoint takes one. `on_event` is told each block as it begins,
    grows and ends. Cancelling this ends the request in the engine. Raises EngineRequestError."""
    started = clock()
    begun = False

    def told(event: Event) -> None:
        nonlocal begun
        begun = True
        on_event(event)

    def ask(bound: Sampling) -> Awaitable[Written]:
        return _write(endpoint, prompt, bound, told, clock, started, limit_s)

    return await under_grammar(endpoint, sampling, ask, lambda: begun)


async def under_grammar(
    endpoint: Endpoint,
    sampling: Sampling,
    ask: Callable[[Sampling], Awaitable[T]],
    begun: Callable[[], bool] = lambda: False,
) -> T:
    """What is asked, under the grammar where the endpoint takes one; without it where it refuses this one before
    anything was written. Raises EngineRequestError."""
    if sampling.constrained and endpoint.kind == "sglang":
        try:
            return await ask(sampling)
        except EngineRequestError as refused:
            if begun() or refused.fault not in ("request", "aborted"):
                raise  # anything but a grammar that this server does not take
    return await ask(msgspec.structs.replace(sampling, ebnf=None))


async def _write(
    endpoint: Endpoint,
    prompt: Prompt,
    sampling: Sampling,
    on_event: OnEvent,
    clock: Callable[[], float],
    started: float,
    limit_s: float,
) -> Written:
    answer = _Answer(on_event)
    chunk = None
    cut = ""
    try:
        async with (
            asyncio.timeout(limit_s),
            aclosing(endpoint.generate(prompt, sampling, priority=Priority.EDIT)) as stream,
        ):
            async for chunk in stream:
                answer.take(chunk.delta)
                if chunk.finished == "length":
                    cut = f"its {sampling.max_tokens:,} tokens are spent"
                elif answer.full:
                    cut = "it is too long"
                elif not sampling.constrained and answer.circles:  # else the grammar's bounds end it
                    cut = CIRCLES
                if cut:
                    break
    except TimeoutError:
        cut = f"it took longer than {limit_s:.0f} s"
    answer.end(cut)
    return Written(
        blocks=tuple(answer.blocks),
        problems=tuple(answer.problems),
        text=chunk.text if chunk else "",
        constrained=sampling.constrained,
        prompt_tokens=chunk.prompt_tokens if chunk else prompt.tokens,
        cached_tokens=chunk.cached_tokens if chunk else None,
        tokens=chunk.completion_tokens if chunk else 0,
        total_s=clock() - started,
    )


class _Answer:
    """One answer in whichever form it is, as far as it has arrived."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._parser: Parser | None = None
        self._head = ""
        """What has arrived before its form is known."""
        self._line = ""
        self._lines: list[str] = []
        self.blocks: list[Block] = []
        self.problems: list[Malformed] = []

    @property
    def full(self) -> bool:
        return self._parser is not None and self._parser.full

    @property
    def circles(self) -> bool:
        """Whether the last lines repeat the ones before them."""
        tail = self._lines[-REPEATED_LINES:]
        if len(self._lines) < REPEATED_LINES + MAX_CYCLE or not any(line.strip() for line in tail):
            return False
        return any(tail == self._lines[-REPEATED_LINES - cycle : -cycle] for cycle in range(1, MAX_CYCLE + 1))

    def take(self, text: str) -> None:
        self._count(text)
        if self._parser is None:
            self._head += text
            begun = self._head.lstrip()
            if len(begun) < len("<tool_call>"):
                return
            calls = begun.startswith(("<tool_call>", "<function="))
            self._parser, text = ToolCallParser() if calls else BlockParser(), self._head
        self._tell(self._parser.feed(text))

    def end(self, cut: str) -> None:
        if self._parser is None:
            self._parser = BlockParser()
            self._tell(self._parser.feed(self._head))
        self._tell(self._parser.end(cut))

    def _count(self, text: str) -> None:
        first, *others = text.split("\n")
        self._line += first
        for part in others:
            self._lines.append(self._line)
            self._line = part

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Finished):
                self.blocks.append(event.block)
            elif isinstance(event, Malformed):
                self.problems.append(event)
            self._on_event(event)
