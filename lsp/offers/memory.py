"""What was offered in the open documents, given again as long as it is as true as it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import msgspec

from lsp.documents import Snapshot, key_of
from lsp.offers.extent import within
from lsp.offers.freshness import Setting, Source, is_fresh
from lsp.offers.offered import Found, Offer, Offered
from lsp.offers.suggestions import Suggestion, like_lines_of, remembered
from lsp.requests.asking import Asking, Question, Written
from lsp.settings import Settings
from lsp.writing import TOO_LATE

AT_ONCE_S = 0.001
"""Files that were looked at in less are looked at by the event loop itself, while that was a moment ago: what a system
knows of a file it keeps for longer, and another thread may have to wait for a processor."""

MOMENT_S = 1.0
"""Between two keys of somebody who types. Network file systems ask anew after three seconds and more."""


class _Look(msgspec.Struct, frozen=True):
    """At the files of one source."""

    source: Source
    at_s: float
    took_s: float


class Memory:
    """Of one server."""

    def __init__(
        self,
        asking: Asking,
        settings: Callable[[], Settings],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._asking = asking
        self._settings = settings
        self._clock = clock
        self._documents: dict[str, Offered] = {}
        self._last_look: _Look | None = None

    def of(self, key: str) -> Offered:
        return self._documents.setdefault(key, Offered())

    def forget(self, key: str) -> None:
        self._documents.pop(key, None)

    def landed(self, question: Question, written: Written) -> None:
        """Something was written, or the model had nothing to write there."""
        completion, text, at = written.completion, question.snapshot.text, question.offset
        if not completion.text and completion.reason == TOO_LATE:
            return  # another time it may be sooner
        why = "" if completion.text else completion.reason
        first = Offer(
            completion.text,
            completion.replaced,
            written.source,
            why,
            self.most_lines(question),
            completion.sureness,
        )
        others = [Offer(each.text, each.replaced, written.source) for each in completion.others]
        offered = self.of(key_of(question.snapshot.uri))
        offered.add(text[:at], text[at:], first, *others, choices=question.candidates > 1)

    async def suggestion(self, question: Question) -> Suggestion | str | None:
        """What is left of what was offered on the way to this place, or why there was nothing; None where that has to
        be asked for."""
        snapshot, offset, max_lines = question.snapshot, question.offset, self.most_lines(question)
        offered = self._documents.get(key_of(snapshot.uri))
        if offered is None:
            return None
        before, after = snapshot.text[:offset], snapshot.text[offset:]
        nothing = offered.nothing(before, after, max_lines)
        if nothing is not None and await self._is_fresh(nothing, snapshot):
            return nothing.why
        for found in offered.at(before, after):
            if not await self._is_fresh(found.offer, snapshot):
                offered.drop(found.anchor)
                continue
            short = within(_suggestion(found, snapshot, offset), max_lines)
            if short is not None:
                offered.used(found.anchor)
                return short
        return None

    async def choices(self, question: Question) -> list[Suggestion]:
        """All that there is to choose from at this very place; empty where that has to be asked for."""
        snapshot, offset, max_lines = question.snapshot, question.offset, self.most_lines(question)
        known = self.of(key_of(snapshot.uri)).choices(snapshot.text[:offset], snapshot.text[offset:])
        if not known or not await self._is_fresh(known[0], snapshot):
            return []
        shown = [
            remembered(snapshot, offset, like_lines_of(snapshot, each.text), each.replaced) for each in known
        ]
        return different(within(each, max_lines) for each in shown)

    async def _is_fresh(self, offer: Offer, snapshot: Snapshot) -> bool:
        setting, documents = self._asking.setting_of(snapshot), self._asking.open_files()
        if self._is_known_at_once(offer.source):
            return self._look(offer.source, setting, documents)
        return await asyncio.to_thread(self._look, offer.source, setting, documents)

    def _is_known_at_once(self, source: Source) -> bool:
        last = self._last_look
        if not source.files or last is None or last.source is not source:
            return not source.files
        return last.took_s <= AT_ONCE_S and self._clock() - last.at_s <= MOMENT_S

    def _look(self, source: Source, setting: Setting, documents: dict[str, Snapshot]) -> bool:
        began = self._clock()
        fresh = is_fresh(source, setting, documents)
        ended = self._clock()
        self._last_look = _Look(source, ended, ended - began)
        return fresh

    def most_lines(self, question: Question) -> int:
        """Of an answer."""
        return self._settings().max_lines if question.max_lines is None else question.max_lines

    def __len__(self) -> int:
        return len(self._documents)


def different(suggestions: Iterable[Suggestion | None]) -> list[Suggestion]:
    """Those that say something, each text once."""
    return list({each.text: each for each in suggestions if each is not None}.values())


def _suggestion(found: Found, snapshot: Snapshot, offset: int) -> Suggestion:
    text = like_lines_of(snapshot, found.left.text)
    suggestion = remembered(snapshot, offset, text, found.offer.replaced + found.left.closers)
    return msgspec.structs.replace(suggestion, chance=found.chance)
