"""The references of contents that were asked for last, as the store has them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

from indexer.tags import Site

Sites = dict[str, list[Site]]

_KEPT_SITES = 50_000
"""About 10 MB: what questions about one name lead to."""

_AT_ONCE = 200
"""Contents of one query of the store: as dear as the query of a few."""


class SiteSource(Protocol):
    """The part of the store that is asked; blocks."""

    def sites_of(self, keys: Iterable[str]) -> dict[str, Sites]: ...

    def keys_referring(self, name: str) -> list[str]: ...


class SiteCache:
    """From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Sites] = OrderedDict()
        self._count = 0
        self._expected: dict[str, None] = {}
        """Contents that are likely to be asked for next."""

    def referring(self, name: str, source: SiteSource) -> list[str]:
        """Keys of the contents that refer to `name`."""
        keys = source.keys_referring(name)
        with self._lock:
            self._expected = dict.fromkeys(key for key in keys if key not in self._known)
        return keys

    def of(self, key: str, source: SiteSource) -> Sites:
        """What a content refers to, by name."""
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
            asked = [key]
            if key in self._expected:
                del self._expected[key]
                asked += list(self._expected)[: _AT_ONCE - 1]
        found = source.sites_of(asked)
        with self._lock:
            for one in reversed(asked):
                self._expected.pop(one, None)
                self._put(one, found.get(one, {}))
        return found.get(key, {})

    def _put(self, key: str, sites: Sites) -> None:
        if key in self._known:
            return
        self._known[key] = sites
        self._count += sum(map(len, sites.values()))
        while self._count > _KEPT_SITES and len(self._known) > 1:
            _, dropped = self._known.popitem(last=False)
            self._count -= sum(map(len, dropped.values()))
