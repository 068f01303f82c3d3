"""Which names a Python module may lead to at all, stars followed: a package that hands on a hundred modules is then not
searched for each name, and what is written within a function concerns none of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from indexer.modules.pathindex import PathIndex, above
from indexer.names.memos import Memos, Question
from indexer.names.rootfacts import RootFacts
from indexer.names.tables import TOP
from indexer.names.values import Module, Value

_PACKAGES = ("/__init__.py", "/__init__.pyi")
_ENDINGS = (".py", ".pyi")

_NO_NAMES = frozenset[str]()


class Surface(msgspec.Struct, frozen=True):
    """What of a module others may see: it stays the same while functions are written."""

    names: frozenset[str]
    stars: tuple[int, ...]
    """Its imports of everything."""


class Offers:
    """Answers may hold names that are not there after all, and lack none that are."""

    def __init__(self, facts: RootFacts, memos: Memos) -> None:
        self._facts = facts
        self._surface = Question(memos, self._surface_of)
        self._names = Question(memos, self._names_of)

    def may_have(self, value: Value, name: str) -> bool:
        """Whether `value.name` may mean something; True where that is not known."""
        return not (isinstance(value, Module) and value.family == "python") or name in self._names(value.path)

    def _surface_of(self, path: str) -> Surface:
        table = self._facts.table(path)
        names = frozenset((*table.top, *table.bound(TOP), *table.exports))
        return Surface(names, table.stars.get(TOP, ()))

    def _names_of(self, path: str) -> frozenset[str]:
        """Its own, those of all that it hands on, and the modules in their folders."""
        index = self._facts.files()
        inner = index.once("python modules by folder", lambda: _modules_by_folder(index))
        found, pending, known = set[str](), [path], {path}
        while pending:
            at = pending.pop()
            if at.endswith(("/", *_PACKAGES)) or above(at) == "":
                found |= inner.get(above(at), _NO_NAMES)
            if at.endswith("/"):
                continue
            surface = self._surface(at)
            found |= surface.names
            for number in surface.stars:
                fresh = [one for one in self._facts.targets(at)[number] if one not in known]
                known.update(fresh)
                pending += fresh
        return frozenset(found)


def _modules_by_folder(index: PathIndex) -> Mapping[str, frozenset[str]]:
    """Folder → what may be a module or a package in it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in index:
        stem, dot, ending = path.rpartition(".")
        if dot + ending not in _ENDINGS:
            continue
        while stem:
            folder, _, name = stem.rpartition("/")
            if name in found[folder]:
                break
            found[folder].add(name)
            stem = folder
    return {folder: frozenset(names) for folder, names in found.items()}
