"""Follows every suggestion that was sent until it is known what came of it, and has that written down.

Nothing here is waited for by a completion: the document's changes are compared on the loop (microseconds), all else
happens beside it, in batches.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lsp.documents import Snapshot, key_of
from lsp.happened.kept import kept
from lsp.happened.offers import Candidate, Offer, offer_of
from lsp.offers.suggestions import plain

if TYPE_CHECKING:
    from lsp.happened.store import Store

KEPT_AFTER_S = 30.0
"""After its acceptance a text is looked for; the first of the times of Ziegler et al. 2022, arXiv 2205.06537."""

LEFT_S = 30.0
"""After something else was typed at its place nobody comes back to a suggestion."""

BATCH_S = 5.0
"""Between two looks at what is to be written."""

MAX_FOLLOWED = 64
"""Suggestions at a time whose fate is open; each holds its document's text. More than that is judged sooner."""

MAX_UNWRITTEN = 5_000
"""Records that wait for a disk that is full, or a file that is locked; the oldest are lost first."""

Part = Literal["all", "line", "word"]


class Ticket(msgspec.Struct, frozen=True):
    """One request: what answers it is one suggestion, however often it grows."""

    id: str
    asked_at: float


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What a client gets: texts to choose from for `start` to `end` of the snapshot."""

    snapshot: Snapshot
    start: int
    candidates: tuple[tuple[str, int], ...]
    """Each text, and where what it replaces ends."""
    given: int = 0
    """Characters at each text's beginning that the client has of its own list."""
    model: str = ""
    engine: bool = True
    """Whether the engine was needed."""


