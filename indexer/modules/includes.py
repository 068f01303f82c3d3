"""What a C or C++ file sees of the others: everything that it includes, and what is declared there."""

from __future__ import annotations

import posixpath

from indexer.modules.c import is_header
from indexer.names.memos import Memos, Question
from indexer.names.rootfacts import RootFacts
from indexer.names.tables import TOP, Table
from indexer.names.values import Place
from indexer.parsing.tags import TYPE_KINDS

_MOST_INCLUDED = 5_000
"""Files, all levels together; the largest programs have some 2,000 for one source."""

_DECLARATIONS = frozenset({"prototype"})


class Includes:
    def __init__(self, facts: RootFacts, memos: Memos) -> None:
        self._facts = facts
        self._closure = Question(memos, self._all_included)
        self.visible = Question(memos, self._visible)

    def _all_included(self, path: str) -> frozenset[str]:
        found: dict[str, None] = {path: None}
        pending = [path]
        while pending and len(found) < _MOST_INCLUDED:
            for targets in self._facts.targets(pending.pop()):
                for target in targets:
                    if target not in found:
                        found[target] = None
                        pending.append(target)
        return frozenset(found)

    def _visible(self, path: str, name: str) -> tuple[Place, ...]:
        """Definitions of a name at the top of what this file sees, its own first. What is only declared there is
        followed by where it is defined."""
        own = self._top(path, name)
        if any(self._is_whole(place) for place in own):
            return own
        seen = self._closure(path)
        others = [other for other in self._facts.defining(name) if other != path]
        found = [*own, *(place for other in others if other in seen for place in self._top(other, name))]
        declared = [place for place in found if not self._is_whole(place)]
        if declared:
            whole = [place for place in found if self._is_whole(place)]
            found = [*(whole or self._defined(declared, others, seen, name)), *declared]
        return tuple(dict.fromkeys(found))

    def in_namespace(self, path: str, namespace: str, name: str) -> tuple[Place, ...]:
        """What a namespace that is opened in this file holds, as this file sees it."""
        found: list[Place] = []
        for other, ordinal in self.visible(path, name):
            table = self._facts.table(other)
            around = [table.tags[one].name for one in table.chain(table.parent(ordinal))]
            if namespace in (*around, table.tags[ordinal].container):
                found.append((other, ordinal))
        return tuple(found)

    def _defined(
        self, declared: list[Place], others: list[str], seen: frozenset[str], name: str
    ) -> list[Place]:
        """Where something is defined that headers declare: in a source that includes one of them."""
        headers = {place[0] for place in declared}
        found: list[Place] = []
        for other in others:
            if other in seen or is_header(other):
                continue
            places = [
                place
                for place in self._top(other, name)
                if self._is_whole(place) and not self._facts.tag(place).signature.startswith("static ")
            ]
            if places and (self._closure(other) & headers or _stem(other) in map(_stem, headers)):
                found += places
        return found

    def _top(self, path: str, name: str) -> tuple[Place, ...]:
        table = self._facts.table(path)
        if table.family != "c":
            return ()
        found = [*table.top.get(name, ()), *self._in_unnamed(table, name)]
        return tuple((path, ordinal) for ordinal in dict.fromkeys(found))

    def _in_unnamed(self, table: Table, name: str) -> list[int]:
        """What names a namespace as its container, outside of it."""
        return [
            ordinal
            for container, members in table.open_containers.items()
            for ordinal in members.get(name, ())
            if table.parent(ordinal) == TOP and container in table.top
            if all(table.tags[one].kind == "module" for one in table.top[container])
        ]

    def _is_whole(self, place: Place) -> bool:
        tag = self._facts.tag(place)
        return tag.kind not in _DECLARATIONS or tag.kind in TYPE_KINDS


def _stem(path: str) -> str:
    return posixpath.basename(path).partition(".")[0]
