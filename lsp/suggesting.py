"""Suggestions at a place: what is remembered, what is in flight, or what the engine writes when it is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

import msgspec

from lsp.completion import Completion
from lsp.documents import key_of, line_around
from lsp.links.engine_link import EngineLink
from lsp.measured import waiting
from lsp.offers.extent import within
from lsp.offers.memory import Memory
from lsp.offers.suggestions import Suggestion, closers_between, left_of, like_lines_of, plain, remembered
from lsp.offers.sureness import LEAST_CHANCE, LEAST_CHANCE_AT_A_STOP, Sureness
from lsp.requests.asking import Asking, Question, Written
from lsp.requests.cadence import Cadence
from lsp.requests.choices import MOST
from lsp.requests.flights import Flights, given_way
from lsp.requests.inflight import InFlight
from lsp.requests.resting import Resting
from lsp.requests.turns import REPLACED
from lsp.settings import Settings

Growing = Callable[[str, int], None]
"""Gets a text so far, and how many characters behind the cursor it replaces."""

Gone = Callable[[], str]
"""Why nobody needs an answer any more, empty where somebody does: the engine is not asked for a text that is gone."""


class Suggesting:
    """Of one server."""

    def __init__(self, asking: Asking, engine: EngineLink, settings: Callable[[], Settings]) -> None:
        self.last: Completion | None = None
        self.memory = Memory(asking, settings)
        self.resting = Resting(asking, engine, lambda: settings().read_ahead)
        self.cadence = Cadence(time.monotonic)
        self.flights = Flights(asking, engine, self._landed, self.resting.asked, self.cadence.paused_in_s)
        self._engine = engine

    def suggest(
        self, question: Question, growing: Growing, gone: Gone, seen: Suggestion | None = None
    ) -> Coroutine[None, None, list[Suggestion] | str]:
        """A suggestion, or why there is none. What is in flight is joined or ended at once. `seen` is what this
        document's user has seen last: what is left of that is shown on."""
        return self._when_sure(question, self.flights.joined(question), growing, gone, seen)

    async def choose(self, question: Question, growing: Growing, gone: Gone) -> list[Suggestion] | str:
        """Up to `MOST` suggestions, the best first, or why there is none. At one place they are asked for once."""
        snapshot, offset = question.snapshot, question.offset
        known = await self.memory.choices(question)
        if known and self._engine.engine is not None:
            self.flights.end(key_of(snapshot.uri), REPLACED)
            return known
        if why := gone():
            return await given_way(why)
        flight = self.flights.begin(msgspec.structs.replace(question, candidates=MOST))

        def told(text: str) -> None:
            growing(like_lines_of(snapshot, text), 0)

        written = await self.flights.followed(flight, "", told)
        if not isinstance(written, Written):
            return written or self._engine.reason
        self.last = completion = written.completion
        if not completion.text:
            return completion.reason
        best = remembered(snapshot, offset, completion.text, completion.replaced)
        others = (remembered(snapshot, offset, each.text, each.replaced) for each in completion.others)
        return [_asked(each) for each in (best, *others)]

    async def _when_sure(
        self,
        question: Question,
        joined: InFlight | None,
        growing: Growing,
        gone: Gone,
        seen: Suggestion | None,
    ) -> list[Suggestion] | str:
        """What the model is unsure of is told when whoever types has stopped, or rests."""
        said = await self._suggest(question, joined, growing, gone)
        if isinstance(said, str) or (seen is not None and said[0].is_of(seen)):
            return said
        chance = said[0].chance
        if chance is None or chance >= LEAST_CHANCE:
            return said
        key, cadence = key_of(question.snapshot.uri), self.cadence
        with waiting("pause"):
            is_idea = chance < LEAST_CHANCE_AT_A_STOP
            await asyncio.sleep(cadence.rested_in_s(key) if is_idea else cadence.stopped_in_s(key))
        if why := gone():
            return await given_way(why)
        return said

    async def _suggest(
        self, question: Question, joined: InFlight | None, growing: Growing, gone: Gone
    ) -> list[Suggestion] | str:
        if self._engine.engine is not None or self._engine.state != "off":
            known = await self.memory.suggestion(question)
            if known is not None:
                self.flights.end(key_of(question.snapshot.uri), REPLACED)
                return known if isinstance(known, str) else [known]
        if joined is not None:
            said = await self._left(joined, question, growing)
            if isinstance(said, Suggestion):  # it may have been asked for more lines
                said = within(said, self.memory.most_lines(question))
            if said is None:  # what was drawn beside it may go through what was typed
                said = await self.memory.suggestion(question)
            if said is not None:
                return said if isinstance(said, str) else [said]
        await self._until_a_pause(question)
        if why := gone():
            return await given_way(why)
        said = await self._left(self.flights.begin(question), question, growing)
        assert said is not None, "a request goes along with itself"
        return said if isinstance(said, str) else [said]

    async def _until_a_pause(self, question: Question) -> None:
        """Whoever asks again in the meantime ends this."""
        engine, snapshot = self._engine.engine, question.snapshot
        if engine is not None:
            line_before, _ = line_around(snapshot.text, question.offset)
            wait_s = self.cadence.wait_s(key_of(snapshot.uri), line_before, engine.endpoint.name)
            with waiting("pause"):
                await asyncio.sleep(wait_s)

    def _landed(self, question: Question, written: Written) -> None:
        """Something was written, whether somebody still waits for it or not."""
        self.memory.landed(question, written)
        if not question.ahead and question.candidates == 1 and self._engine.engine is not None:
            self.cadence.answered(self._engine.engine.endpoint.name, written.completion.total_s)

    async def _left(self, flight: InFlight, question: Question, growing: Growing) -> Suggestion | str | None:
        """What is left here of what is written, or why there is nothing; None where that is worth another request."""
        snapshot, offset = question.snapshot, question.offset
        before, after = snapshot.text[:offset], snapshot.text[offset:]
        typed, closers = plain(before[len(flight.before) :]), closers_between(after, flight.after)

        def told(text: str) -> None:
            if flight.sureness is None:  # how sure a line is its end tells
                growing(like_lines_of(snapshot, text), len(closers or ""))

        written = await self.flights.followed(flight, typed, told)
        if isinstance(written, str):
            return written or self._engine.reason
        if written is None or closers is None:
            return None
        self.last = completion = written.completion
        if len(flight.before) == offset:
            if not completion.text:
                return completion.reason
            found = remembered(snapshot, offset, completion.text, completion.replaced)
            return _asked(found, _chance(completion.sureness, plain(completion.text), ""))
        left = left_of(plain(completion.text), typed, closers)
        if left is None:
            return None
        text = like_lines_of(snapshot, left.text)
        found = remembered(snapshot, offset, text, completion.replaced + left.closers)
        return _asked(found, _chance(completion.sureness, plain(completion.text), typed))


def _chance(sureness: Sureness | None, text: str, typed: str) -> float | None:
    return None if sureness is None else sureness.of_line(text, len(typed))


def _asked(suggestion: Suggestion, chance: float | None = None) -> Suggestion:
    return msgspec.structs.replace(suggestion, asked=True, chance=chance)
