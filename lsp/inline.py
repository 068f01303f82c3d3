"""One inline completion as the server sees it: what was offered before costs nothing, newer requests replace older
ones or go along with them, and whatever yields no text yields a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lsp.completion import Completion
from lsp.documents import Snapshot, key_of
from lsp.happened.outcomes import Outcomes, Sent, Ticket
from lsp.links.base_keeper import BaseKeeper
from lsp.links.engine_link import EngineLink
from lsp.links.engines import Engine
from lsp.links.index_link import IndexLink
from lsp.offers.extent import most_lines, passed_over
from lsp.offers.suggestions import Selected, Suggestion, accepted, like_lines_of
from lsp.requests.asking import Asking, Question, Written
from lsp.requests.flights import CHANGED
from lsp.requests.turns import REPLACED, Turns
from lsp.settings import Settings
from lsp.suggesting import Suggesting
from lsp.workspace import Workspace

CLOSED = "the document was closed"
NO_SUCH_LINE = "there is no such line"
NOT_OPEN = "the document is not open"

Told = Callable[[str], None]


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
    others: tuple[Outcome, ...] = ()
    """To choose from beside it, the better first."""


class InlineCompletions:
    """All completions of one server: one request of the client's at a time for each document."""

    def __init__(
        self,
        documents: Workspace,
        index: IndexLink,
        engine: EngineLink,
        settings: Callable[[], Settings],
        outcomes: Outcomes | None = None,
    ) -> None:
        self.last_empty_reason = ""
        self.outcomes = outcomes or Outcomes(lambda: settings().stats)
        self._documents = documents
        self._engine = engine
        self._settings = settings
        self._asking = Asking(documents, index, engine, settings)
        self._suggesting = Suggesting(self._asking, engine, settings)
        self._turns = Turns(self._suggesting.flights.linger)
        self._suggestions: dict[str, list[Suggestion]] = {}
        """What each document's user sees, or saw last; several where they are to choose from."""
        self._passed_over: dict[str, str] = {}

    @property
    def last(self) -> Completion | None:
        """Of the model's."""
        return self._suggesting.last

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
        invoked: bool = False,
    ) -> Outcome:
        """Cancelling this, or asking again for the same document, ends the request in the engine, unless what that
        writes is what is asked for again. `offset` is None where the document has no such line. `on_growing` gets the
        whole of it each time that it has grown; what is still growing may be taken back. `invoked`: somebody wants to
        choose from several."""
        outcome = await self._answer(snapshot, offset, selected, on_growing or (lambda _: None), invoked)
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
        key, cadence = key_of(snapshot.uri), self._suggesting.cadence
        shown = self._suggestions.get(key, [])
        cadence.edited(key)
        if any(snapshot.text == each.before + each.text + each.after[each.replaced :] for each in shown):
            cadence.accepted(key)
        self._suggesting.flights.changed(snapshot)
        self.outcomes.changed(snapshot)

    def rests(self, snapshot: Snapshot, offset: int) -> None:
        """A document's cursor stays here, and nobody types."""
        self._suggesting.resting.at(snapshot, offset)

    def read_ahead(self) -> dict[str, Any]:
        """See `Resting.describe`."""
        return self._suggesting.resting.describe()

    def forget(self, uri: str) -> None:
        """The document was closed."""
        key = key_of(uri)
        for known in (self._suggestions, self._passed_over):
            known.pop(key, None)
        self._turns.end(key, CLOSED)
        self._suggesting.flights.end_all_of(key, CLOSED)
        self._suggesting.resting.closed(key)
        self._suggesting.memory.forget(key)
        self.outcomes.closed(uri)

    # ------------------------------------------------------------ one request after another

    async def _answer(
        self,
        snapshot: Snapshot | None,
        offset: int | None,
        selected: SelectedItem | None,
        on_growing: Callable[[Outcome], None],
        invoked: bool,
    ) -> Outcome:
        if snapshot is None:
            return Outcome(reason=NOT_OPEN)
        key = key_of(snapshot.uri)
        if offset is None:
            self._alone(key)
            return Outcome(reason=NO_SUCH_LINE)
        asked, start, end, ticket = snapshot, offset, offset, self.outcomes.ticket()
        if selected is not None:
            taken = accepted(snapshot, offset, selected.start, selected.end, selected.text)
            if not isinstance(taken, Selected):
                self._alone(key)
                return Outcome(reason=taken)
            asked, offset, start, end = taken.snapshot, taken.offset, selected.start, selected.end
        item = "" if selected is None else selected.text

        def growing(text: str, replaced: int) -> None:
            if text.strip() and not self._gone(snapshot):
                part = Outcome(item + text, start, end + replaced)
                self._sent(ticket, snapshot, part, len(item), engine=True)
                on_growing(part)

        supposed = selected is not None
        most = self._most_lines(key, asked, offset, supposed)
        question = Question(
            snapshot=asked, offset=offset, max_lines=most, supposed=supposed, weighed=not invoked
        )

        def gone() -> str:
            return self._gone(snapshot)

        seen = next(iter(self._suggestions.get(key, [])), None)
        suggesting = (
            self._suggesting.choose(question, growing, gone)
            if invoked
            else self._suggesting.suggest(question, growing, gone, seen)
        )
        said = await self._turns.take(key, suggesting)
        if isinstance(said, str):
            return Outcome(reason=said)
        if why := self._gone(snapshot):
            return Outcome(reason=why)
        shown = said[0]
        self._suggestions[key] = said
        self._suggesting.flights.ahead.shown(key, asked, shown, self._suggesting.memory.of(key))
        others = tuple(Outcome(item + each.text, start, end + each.replaced) for each in said[1:])
        outcome = Outcome(item + shown.text, start, end + shown.replaced, others=others)
        self._sent(ticket, snapshot, outcome, len(item), engine=shown.asked)
        return outcome

    async def _stream(
        self, snapshot: Snapshot | None, offset: int | None, on_text: Told, with_context: bool
    ) -> Completion | str:
        if snapshot is None:
            return NOT_OPEN
        key = key_of(snapshot.uri)
        self._alone(key)
        if offset is None:
            return NO_SUCH_LINE

        ticket = self.outcomes.ticket()

        def sent(text: str, replaced: int = 0) -> None:
            if text.strip():
                self._sent(ticket, snapshot, Outcome(text, offset, offset + replaced), 0, engine=True)

        def told(text: str) -> None:
            if not self._gone(snapshot):
                text = like_lines_of(snapshot, text)
                sent(text)
                on_text(text)

        flight = self._suggesting.flights.begin(
            Question(snapshot=snapshot, offset=offset, with_context=with_context)
        )
        written = await self._turns.take(key, self._suggesting.flights.followed(flight, "", told))
        if isinstance(written, Written):
            self._suggesting.last = completion = written.completion
            if why := self._gone(snapshot):
                return why
            sent(completion.text, completion.replaced)
            return completion
        return written or self._engine.reason

    def _sent(
        self, ticket: Ticket, snapshot: Snapshot, outcome: Outcome, given: int, *, engine: bool
    ) -> None:
        """The client gets this: from now on it is followed. The first `given` characters are of its own list."""
        sent = Sent(
            snapshot=snapshot,
            start=outcome.start,
            candidates=tuple((each.text, each.end) for each in (outcome, *outcome.others)),
            given=given,
            model=self._engine.model,
            engine=engine,
        )
        self.outcomes.sent(ticket, sent)

    def _alone(self, key: str) -> None:
        """Nothing that was asked for in this document before is wanted."""
        self._turns.end(key, REPLACED)
        self._suggesting.flights.end_all_of(key, REPLACED)

    def _gone(self, snapshot: Snapshot) -> str:
        """Why an answer about this snapshot is of no use any more; empty where it is."""
        now = self._documents.get(snapshot.uri)
        if now is None:
            return CLOSED
        return "" if now.version == snapshot.version and now.text == snapshot.text else CHANGED

    def _most_lines(self, key: str, snapshot: Snapshot, offset: int, selected: bool) -> int:
        """How many lines the next answer for this document may have, by what its user has just done."""
        earlier = self._suggestions.get(key)
        if earlier and not selected:
            first, *others = earlier
            above = passed_over(first, snapshot, offset)
            typed = snapshot.text[len(first.before) : offset]
            if above is not None and not any(each.text.startswith(typed) for each in others):
                self._passed_over[key] = above
        wanted, above = self._settings().max_lines, self._passed_over.get(key)
        return most_lines(wanted, above, snapshot, offset, selected=selected)
