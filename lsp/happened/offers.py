"""One suggestion that was sent, and how far its document has come on the way through it."""

from __future__ import annotations

from typing import Literal

import msgspec

from lsp.documents import Snapshot
from lsp.happened.kept import Span, common_ends
from lsp.happened.records import Kind, Outcome, Record, short
from lsp.offers.suggestions import MAX_CLOSERS, closers_between, plain, typed_between

LEAST_TAKEN = 4
"""Marks that come at once and are not taken for typing: Neovim tells what is typed every 0.15 s, three at most."""

LEAST_LAST = 2
"""The same where nothing is left after them: the last mark alone is as likely typed."""

Step = Literal["off", "none", "typed", "taken"]
"""What a change did: it left the way through a suggestion, did nothing for it, or brought some of it."""


class Candidate(msgspec.Struct, frozen=True):
    """A text that takes the place of `replaced` characters behind `Offer.before`."""

    text: str
    replaced: int


class Way(msgspec.Struct, frozen=True):
    """How far a document has come: `reached` characters of the text (plain line ends), up to `end` of the document."""

    candidate: Candidate
    reached: int
    end: int


class Offer(msgspec.Struct, kw_only=True):
    """A suggestion whose fate is not known yet."""

    id: str
    uri: str
    at: float
    """Seconds since 1970."""
    day: str
    language: str
    model: str
    before: str
    after: str
    candidates: tuple[Candidate, ...]
    given: int = 0
    """Characters at the beginning of each text that are an item of the client's list, none of ours."""
    latency_s: float = 0.0
    engine: bool = False
    shown: bool | None = None
    told: bool = False
    characters: int = 0
    lines: int = 0
    past: int = 0
    """Characters from where it was offered first to where it is offered now."""
    way: Way | None = None
    """As far as the document came when it was on the way the last time."""
    typed: int = 0
    """Characters of it that came one by one."""
    last_typed: int = 0
    """Of these, the last change's."""
    taken: int = 0
    outcome: Outcome | None = None
    left_at: float | None = None
    """Since when something else stands at its place."""
    taken_at: float | None = None
    then: str = ""
    """The document when something of it was last accepted."""
    accepted: Span = Span(0, 0)
    """What has been accepted of it, in that document."""
    last: str | None = None
    """The document when it was closed."""
    judged: bool = False
    kept: float | None = None

    def follow(self, text: str) -> Step:
        """The document has this text now. Sets the way, and what has been typed and taken; not the outcome."""
        way = on_way(self, text)
        self.last_typed = 0
        if way is None:
            return "off"
        earlier = max(self.given, self.way.reached if self.way is not None else 0)
        self.way = way
        said = plain(way.candidate.text)[earlier : way.reached]
        marks = len("".join(said.split()))
        whole = self.is_whole
        if not said:
            return "none"
        if marks < (LEAST_LAST if whole else LEAST_TAKEN):
            self.typed += len(said)
            self.last_typed = len(said)
            return "typed"
        self.take(text, len(said), way.end)
        return "taken"

    def take(self, text: str, count: int, end: int) -> None:
        """So many characters up to `end` of the document were accepted."""
        start = max(0, end - count)
        earlier = self.then[self.accepted.start : self.accepted.end]
        if earlier and self.accepted.end <= start and text.startswith(earlier, self.accepted.start):
            start = self.accepted.start
        self.taken += count
        self.then, self.accepted, self.judged = text, Span(start, end), False

    @property
    def is_whole(self) -> bool:
        """Whether all of a text stands in the document."""
        return self.way is not None and self.way.reached == len(plain(self.way.candidate.text))

    def goes_on(self, before: str, after: str, candidates: tuple[Candidate, ...]) -> bool:
        """Whether these texts are what is left of this one, or this one again with what was taken back."""
        if len(before) >= len(self.before):
            if not before.startswith(self.before):
                return False
            way, back = plain(before[len(self.before) :]), ""
        else:
            if not self.before.startswith(before):
                return False
            way, back = "", plain(self.before[len(before) :])
        put = closers_between(after, self.after) is not None
        if not put and not any(after == self.after[each.replaced :] for each in self.candidates):
            return False
        here = [back + plain(each.text) for each in self.candidates]
        there = [way + plain(each.text) for each in candidates]
        return any(one.startswith(other) or other.startswith(one) for one in here for other in there)

    def renew(self, before: str, after: str, candidates: tuple[Candidate, ...], given: int) -> None:
        """From now on what stands before and behind it is this, and this is left of it."""
        first = candidates[0].text
        if self.characters:
            back = len(before) < len(self.before)
            self.past += (
                -len(plain(self.before[len(before) :])) if back else len(plain(before[len(self.before) :]))
            )
        self.before, self.after, self.candidates, self.given = before, after, candidates, given
        self.way, self.left_at = None, None
        offered = self.past + len(plain(first)) - given
        if offered > self.characters:
            self.characters = offered
            self.lines = max(self.lines, plain(first[given:]).strip("\n").count("\n") + 1)

    def moved(self, earlier: str, text: str) -> bool:
        """Whether what has changed stands on other lines, above or below; then what surrounds the suggestion is that
        from now on."""
        same_before, same_after = common_ends(earlier, text)
        here = len(self.before) if self.way is None else self.way.end
        old_end, growth = len(earlier) - same_after, len(text) - len(earlier)
        if old_end < len(self.before) and self._on_other_line(earlier, old_end, text, len(text) - same_after):
            self.before = text[: len(self.before) + growth]
            return True
        if same_before > here and "\n" in earlier[here:same_before]:
            self.after = text[len(text) - len(self.after) - growth :]
            return True
        return False

    def _on_other_line(self, earlier: str, old_end: int, text: str, new_end: int) -> bool:
        """Whether a change that ends here, before the suggestion, stands above its line."""
        if "\n" in earlier[old_end : len(self.before)]:
            return True
        return text[:new_end].endswith("\n") and (old_end == 0 or earlier[old_end - 1] == "\n")

    @property
    def kind(self) -> Kind:
        return "several lines" if self.lines > 1 else "one line"

    def settled(self) -> Outcome:
        """What came of it, if nothing more does."""
        if self.outcome is not None:
            return self.outcome
        if self.taken:
            return "partly"
        return "unseen" if self.shown is False else "rejected"

    def record(self) -> Record:
        taken = self.settled() in ("accepted", "partly")
        return Record(
            at=int(self.at),
            day=self.day,
            language=self.language,
            model=self.model,
            kind=self.kind,
            outcome=self.settled(),
            shown=True if taken and self.shown is False else self.shown,
            told=self.told,
            engine=self.engine,
            latency_ms=round(self.latency_s * 1000),
            characters=self.characters,
            lines=self.lines,
            taken_characters=self.taken,
            kept=self.kept,
        )


