"""Has the engine read the base of every open folder ahead, while nobody waits for it.

Prompts begin with the base, so a completion may begin with as much of it as the engine has read. It is read in slices
behind everybody else, never while a completion is wanted, and made anew without what has changed when there is time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import msgspec

from lsp.links.budget import LEAST_BASE_SPEED, Speed, base_tokens, slice_tokens

if TYPE_CHECKING:
    from engine.scheduler.warm_keeper import WarmKeeper
    from indexer.messages import BaseAnswer
    from lsp.links.engines import Engine
    from lsp.links.index_link import IndexLink

IDLE_S = 3.0
"""Since the last completion: whoever pauses so long reads or thinks."""

LOOK_S = 1.0
"""How often it is looked whether there is something to do."""

REST_S = 15.0
"""Between two questions to the index for a base that is read, or cannot be now: it has to look through its files for
the answer."""

WANTED = "a completion is wanted"


class BaseInUse(msgspec.Struct, frozen=True):
    """What a completion may begin with."""

    id: str
    budget: int
    limit: int
    """Tokens of it that the engine has read."""


class BaseState(msgspec.Struct):
    """Of one folder."""

    answer: BaseAnswer | None = None
    """The base that prompts begin with now."""
    ids: list[int] = []
    budget: int = 0
    header: int = 0
    """Tokens of `ids` before its first segment."""
    warmed: int = 0
    """Of `ids`."""
    reason: str = ""
    """Why it is not read further, empty while it is or when all is read."""
    asked_s: float = float("-inf")


class BaseKeeper:
    """Of one server. `engine`, `roots` and `speed` tell what is there now; `using` holds an engine's connections open
    for the task that uses it (`EngineLink.using`)."""

    def __init__(
        self,
        index: IndexLink,
        engine: Callable[[], Engine | None],
        roots: Callable[[], Sequence[str]],
        speed: Callable[[Engine], Speed],
        using: Callable[[Engine], AbstractContextManager[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._engine = engine
        self._roots = roots
        self._speed = speed
        self._using = using
        self._clock = clock
        self._states: dict[str, BaseState] = {}
        self._wanted = 0
        self._wanted_s = float("-inf")
        self._warming: asyncio.Task[None] | None = None
        self._keeper: WarmKeeper | None = None
        self._attended: Engine | None = None
        """That states and keeper tell of."""

    # ------------------------------------------------------------ what completions tell and ask

    def wanted(self) -> None:
        """A completion begins: what is read ahead stops at once, and goes on when there is time."""
        self._wanted += 1
        if self._warming is not None:
            self._warming.cancel()

    def over(self) -> None:
        """It has ended."""
        self._wanted -= 1
        self._wanted_s = self._clock()

    def of(self, root: str | None, engine: Engine) -> BaseInUse | None:
        """What a completion in this folder may begin with; None where nothing is read."""
        state = self._states.get(root or "")
        if state is None or state.answer is None or self._attended is not engine:
            return None
        limit = state.warmed - state.header
        return BaseInUse(state.answer.id, state.budget, limit) if limit > 0 else None

    def found(self, root: str | None, base_tokens: int, cached_tokens: int | None) -> None:
        """A prompt that began with so many tokens of the base found so many cached."""
        state = self._states.get(root or "")
        if state is None or cached_tokens is None or base_tokens <= 0 or self._keeper is None:
            return
        if (
            cached_tokens < state.header + base_tokens // 2
        ):  # by far less than what is lost at the edge of a page
            self._keeper.seen(state.ids, cached_tokens)
            state.warmed = min(state.warmed, cached_tokens)

    def describe(self) -> list[dict[str, Any]]:
        """For the status: of each folder what is read and why no more."""
        return [
            {
                "root": root,
                "tokens": state.answer.tokens if state.answer is not None else 0,
                "warmedTokens": max(0, state.warmed - state.header),
                "segments": len(state.answer.segments) if state.answer is not None else 0,
                "reason": state.reason,
            }
            for root, state in self._states.items()
        ]

    # ------------------------------------------------------------ reading ahead

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            roots = self._roots()
            for gone in self._states.keys() - set(roots):
                del self._states[gone]
            for root in roots:
                engine = self._engine()
                if engine is not None and self._idle():
                    await self._attend(root, engine)

    def _idle(self) -> bool:
        return self._wanted == 0 and self._clock() - self._wanted_s >= IDLE_S

    async def _attend(self, root: str, engine: Engine) -> None:
        if self._attended is not engine:
            # another one, or started again: it has read nothing, whatever its name
            self._attended, self._keeper = engine, None
            self._states.clear()
        state = self._states.setdefault(root, BaseState())
        if state.reason != WANTED and self._clock() - state.asked_s < REST_S:
            return
        self._warming = asyncio.create_task(self._warm(root, state, engine), name=f"base of {root}")
        try:
            await asyncio.wait([self._warming])
            if not self._warming.cancelled():
                self._warming.result()
        except asyncio.CancelledError:
            self._warming.cancel()
            raise
        finally:
            self._warming = None

    async def _warm(self, root: str, state: BaseState, engine: Engine) -> None:
        with self._using(engine):
            await self._read_ahead(root, state, engine)

    async def _read_ahead(self, root: str, state: BaseState, engine: Engine) -> None:
        """One attempt; whatever keeps it from going on is in the state's `reason`."""
        from engine.endpoints.sse import EngineRequestError
        from engine.scheduler.warm import Warmed, warm
        from engine.scheduler.warm_keeper import WarmKeeper
        from indexer.client import IndexServiceError

        if self._keeper is None:
            self._keeper = WarmKeeper(self._clock)
        speed = self._speed(engine)
        try:
            state.reason = why_none(engine, speed) or self._index.why_not(root)
            share = 0 if state.reason else await share_of(engine)
            budget = base_tokens(speed, engine.endpoint.context_tokens, share)
            if state.reason:
                return
            fresh = await self._asked(root, state, engine, budget)
        except (EngineRequestError, IndexServiceError) as failed:
            state.reason = str(failed)
            return
        if fresh is None or not fresh.ids:
            return
        decision = self._keeper.decide(fresh.ids, share)
        if decision.cached:
            fresh.warmed, fresh.reason = len(fresh.ids), ""
            self._states[root] = fresh  # one that comes back after another
            return
        if not decision.warm:
            state.reason = "" if fresh.warmed >= len(fresh.ids) else decision.reason
            return

        def progress(done: Warmed) -> None:
            fresh.warmed = max(fresh.warmed, done.tokens)
            if fresh.warmed >= min(state.warmed, len(fresh.ids)):
                self._states[root] = fresh  # from now on the new one serves better than the one before

        fresh.reason = WANTED  # if this is cancelled, that is why
        state.reason = WANTED
        result = await warm(
            engine.endpoint,
            fresh.ids,
            slice_tokens=slice_tokens(speed),
            on_progress=progress,
            clock=self._clock,
        )
        self._keeper.warmed(fresh.ids, result)
        state.reason = fresh.reason = result.stopped

    async def _asked(self, root: str, state: BaseState, engine: Engine, budget: int) -> BaseState | None:
        """The base as the index has it now: `state` itself where that is the one in use."""
        from engine.prompts import ContextSegment, front_ids
        from indexer.messages import BaseRequest, TokenizerRef

        client = self._index.client
        if client is None or not self._index.is_open(root):
            state.reason = "the index is not ready"
            return None
        tokenizer = engine.tokenizer
        reference = TokenizerRef(str(tokenizer.file) if tokenizer.file else None)
        answer = await client.base(BaseRequest(root, reference, budget, repack=True))
        state.asked_s = self._clock()
        if state.answer is not None and state.answer.id == answer.id and state.budget == budget:
            return state
        if not answer.segments:
            state.reason = (
                "; ".join(answer.notes) or "there is nothing in this folder that a base could be made of"
            )
            return None
        segments = [ContextSegment(each.path, each.text, each.ids) for each in answer.segments]

        def laid_out(of: Sequence[ContextSegment]) -> list[int]:
            return front_ids(engine.profile, tokenizer, answer.repo_name or "workspace", of)

        ids = await asyncio.to_thread(laid_out, segments)
        if ids == state.ids:  # only the budget is another
            state.answer, state.budget = answer, budget
            return state
        return BaseState(answer, ids, budget, len(laid_out(())), 0, "", state.asked_s)


def why_none(engine: Engine, speed: Speed) -> str:
    """Why nothing is read ahead for this engine; empty where something may be."""
    if engine.endpoint.kind != "sglang":
        return f"{engine.endpoint.name} cannot be made to read ahead"
    if not engine.tokenizer.has_ids:
        return "the model's tokenizer is not known, so what is read ahead would not be found again"
    if speed.tokens_s < LEAST_BASE_SPEED:
        return (
            f"the engine reads {speed.tokens_s:.0f} tokens a second; below {LEAST_BASE_SPEED:.0f} a base costs more "
            "than it is worth"
        )
    return ""


async def share_of(engine: Engine) -> int:
    """Tokens of the engine's cache that this workspace may fill. Raises EngineRequestError."""
    told = (await engine.endpoint.status()).get("kv_share_tokens")
    return told if isinstance(told, int) else engine.endpoint.context_tokens
