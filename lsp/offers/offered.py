"""What was offered in one document, as a tree: a place leads by what was offered there to further places.

Whoever types along, deletes back, accepts a word, a line or all of it, or undoes that, is at a place that this tree
knows the way from, so that nothing is asked again. Places are known by what stands before and after them, so that one
is only found again where all of the document is as it was. Lines of offered texts end in \\n.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from lsp.offers.freshness import Source
from lsp.offers.suggestions import MAX_CLOSERS, Left, are_closers, left_of, plain
from lsp.offers.sureness import Sureness

MAX_PLACES = 64
"""Of a document: what was typed within some minutes. With three texts of 2 kB each they take 0.4 MB at most."""


class Offer(msgspec.Struct, frozen=True):
    """One text that was offered at a place, in place of `replaced` characters after it; or that there was none."""

    text: str
    replaced: int
    source: Source
    why: str = ""
    """Why there was none."""
    max_lines: int = 0
    """That were asked for, where there was none: of fewer there may be some, and of more."""
    sureness: Sureness | None = None
    """Of the text, where it is known."""


class Found(msgspec.Struct, frozen=True):
    """What is left of an offer at another place."""

    anchor: Anchor
    offer: Offer
    left: Left

    @property
    def chance(self) -> float | None:
        """That the first line of what is left is right; None where that is not known."""
        offer, sureness = self.offer, self.offer.sureness
        return (
            None if sureness is None else sureness.of_line(offer.text, len(offer.text) - len(self.left.text))
        )


class Anchor(msgspec.Struct, frozen=True):
    """Between two texts, which are known by their lengths and hashes: a document may have megabytes."""

    before: int
    before_hash: int
    after: int
    after_hash: int


class Offered:
    """Of one document. The places that were used last are kept."""

    def __init__(self) -> None:
        self._places: OrderedDict[Anchor, tuple[Offer, ...]] = OrderedDict()
        self._choices: set[Anchor] = set()

    def add(self, before: str, after: str, *offers: Offer, choices: bool = False) -> None:
        """Offers at a place, the best first, instead of those that were known there. `choices`: there are no more."""
        place = anchor_between(before, after)
        self._places[place] = tuple(msgspec.structs.replace(each, text=plain(each.text)) for each in offers)
        self._choices.discard(place)
        if choices:
            self._choices.add(place)
        self._places.move_to_end(place)
        while len(self._places) > MAX_PLACES:
            gone, _ = self._places.popitem(last=False)
            self._choices.discard(gone)

    def knows(self, before: str, after: str) -> bool | None:
        """Whether there was something to offer at this very place; None where nobody has asked."""
        place = self._place(before, after)
        return None if place is None else any(each.text for each in self._places[place])

    def at(self, before: str, after: str) -> list[Found]:
        """What is left of all that was offered on the way to this place, what was used last first."""
        found: list[Found] = []
        for place, offers in reversed(self._places.items()):
            closers = self._closers(place, before, after, offers)
            if closers is None:
                continue
            typed = plain(before[place.before :])
            for offer in offers:
                left = left_of(offer.text, typed, closers)
                if left is not None:
                    found.append(Found(place, offer, left))
        return found

    def nothing(self, before: str, after: str, max_lines: int) -> Offer | None:
        """That at this very place there was nothing to offer; None where that is not known."""
        place = self._place(before, after)
        offers = () if place is None else self._places[place]
        return next((each for each in offers if each.why and each.max_lines == max_lines), None)

    def choices(self, before: str, after: str) -> tuple[Offer, ...]:
        """All that there is to choose from at this very place; empty where nobody has asked for that."""
        place = self._place(before, after)
        return self._places[place] if place is not None and place in self._choices else ()

    def used(self, place: Anchor) -> None:
        if place in self._places:
            self._places.move_to_end(place)

    def drop(self, place: Anchor) -> None:
        """What was offered there is not true any more."""
        self._places.pop(place, None)
        self._choices.discard(place)

    def __len__(self) -> int:
        return len(self._places)

    def _place(self, before: str, after: str) -> Anchor | None:
        """This very place, if it is known. Lengths tell mostly that it is not, before a whole document is hashed."""
        sizes = len(before), len(after)
        if not any((each.before, each.after) == sizes for each in self._places):
            return None
        place = anchor_between(before, after)
        return place if place in self._places else None

    def _closers(self, place: Anchor, before: str, after: str, offers: tuple[Offer, ...]) -> str | None:
        """What editors have put behind the cursor on the way from `place`; None where there is no such way. The costly
        comparisons come last."""
        typed, put = len(before) - place.before, len(after) - place.after
        longest = max(len(offer.text) for offer in offers)
        # a break of two characters counts as one in the offer
        if not 0 <= typed <= 2 * longest or not 0 <= put <= MAX_CLOSERS or not are_closers(after[:put]):
            return None
        way = plain(before[place.before :])
        if not any(offer.text.startswith(way) for offer in offers):
            return None
        same = hash(after[put:]) == place.after_hash and hash(before[: place.before]) == place.before_hash
        return after[:put] if same else None


def anchor_between(before: str, after: str) -> Anchor:
    return Anchor(len(before), hash(before), len(after), hash(after))
