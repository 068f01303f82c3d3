"""What the imports of a document that is being written bind, for whoever chooses what a model reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from indexer.messages import Definition
from indexer.modules import go
from indexer.modules.resolution import indexed
from indexer.names.values import Module, Names, Value
from indexer.packing.view import GraphView, definition_of
from indexer.parsing.imports import Import
from indexer.parsing.tags import Tags, by_place

if TYPE_CHECKING:
    from indexer.graph import Graph
    from indexer.parsing.tags import Site, Tag

MAX_FILES = 40
"""Files looked at for one import: a Go package or a Java wildcard has several."""

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


class Written:
    """A view in which one path has these facts: the text that is being written is newer than what the view has
    of it."""

    def __init__(self, view: GraphView, path: str, facts: Tags) -> None:
        self._view = view
        self._path = path
        self._tags = by_place(facts.definitions)
        self._facts = facts
        self._names = {tag.name for tag in self._tags}
        self._key = f"written {_identity(self._tags, facts)}"
        self.state = (view.state, path, self._key)
        self.files = view.files
        self.text = view.text
        self.referring = view.referring

    def key_of(self, path: str) -> str:
        return self._key if path == self._path else self._view.key_of(path)

    def tags_in(self, path: str) -> Sequence[Tag]:
        return self._tags if path == self._path else self._view.tags_in(path)

    def imports_of(self, path: str) -> Sequence[Import]:
        return self._facts.imports if path == self._path else self._view.imports_of(path)

    def types_of(self, path: str) -> Mapping[str, str]:
        return self._facts.types if path == self._path else self._view.types_of(path)

    def sites_of(self, path: str) -> Mapping[str, Sequence[Site]]:
        return self._facts.references if path == self._path else self._view.sites_of(path)

    def defining(self, name: str) -> Sequence[str]:
        paths = [path for path in self._view.defining(name) if path != self._path]
        return sorted([*paths, self._path]) if name in self._names else paths


def _identity(tags: Sequence[Tag], facts: Tags) -> str:
    """Equal for texts that say the same, wherever in the text they say it."""
    told = [(tag.name, tag.kind, tag.container, tag.bases, tag.result, tag.signature) for tag in tags]
    digest = hashlib.blake2b(
        repr((told, facts.imports, facts.types)).encode("utf-8", "replace"), digest_size=16
    )
    return digest.hexdigest()


class Bindings:
    """Resolves the imports of one file. `own_path` is never an answer."""

    def __init__(self, graph: Graph, view: Written, own_path: str) -> None:
        """`view`: with the text of `own_path` as it is written now."""
        self._own_path = own_path
        self._graph = graph
        self._view = view
        self.files = indexed(view.files())

    def of(self, imports: Sequence[Import]) -> list[Binding]:
        """The bindings of those imports of the document that lead to a file of the root, in their order."""
        found: list[Binding] = []
        for import_, values in zip(imports, self._graph.imports_of(self._view, self._own_path), strict=True):
            if import_.name == "*":
                found += (one for value in values for one in self._everything(value, import_.line))
            else:
                found += (one for value in values for one in self._one(import_, value))
        return found

    def attribute(self, module: Binding, name: str) -> Found | None:
        """What `module.name` means."""
        for path in module.paths:
            found = self._graph.member_of(self._view, path, name)
            if isinstance(found, Names):
                there = self._found(found)
                return there if there[0] != self._own_path else None
            if isinstance(found, Module):
                files = self._files_of(found)
                return (files[0], ()) if files else None
        return None

    def _one(self, import_: Import, value: Value) -> Iterator[Binding]:
        local = import_.alias or import_.name or import_.module.replace("/", ".").rsplit(".", 1)[-1]
        if isinstance(value, Names):
            path, definitions = self._found(value)
            if path != self._own_path:
                yield Binding(local, (path,), definitions, import_.line)
        elif isinstance(value, Module) and (files := self._files_of(value)):
            yield Binding(local, files, (), import_.line)

    def _everything(self, value: Value, line: int) -> Iterator[Binding]:
        for path in self._files_of(value) if isinstance(value, Module) else ():
            by_name: dict[str, list[Definition]] = {}
            for tag in self._view.tags_in(path):
                if not tag.container:
                    by_name.setdefault(tag.name, []).append(definition_of(path, tag))
            for name, definitions in by_name.items():
                yield Binding(name, (path,), tuple(definitions), line, star=True)

    def _files_of(self, module: Module) -> tuple[str, ...]:
        """The files that a module is; of a package, the ones that are no tests."""
        if not module.path.endswith("/"):
            return () if module.path == self._own_path else (module.path,)
        files: Sequence[str] = ()
        if module.family == "go":
            files = go.package_files(module.path, self.files)
        elif module.family == "java":
            files = [path for path in self.files.in_folder(module.path[:-1]) if path.endswith(".java")]
        return tuple(path for path in files if path != self._own_path and not path.endswith("_test.go"))[
            :MAX_FILES
        ]

    def _found(self, names: Names) -> Found:
        """The definitions in the first of their files."""
        path = names.places[0][0]
        tags = self._view.tags_in(path)
        return path, tuple(
            definition_of(path, tags[number]) for where, number in names.places if where == path
        )
