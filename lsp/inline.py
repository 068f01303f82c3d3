"""One inline completion as the server sees it: what was offered before costs nothing, newer requests replace older
ones or go along with them, and whatever yields no text yields a reason."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from lsp.asking import Asking, Question, Written
from lsp.asking import why_not_completed as why_not_completed
from lsp.base_keeper import BaseKeeper
from lsp.cadence import Cadence
from lsp.completion import Completion
from lsp.documents import Snapshot, key_of, line_around
from lsp.engine_link import EngineLink
from lsp.engines import Engine
from lsp.extent import most_lines, passed_over, within
from lsp.flights import CHANGED, Flights
from lsp.index_link import IndexLink
from lsp.inflight import InFlight
from lsp.memory import Memory
from lsp.settings import Settings
from lsp.suggestions import (
    Selected,
    Suggestion,
    accepted,
    closers_between,
    left_of,
    like_lines_of,
    plain,
    remembered,
)
from lsp.turns import REPLACED, Turns
from lsp.workspace import Workspace

CLOSED = "the document was closed"
NO_SUCH_LINE = "there is no such line"
NOT_OPEN = "the document is not open"

Told = Callable[[str], None]
Growing = Callable[[str, int], None]
"""Gets a text so far, and how many characters behind the cursor it replaces."""


class SelectedItem(msgspec.Struct, frozen=True):
    """The item selected in the client's suggestion list: it replaces `start` to `end` by `text`."""

    start: int
    end: int
    text: str


class Outcome(msgspec.Struct, frozen=True):
    """`text` replaces `start` to `end` of the snapshot that was asked about; without text there is a
    `reason`."""

    text: str = ""
    start: int = 0
    end: int = 0
    reason: str = ""


