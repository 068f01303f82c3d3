"""Follows imports to the definitions that they bind, through re-exports, in the living text of one root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from indexer.imports import Import, PathIndex, resolve
from indexer.messages import Definition
from indexer.view import IndexView

MAX_REEXPORTS = 5
"""How many files a name may be handed on through; real packages use one or two."""

MAX_FILES = 40
"""Files looked at for one import: a Go package or a Java wildcard has several."""

PACKAGE_STEMS = frozenset({"__init__", "index", "mod", "lib"})
"""Files that stand for their folder."""

Found = tuple[str, tuple[Definition, ...]]
"""A path and the definitions there; without any, the file itself is meant, as a module."""


class Binding(msgspec.Struct, frozen=True):
    """What a local name means: definitions in the first of `paths`, or, without any, the module that these
    are."""

    local: str
    paths: tuple[str, ...]
    definitions: tuple[Definition, ...]
    import_line: int
    star: bool = False
    """Bound by `import *` or `#include`, which says nothing about whether it is wanted."""


class Bindings:
    """Resolves the imports of one file. `own_path` is never an answer."""

    def __init__(self, view: IndexView, own_path: str) -> None:
        self._view = view
        self._own_path = own_path
        files = view.files()
        self.files = files if isinstance(files, PathIndex) else PathIndex(files)
        self._by_file: dict[str, dict[str, list[Definition]]] = {}

    def of(self, imports: Sequence[Import]) -> list[Binding]:
        """The bindings of those imports that lead to a file of the root, in their order."""
        return [binding for import_ in imports for binding in self._bind(import_)]

    def attribute(self, module: Binding, name: str) -> Found | None:
        """What `module.name` means."""
        return self._first(name, module.paths, 0, frozenset())

    def _bind(self, import_: Import) -> Iterator[Binding]:
        paths = tuple(path for path in resolve(import_, self._own_path, self.files) if path != self._own_path)
        paths = paths[:MAX_FILES]
        if not paths:
            return
        if import_.name == "*":
            yield from self._bind_all(paths, import_.line)
            return
        local = import_.alias or import_.name or import_.module.replace("/", ".").rsplit(".", 1)[-1]
        found = None if import_.name is None else self._first(import_.name, paths, 0, frozenset())
        if found is not None and found[1]:
            yield Binding(local, found[:1], found[1], import_.line)
        else:
            yield Binding(local, paths if found is None else found[:1], (), import_.line)

    def _bind_all(self, paths: Sequence[str], line: int) -> Iterator[Binding]:
        for path in paths:
            for name, definitions in self._top_level(path).items():
                yield Binding(name, (path,), tuple(definitions), line, star=True)

    def _first(self, name: str, paths: Sequence[str], depth: int, seen: frozenset[str]) -> Found | None:
        for path in paths:
            if found := self._find(name, path, depth, seen):
                return found
        return next(((path, ()) for path in paths if _stands_for(path, name)), None)

    def _find(self, name: str, path: str, depth: int, seen: frozenset[str]) -> Found | None:
        """Where `name` of the module `path` is really defined."""
        if path in seen or path == self._own_path or depth > MAX_REEXPORTS:
            return None
        if definitions := self._top_level(path).get(name):
            return path, tuple(definitions)
        handed_on = self._view.imports_of(path)
        named = [one for one in handed_on if one.name != "*" and (one.alias or one.name) == name]
        stars = [one for one in handed_on if one.name == "*"]
        for import_ in [*named, *reversed(stars)]:
            inner = import_.name if import_.name not in (None, "*") else name
            targets = resolve(import_, path, self.files)[:MAX_FILES]
            if found := self._first(str(inner), targets, depth + 1, seen | {path}):
                return found
        return None

    def _top_level(self, path: str) -> dict[str, list[Definition]]:
        """Definitions of a file that stand in nothing else, by name."""
        known = self._by_file.get(path)
        if known is None:
            known = self._by_file[path] = {}
            for definition in self._view.definitions_in(path):
                if not definition.container:
                    known.setdefault(definition.name, []).append(definition)
        return known


def _stands_for(path: str, name: str) -> bool:
    """Whether this file is the module `name`."""
    parts = path.split("/")
    stem = parts[-1].split(".", 1)[0]
    return stem == name or (stem in PACKAGE_STEMS and len(parts) > 1 and parts[-2] == name)
