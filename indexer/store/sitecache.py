"""The references of contents that were asked for last, packed as the store has them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from indexer.parsing.tags import Site

_sites = msgspec.msgpack.Decoder(list[Site])

_KEPT_NAMES = 200_000
"""About 30 MB: all references of a middling repository, and in a large one what questions about some names lead
to."""

_AT_ONCE = 200
"""Contents of one query of the store: as dear as the query of a few."""


class PackedSites(Mapping[str, list[Site]]):
    """By name; unpacked when they are looked at, of which there are few: unpacked they take ten times the
    memory."""

    def __init__(self, packed: Mapping[str, bytes]) -> None:
        self._packed = packed

    def __getitem__(self, name: str) -> list[Site]:
        return _sites.decode(self._packed[name])

    def __contains__(self, name: object) -> bool:
        return name in self._packed

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


class SiteSource(Protocol):
    """The part of the store that is asked; blocks."""

    def holds(self, key: str) -> bool: ...

    def sites_of(self, keys: Iterable[str]) -> dict[str, PackedSites]: ...

    def keys_referring(self, name: str) -> list[str]: ...


_NONE = PackedSites({})


class SiteCache:
    """From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, PackedSites] = OrderedDict()
        self._count = 0
        self._expected: dict[str, None] = {}
        """Contents that are likely to be asked for next."""

    def referring(self, name: str, source: SiteSource) -> list[str]:
        """Keys of the contents that refer to `name`."""
        keys = source.keys_referring(name)
        with self._lock:
            self._expected = dict.fromkeys(key for key in keys if key not in self._known)
        return keys

    def of(self, key: str, source: SiteSource) -> PackedSites:
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
        held = [one for one in asked if source.holds(one)]
        found = source.sites_of(asked)
        with self._lock:
            for one in reversed(asked):
                self._expected.pop(one, None)
            for one in reversed(held):
                # one that the store lets go of, before or after it is asked, has references again when it comes back
                if one in found or source.holds(one):
                    self._put(one, found.get(one, _NONE))
        return found.get(key, _NONE)

    def _put(self, key: str, sites: PackedSites) -> None:
        if key in self._known:
            return
        self._known[key] = sites
        self._count += len(sites)
        while self._count > _KEPT_NAMES and len(self._known) > 1:
            _, dropped = self._known.popitem(last=False)
            self._count -= len(dropped)