def on_way(offer: Offer, text: str) -> Way | None:
    """How far the document has come through one of the texts; None where something else was typed."""
    best: Way | None = None
    for candidate in offer.candidates:
        way = _through(offer, candidate, text)
        if way is not None and (best is None or way.reached > best.reached):
            best = way
    return best


def _through(offer: Offer, candidate: Candidate, text: str) -> Way | None:
    whole, behind = plain(candidate.text), offer.after[candidate.replaced :]
    end = len(text) - len(behind)
    start, most = len(offer.before), 2 * (len(whole) + MAX_CLOSERS)  # each line end may be two characters
    stands = bool(whole) and text.startswith(offer.before) and text.endswith(behind)
    if stands and plain(text[start : min(end, start + most)]).startswith(whole):
        return Way(candidate, len(whole), _end_of(text, start, whole))  # and perhaps what was typed after it
    for after in (offer.after, behind) if candidate.replaced else (offer.after,):
        if len(text) - start - len(after) > most:
            continue  # nothing that was pasted has to be looked through
        for between in typed_between(text, offer.before, after):
            if whole.startswith(between):
                return Way(candidate, len(between), _end_of(text, len(offer.before), between))
    return None


def _end_of(text: str, start: int, between: str) -> int:
    """Where `between`, whose line ends are plain, ends in a text that has it at `start`."""
    end = start
    for line in between.split("\n")[:-1]:
        end += len(line)
        end += 2 if text.startswith("\r\n", end) else 1
    return end + len(between) - (between.rfind("\n") + 1)


def offer_of(snapshot: Snapshot, *, id: str, at: float, day: str, model: str) -> Offer:
    """Of nothing yet."""
    language = short(snapshot.language, "unknown")
    return Offer(
        id=id,
        uri=snapshot.uri,
        at=at,
        day=day,
        language=language,
        model=short(model, "unknown"),
        before="",
        after="",
        candidates=(Candidate("", 0),),
    )