class Outcomes:
    """Of one server. `store` is made when something is to be written for the first time, in a thread."""

    def __init__(
        self,
        wanted: Callable[[], bool],
        store: Callable[[], Store] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.tells_shown = False
        """The client says what it shows: what it says nothing of was not shown."""
        self._wanted = wanted
        self._make_store = store or _store
        self._store: Store | None = None
        self._clock, self._now = clock, now
        self._live: dict[str, Offer] = {}
        """What each document's user sees, or saw last."""
        self._settled: list[Offer] = []
        """Of which nothing more can come but whether it is kept."""
        self._texts: dict[str, str] = {}
        """Of the documents that one of these is in, as they are."""
        self._unwritten: list[Any] = []
        self._written = self._lost = 0
        self._trouble = ""
        self._writing = asyncio.Lock()
        self._some = asyncio.Event()

    # ------------------------------------------------------------ what is sent

    def ticket(self) -> Ticket:
        return Ticket(secrets.token_hex(8), self._clock())

    def sent(self, ticket: Ticket, what: Sent) -> None:
        """A client gets this; `current` is then the id by which it tells what came of it."""
        if not self._wanted():
            return
        text, key = what.snapshot.text, key_of(what.snapshot.uri)
        end = min(end for _, end in what.candidates)
        before, after = text[: what.start], text[end:]
        candidates = tuple(Candidate(text, until - end) for text, until in what.candidates)
        offer = self._live.get(key)
        if offer is None or (offer.id != ticket.id and not offer.goes_on(before, after, candidates)):
            self._settle(key)
            at = self._now()
            day = datetime.fromtimestamp(at).astimezone().date().isoformat()
            offer = self._live[key] = offer_of(what.snapshot, id=ticket.id, at=at, day=day, model=what.model)
            offer.shown = False if self.tells_shown else None
            offer.engine = what.engine
        if offer.id == ticket.id:
            offer.latency_s = self._clock() - ticket.asked_at
        offer.renew(before, after, candidates, what.given)
        self._texts[key] = text
        self._some.set()

    # ------------------------------------------------------------ what comes of it

    def changed(self, snapshot: Snapshot) -> None:
        """A document has another text."""
        key = key_of(snapshot.uri)
        earlier = self._texts.get(key)
        if earlier is None:
            return
        self._texts[key] = snapshot.text
        offer = self._live.get(key)
        if offer is None:
            return
        step = offer.follow(snapshot.text)
        if step == "off":
            if offer.left_at is None and not offer.moved(earlier, snapshot.text):
                offer.left_at = self._clock()
            return
        offer.left_at = None
        if step == "taken":
            offer.taken_at = self._clock()
        if offer.is_whole:
            offer.outcome = "accepted" if offer.taken else "typed"
            self._settle(key)

    def closed(self, uri: str) -> None:
        """Of a document that is closed no more will be known: what was accepted in it is judged by what it is."""
        key = key_of(uri)
        self._settle(key)
        last = self._texts.pop(key, None)
        for offer in self._settled:
            if key_of(offer.uri) == key and offer.last is None:
                offer.last = last

    def current(self, uri: str) -> str:
        """The id of what this document's user sees, or saw last; empty where that is over, or not counted."""
        offer = self._live.get(key_of(uri))
        return "" if offer is None else offer.id

    def seen(self, id: str) -> None:
        """The client says that it shows it."""
        for offer in self._followed():
            if offer.id == id:
                offer.shown = True

    def accepted(self, id: str, part: Part = "all") -> None:
        """The client says that its user has taken it, or a part. It says so after it has told the change."""
        offer = next((each for each in self._followed() if each.id == id), None)
        if offer is None:
            return
        offer.told = True
        if part != "all":
            self._part_taken(offer)
        elif offer.outcome != "accepted":
            self._all_taken(offer)

    # ------------------------------------------------------------ in the background

    async def run(self) -> None:
        """Until it is cancelled; asleep while there is nothing to follow."""
        while True:
            await self._some.wait()
            await asyncio.sleep(BATCH_S)
            await self.tick()
            if not self._live and not self._settled and not self._unwritten:
                self._some.clear()

    async def tick(self) -> None:
        """Judges what was accepted long enough ago, and writes down what is over."""
        now = self._clock()
        for key, offer in tuple(self._live.items()):
            if offer.left_at is not None and now - offer.left_at >= LEFT_S:
                self._settle(key)
        await self._judge(
            lambda offer: offer.last is not None or now - (offer.taken_at or now) >= KEPT_AFTER_S
        )
        await self._write()

    async def close(self) -> None:
        """Everything that is followed ends here."""
        for key in tuple(self._live):
            self._settle(key)
        await self._judge(lambda _: True)
        await self._write()

    def describe(self) -> dict[str, Any]:
        """For `foreword/status`."""
        note = self._store.note if self._store is not None else ""
        return {
            "state": "on" if self._wanted() else "off",
            "path": str(self._store.path) if self._store is not None else None,
            "followed": len(self._live) + len(self._settled),
            "unwritten": len(self._unwritten),
            "written": self._written,
            "lost": self._lost,
            "reason": self._trouble or note,
        }

    # ------------------------------------------------------------ one suggestion

    def _followed(self) -> list[Offer]:
        return [*self._live.values(), *self._settled]

    def _settle(self, key: str) -> None:
        """No more of this document's suggestion will be taken."""
        offer = self._live.pop(key, None)
        if offer is None:
            return
        self._settled.append(offer)
        waiting = [each for each in self._settled if each.taken and not each.judged and each.last is None]
        if len(waiting) > MAX_FOLLOWED:
            waiting[0].last = self._texts.get(key_of(waiting[0].uri), waiting[0].then)

    def _all_taken(self, offer: Offer) -> None:
        key = key_of(offer.uri)
        candidate = offer.candidates[0] if offer.way is None else offer.way.candidate
        if not offer.taken:
            whole = offer.before + candidate.text + offer.after[candidate.replaced :]
            end = len(offer.before) + len(candidate.text)
            text = self._texts.get(key, whole) if offer.is_whole else whole
            offer.take(
                text,
                len(plain(candidate.text)) - offer.given,
                offer.way.end if offer.is_whole and offer.way else end,
            )
            offer.typed = 0
        offer.taken_at, offer.outcome = self._clock(), "accepted"
        if self._live.get(key) is offer:
            self._settle(key)

    def _part_taken(self, offer: Offer) -> None:
        """What had been thought to be typed in the last change was not."""
        key = key_of(offer.uri)
        if not offer.last_typed or offer.way is None or key not in self._texts:
            return
        offer.typed -= offer.last_typed
        offer.take(self._texts[key], offer.last_typed, offer.way.end)
        offer.last_typed, offer.taken_at = 0, self._clock()
        if offer.outcome == "typed":
            offer.outcome = "accepted"

    async def _judge(self, is_due: Callable[[Offer], bool]) -> None:
        due = [each for each in self._followed() if each.taken and not each.judged and is_due(each)]
        for offer in due:
            now = offer.last if offer.last is not None else self._texts.get(key_of(offer.uri), offer.then)
            then, accepted = offer.then, offer.accepted
            share = await asyncio.to_thread(kept, then, accepted, now)
            if offer.accepted == accepted:  # nothing more was taken while it was compared
                offer.kept, offer.judged = share, True

    async def _write(self) -> None:
        """What is over. Trouble is told in the status; it is tried again with the next batch."""
        # a batch that is under way ends by itself even where nobody waits for it any more: the next would be it again
        await asyncio.shield(asyncio.ensure_future(self._write_batch()))

    async def _write_batch(self) -> None:
        async with self._writing:
            over = [each for each in self._settled if each.judged or not each.taken]
            self._settled = [each for each in self._settled if not any(each is one for one in over)]
            self._unwritten.extend(each.record() for each in over)
            in_use = {key_of(each.uri) for each in self._settled} | set(self._live)
            self._texts = {key: text for key, text in self._texts.items() if key in in_use}
            if not self._unwritten:
                return
            from lsp.happened.store import StoreTrouble

            batch = list(self._unwritten)
            try:
                await asyncio.to_thread(self._append, batch)
            except StoreTrouble as trouble:
                self._trouble = str(trouble)
                self._lost += max(0, len(batch) - MAX_UNWRITTEN)
                self._unwritten = batch[-MAX_UNWRITTEN:]
                return
            self._trouble = ""
            self._written += len(batch)
            self._unwritten = []

    def _append(self, batch: list[Any]) -> None:
        if self._store is None:
            self._store = self._make_store()
        self._store.append(batch, date.fromtimestamp(self._now()))


def _store() -> Store:
    from lsp.happened.store import Store, path_of_store

    return Store(path_of_store())
