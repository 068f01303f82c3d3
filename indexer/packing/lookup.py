"""Definitions as the gathering of one pack asks for them: by name, by path and by class, each found once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from indexer.messages import Definition
from indexer.packing.view import IndexView

MAX_SAME_NAME = 8
"""A name that more places define says nothing about which one is meant (`get`, `run`, `__init__`)."""


class Named(NamedTuple):
    """What has one name."""

    few: Sequence[Definition]
    """Outside the cursor's file; none where there are so many that the name says nothing."""
    places: int
    """With those of the cursor's file; where there are too many, any number that is."""


class Lookup:
    """Of one view, for the time of one pack."""

    def __init__(self, view: IndexView, own_names: Iterable[str]) -> None:
        """`own_names`: of the definitions that `view` hides, those of the cursor's file."""
        self._view = view
        self._own = Counter(own_names)
        self._named: dict[str, Named] = {}
        self._in: dict[str, Sequence[Definition]] = {}
        self._members: dict[str, Mapping[str, Sequence[Definition]]] = {}

    def named(self, name: str) -> Named:
        known = self._named.get(name)
        if known is None:
            found = self._view.few_named(name, MAX_SAME_NAME)
            count = self._own[name] + (len(found) if found is not None else MAX_SAME_NAME + 1)
            few = found if found is not None and count <= MAX_SAME_NAME else ()
            known = self._named[name] = Named(few, count)
        return known

    def in_path(self, path: str) -> Sequence[Definition]:
        """By start line."""
        known = self._in.get(path)
        if known is None:
            known = self._in[path] = self._view.definitions_in(path)
        return known

    def members(self, owner: Definition) -> list[Definition]:
        """What stands directly within a class, by start line."""
        by_container = self._members.get(owner.path)
        if by_container is None:
            found: defaultdict[str, list[Definition]] = defaultdict(list)
            for one in self.in_path(owner.path):
                found[one.container].append(one)
            by_container = self._members[owner.path] = found
        return [
            one
            for one in by_container.get(owner.name, ())
            if owner.start_line <= one.start_line < owner.end_line and one.name != owner.name
        ]
