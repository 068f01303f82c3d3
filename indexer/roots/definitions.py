"""The definitions of files as they are told to those who ask, made once for each content."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from indexer.messages import Definition
from indexer.packing.view import definition_of
from indexer.parsing.tags import Tag

KEPT_DEFINITIONS = 20_000
"""Of the files asked for last, about 6 MB: as many as are kept unpacked."""


class FileDefinitions:
    """Of one file with one content."""

    def __init__(self, path: str, tags: Sequence[Tag]) -> None:
        self.all = tuple(definition_of(path, tag) for tag in tags)
        """By place."""
        self._named: Mapping[str, Sequence[Definition]] | None = None

    def named(self, name: str) -> Sequence[Definition]:
        """Those of exactly this name, by place."""
        if self._named is None:
            found: dict[str, list[Definition]] = {}
            for one in self.all:
                found.setdefault(one.name, []).append(one)
            self._named = found
        return self._named.get(name, ())


NO_DEFINITIONS = FileDefinitions("", ())


class DefinitionMemory:
    """From any thread."""

    def __init__(self, limit: int = KEPT_DEFINITIONS) -> None:
        self._limit = limit
        self._count = 0
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], FileDefinitions] = OrderedDict()

    def of(self, path: str, key: str, tags: Callable[[], Sequence[Tag]]) -> FileDefinitions:
        """`key`: the identity of the content, which `tags` gives the definitions of."""
        place = path, key
        with self._lock:
            known = self._known.get(place)
            if known is not None:
                self._known.move_to_end(place)
                return known
        made = FileDefinitions(path, tags())
        with self._lock:
            if place not in self._known:
                self._known[place] = made
                self._count += len(made.all)
            while self._count > self._limit and len(self._known) > 1:
                _, dropped = self._known.popitem(last=False)
                self._count -= len(dropped.all)
        return made