class InlineCompletions:
    """All completions of one server: one request of the client's at a time for each document."""

    def __init__(
        self, documents: Workspace, index: IndexLink, engine: EngineLink, settings: Callable[[], Settings]
    ) -> None:
        self.last: Completion | None = None
        self.last_empty_reason = ""
        self._documents = documents
        self._engine = engine
        self._settings = settings
        self._asking = Asking(documents, index, engine, settings)
        self._memory = Memory(self._asking, settings)
        self._cadence = Cadence(time.monotonic)
        self._flights = Flights(self._asking, engine, self._landed)
        self._turns = Turns(self._flights.linger)
        self._suggestions: dict[str, Suggestion] = {}
        """What each document's user sees, or saw last."""
        self._passed_over: dict[str, str] = {}

    @property
    def bases(self) -> BaseKeeper:
        return self._asking.bases

    def prompt_tokens(self, engine: Engine, key: str) -> int:
        """See `Asking.prompt_tokens`."""
        return self._asking.prompt_tokens(engine, key)

    async def answer(
        self,
        snapshot: Snapshot | None,
        offset: int | None,
        selected: SelectedItem | None = None,
        *,
        on_growing: Callable[[Outcome], None] | None = None,
    ) -> Outcome:
        """Cancelling this, or asking again for the same document, ends the request in the engine, unless what that
        writes is what is asked for again. `offset` is None where the document has no such line. `on_growing` gets the
        whole of it each time that it has grown; what is still growing may be taken back."""
        outcome = await self._answer(snapshot, offset, selected, on_growing or (lambda _: None))
        if not outcome.text:
            self.last_empty_reason = outcome.reason
        return outcome

    async def stream(
        self, snapshot: Snapshot | None, offset: int | None, on_text: Told, *, with_context: bool
    ) -> Completion:
        """One completion of the model's, told while it grows; nothing remembered answers in its place."""
        said = await self._stream(snapshot, offset, on_text, with_context)
        completion = Completion(text="", reason=said) if isinstance(said, str) else said
        if not completion.text:
            self.last_empty_reason = completion.reason
        return completion

    def changed(self, snapshot: Snapshot) -> None:
        """A document has another text."""
        self._cadence.edited(key_of(snapshot.uri))
        self._flights.changed(snapshot)

    def forget(self, uri: str) -> None:
        """The document was closed."""
        key = key_of(uri)
        for known in (self._suggestions, self._passed_over):
            known.pop(key, None)
        self._turns.end(key, CLOSED)
        self._flights.end_all_of(key, CLOSED)
        self._memory.forget(key)

    # ------------------------------------------------------------ one request after another

    async def _answer(
        self,
        snapshot: Snapshot | None,
        offset: int | None,
        selected: SelectedItem | None,
        on_growing: Callable[[Outcome], None],
    ) -> Outcome:
        if snapshot is None:
            return Outcome(reason=NOT_OPEN)
        key = key_of(snapshot.uri)
        if offset is None:
            self._alone(key)
            return Outcome(reason=NO_SUCH_LINE)
        asked, start, end = snapshot, offset, offset
        if selected is not None:
            taken = accepted(snapshot, offset, selected.start, selected.end, selected.text)
            if not isinstance(taken, Selected):
                self._alone(key)
                return Outcome(reason=taken)
            asked, offset, start, end = taken.snapshot, taken.offset, selected.start, selected.end
        item = "" if selected is None else selected.text

        def growing(text: str, replaced: int) -> None:
            if text.strip() and not self._gone(snapshot):
                on_growing(Outcome(item + text, start, end + replaced))

        most = self._most_lines(key, asked, offset, selected is not None)
        joined = self._flights.joined(key, asked.text[:offset], asked.text[offset:])
        said = await self._turns.take(key, self._suggest(asked, offset, most, joined, growing))
        if isinstance(said, str):
            return Outcome(reason=said)
        if why := self._gone(snapshot):
            return Outcome(reason=why)
        self._suggestions[key] = said
        self._flights.ahead.shown(key, asked, said, self._memory.of(key))
        return Outcome(item + said.text, start, end + said.replaced)

    async def _stream(
        self, snapshot: Snapshot | None, offset: int | None, on_text: Told, with_context: bool
    ) -> Completion | str:
        if snapshot is None:
            return NOT_OPEN
        key = key_of(snapshot.uri)
        self._alone(key)
        if offset is None:
            return NO_SUCH_LINE

        def told(text: str) -> None:
            if not self._gone(snapshot):
                on_text(like_lines_of(snapshot, text))

        flight = self._flights.begin(Question(snapshot=snapshot, offset=offset, with_context=with_context))
        written = await self._turns.take(key, flight.followed("", told))
        if isinstance(written, Written):
            self.last = written.completion
            return self._gone(snapshot) or written.completion
        return written or self._engine.reason

    def _alone(self, key: str) -> None:
        """Nothing that was asked for in this document before is wanted."""
        self._turns.end(key, REPLACED)
        self._flights.end_all_of(key, REPLACED)

    def _gone(self, snapshot: Snapshot) -> str:
        """Why an answer about this snapshot is of no use any more; empty where it is."""
        now = self._documents.get(snapshot.uri)
        if now is None:
            return CLOSED
        return "" if now.version == snapshot.version and now.text == snapshot.text else CHANGED

    # ------------------------------------------------------------ a suggestion

    def _most_lines(self, key: str, snapshot: Snapshot, offset: int, selected: bool) -> int:
        """How many lines the next answer for this document may have, by what its user has just done."""
        earlier = self._suggestions.get(key)
        if earlier is not None and not selected:
            above = passed_over(earlier, snapshot, offset)
            if above is not None:
                self._passed_over[key] = above
        wanted, above = self._settings().max_lines, self._passed_over.get(key)
        return most_lines(wanted, above, snapshot, offset, selected=selected)

    async def _suggest(
        self, snapshot: Snapshot, offset: int, max_lines: int, joined: InFlight | None, growing: Growing
    ) -> Suggestion | str:
        """A suggestion, or why there is none."""
        key = key_of(snapshot.uri)
        if self._engine.engine is not None or self._engine.state != "off":
            known = await self._memory.suggestion(key, snapshot, offset, max_lines)
            if known is not None:
                self._flights.end(key, REPLACED)
                return known
        if joined is not None:
            said = await self._left(joined, snapshot, offset, max_lines, growing)
            if said is not None:
                return said
        await self._until_a_pause(key, snapshot, offset)
        flight = self._flights.begin(Question(snapshot=snapshot, offset=offset, max_lines=max_lines))
        said = await self._left(flight, snapshot, offset, max_lines, growing)
        assert said is not None, "a request goes along with itself"
        return said

    async def _until_a_pause(self, key: str, snapshot: Snapshot, offset: int) -> None:
        """Whoever asks again in the meantime ends this."""
        engine = self._engine.engine
        if engine is not None:
            line_before, _ = line_around(snapshot.text, offset)
            await asyncio.sleep(self._cadence.wait_s(key, line_before, engine.endpoint.name))

    def _landed(self, question: Question, written: Written) -> None:
        """Something was written, whether somebody still waits for it or not."""
        self._memory.landed(question, written)
        if not question.ahead and self._engine.engine is not None:
            self._cadence.answered(self._engine.engine.endpoint.name, written.completion.total_s)

    async def _left(
        self, flight: InFlight, snapshot: Snapshot, offset: int, max_lines: int, growing: Growing
    ) -> Suggestion | str | None:
        """What is left here of what is written, or why there is nothing; None where that is worth another request."""
        before, after = snapshot.text[:offset], snapshot.text[offset:]
        typed, closers = plain(before[len(flight.before) :]), closers_between(after, flight.after)

        def told(text: str) -> None:
            growing(like_lines_of(snapshot, text), len(closers or ""))

        written = await flight.followed(typed, told)
        if isinstance(written, str):
            return written or self._engine.reason
        if written is None or closers is None:
            return None
        self.last = completion = written.completion
        if len(flight.before) == offset:
            if not completion.text:
                return completion.reason
            return remembered(snapshot, offset, completion.text, completion.replaced)
        left = left_of(plain(completion.text), typed, closers)
        if left is None:
            return None
        text = like_lines_of(snapshot, left.text)
        return within(remembered(snapshot, offset, text, completion.replaced + left.closers), max_lines)
