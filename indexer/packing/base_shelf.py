"""The bases of one root: the latest for each tokenizer and budget, and those that somebody may still use."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection

from indexer.packing.base import NO_BASE, Base, Facts, Memo, make_base
from indexer.packing.base import BaseKey as BaseKey
from indexer.packing.census import Census, take_census
from indexer.packing.tokens import SegmentTokenizer
from indexer.packing.view import IndexView

KEPT_BASES = 4
"""Of one root, a few megabytes each: one client may still use a base that another has had made anew."""

OVERLAY_SHARE = 1 / 2
"""Of what the overlay may take. When what has changed takes more, the base is cut in places that will not heal soon."""


def repack_is_due(base: Base, usable: int, overlay_tokens: int, room: int, *, idle: bool) -> bool:
    """Whether the base should be made anew without what has changed: `usable` segments of it are true, and what has
    changed takes `overlay_tokens` of the `room` that it may take. While nobody waits any cut is a reason; else only
    when the overlay has grown past its share, since whatever follows the cut is read anew."""
    cut = usable < len(base.segments)
    return cut and (idle or overlay_tokens > room * OVERLAY_SHARE)


class BaseShelf:
    """From any thread; one base is made at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._bases: OrderedDict[str, Base] = OrderedDict()
        """By id, the least recently asked for first."""
        self._latest: OrderedDict[BaseKey, Base] = OrderedDict()
        self._memos: dict[BaseKey, Memo] = {}
        self._census: Census | None = None

    def find(self, key: BaseKey, id_: str = "") -> Base | None:
        """The base of this id, the latest where it is not known any longer or counted otherwise; None where none was
        made yet."""
        with self._lock:
            found = self._known(key, id_) or self._latest.get(key)
            if found is not None and found.id in self._bases:
                self._bases.move_to_end(found.id)
            return found

    def by_id(self, key: BaseKey, id_: str) -> Base | None:
        """Exactly this one, as long as it is known, if it is counted as one for `key` is."""
        with self._lock:
            return self._known(key, id_)

    def _known(self, key: BaseKey, id_: str) -> Base | None:
        found = self._bases.get(id_)
        return found if found is not None and found.made_for.counts_as(key) else None

    def make(
        self,
        key: BaseKey,
        view: IndexView,
        tokenizer: SegmentTokenizer,
        facts: Facts,
        *,
        again: bool = False,
    ) -> Base:
        """The latest base, made if there is none, or if `again`: then without what has changed and what is in hand.
        None is made of an index that is still being built. Blocks."""
        with self._making:
            known = self.find(key)
            if known is not None and not again:
                return known
            if not view.ready:
                return NO_BASE
            left_out = in_hand(view)
            base = make_base(
                view,
                self._counted(view, facts, left_out),
                tokenizer,
                facts,
                key,
                left_out=left_out,
                memo=self._memos.setdefault(key, {}),
                before=known if known is not None else NO_BASE,
            )
            self._keep(key, base)
            return base

    def _counted(self, view: IndexView, facts: Facts, left_out: Collection[str]) -> Census:
        """The last census, as long as all that it may be asked about is as it was."""
        rest = [path for path in view.files() if path not in left_out]
        if self._census is None or not self._census.holds_for(view, rest):
            self._census = take_census(view, facts.names_used())
        return self._census

    def _keep(self, key: BaseKey, base: Base) -> None:
        with self._lock:
            self._latest[key] = base
            self._latest.move_to_end(key)
            self._bases[base.id] = base
            self._bases.move_to_end(base.id)
            while len(self._bases) > KEPT_BASES:
                self._bases.popitem(last=False)
            while len(self._latest) > KEPT_BASES:
                dropped, _ = self._latest.popitem(last=False)
                self._memos.pop(dropped, None)


def in_hand(view: IndexView) -> frozenset[str]:
    """What is not as the merge-base has it, and what this user edits or looks at: each would cut the base soon."""
    history = view.history
    places = (*history.edited, *history.viewed)
    return history.changed.union(place.path for place in places)
