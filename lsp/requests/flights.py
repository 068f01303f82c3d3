"""What is in flight at the engine: for each document at most one request that its user waits for, and one ahead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lsp.documents import Snapshot, key_of
from lsp.links.engine_link import EngineLink
from lsp.requests.ahead import Ahead
from lsp.requests.asking import Asking, Question, Written
from lsp.requests.inflight import InFlight, Told
from lsp.requests.turns import REPLACED

CHANGED = "the document has changed since"
NOT_WAITED_FOR = "nobody waits for it any more"

LINGER_S = 0.15
"""What a client has cancelled is written on for so long: VS Code cancels at each keystroke and asks again 50 ms later,
and what is written often goes through what was typed."""

ASKED_AGAIN_S = 1.0
"""After a change that ends what was written for a document, its user's editor asks anew (Neovim after 0.2 s), and the
older request has then given way to that one."""


class Flights:
    """Of one server. `landed` gets whatever was written, whether somebody still waits for it or not; `asked` is told
    where somebody begins to wait; `paused_in_s` tells how long until whoever types in a document has paused."""

    def __init__(
        self,
        asking: Asking,
        engine: EngineLink,
        landed: Callable[[Question, Written], None],
        asked: Callable[[Snapshot, int], None],
        paused_in_s: Callable[[str], float],
    ) -> None:
        self.ahead = Ahead(self._start, lambda: bool(self._flights), paused_in_s, engine)
        self._asking = asking
        self._landed = landed
        self._asked = asked
        self._flights: dict[str, InFlight] = {}

    def begin(self, question: Question) -> InFlight:
        """Asks the engine, instead of all that was asked for in this document and all that is asked ahead anywhere."""
        key = key_of(question.snapshot.uri)
        self.ahead.end_all()
        self._asked(question.snapshot, question.offset)
        self.end(key, REPLACED)
        flight = self._flights[key] = self._start(question)
        flight.task.add_done_callback(lambda _: self._forget(key, flight))
        return flight

    def joined(self, question: Question) -> InFlight | None:
        """What is in flight and goes on from here; what does not is ended, and what was asked of another model or
        under other cells."""
        snapshot, offset = question.snapshot, question.offset
        key, before, after = key_of(snapshot.uri), snapshot.text[:offset], snapshot.text[offset:]
        setting = self._asking.setting_of(snapshot)
        flight = self._flights.get(key)
        if flight is not None and (flight.is_old(setting) or flight.typed_at(before, after) is None):
            self.end(key, REPLACED)
            flight = None
        ahead = self.ahead.taken(key, before, after)
        if ahead is not None and ahead.is_old(setting):
            ahead.end(REPLACED)
            ahead = None
        if flight is None and ahead is not None:
            flight = self._flights[key] = ahead
            ahead.task.add_done_callback(lambda _: self._forget(key, ahead))
        if flight is not None and flight.claimed is not None and not flight.claimed.done():
            flight.claimed.set_result(None)
        return flight

    async def followed(self, flight: InFlight, typed: str, told: Told) -> Written | str | None:
        """See `InFlight.followed`; for whoever waits for an answer."""
        written = await flight.followed(typed, told)
        return await given_way(written) if isinstance(written, str) else written

    async def linger(self, key: str) -> None:
        """Nobody waits for this document's request any more: it ends, unless somebody joins it in a moment."""
        flight = self._flights.get(key)
        if flight is None:
            return
        claimed = flight.claimed = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait({flight.task, claimed}, timeout=LINGER_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not claimed.done():
                self._forget(key, flight)  # nobody joins what is about to end
                flight.end(NOT_WAITED_FOR)
        if not claimed.done():
            await asyncio.wait({flight.task})

    def changed(self, snapshot: Snapshot) -> None:
        """A document has another text: what is written for it ends unless it goes on from there."""
        key = key_of(snapshot.uri)
        flight = self._flights.get(key)
        if flight is not None and not flight.fits(snapshot.text):
            self.end(key, CHANGED)
        self.ahead.changed(key, snapshot.text)

    def end(self, key: str, why: str) -> None:
        flight = self._flights.pop(key, None)
        if flight is not None:
            flight.end(why)

    def end_all_of(self, key: str, why: str) -> None:
        """Also what is asked ahead."""
        self.end(key, why)
        self.ahead.end(key)

    def _start(self, question: Question) -> InFlight:
        text, offset = question.snapshot.text, question.offset
        name = f"write {question.snapshot.uri}"
        flight = InFlight(
            name,
            text[:offset],
            text[offset:],
            joinable=question.with_context,
            supposed=question.supposed,
            setting=self._asking.setting_of(question.snapshot),
        )

        async def work() -> Written | str:
            written = await self._asking.ask(question, flight.grown, flight.weighed)
            if isinstance(written, Written) and question.with_context:
                self._landed(question, written)
            return written

        flight.start(work())
        return flight

    def _forget(self, key: str, flight: InFlight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


async def given_way(why: str) -> str:
    """Why a request came to nothing, once a newer one has had the time to take its place."""
    if why == CHANGED:
        await asyncio.sleep(ASKED_AGAIN_S)
    return why
