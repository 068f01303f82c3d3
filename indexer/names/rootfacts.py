"""The facts of one root as its living texts have them, each read once until it changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from indexer.messages import Definition
from indexer.modules import go, java, python
from indexer.modules.layouts import PROJECT_FILES, Layouts
from indexer.modules.pathindex import PathIndex
from indexer.modules.resolution import family_of, indexed, resolve
from indexer.names.memos import Memos, Question
from indexer.names.tables import Table
from indexer.names.values import Place
from indexer.packing.view import GraphView, definition_of
from indexer.parsing.tags import Tag

Targets = tuple[tuple[str, ...], ...]
"""For each import of a file, where it leads to: files, or packages that are folders, with a `/` at the end."""


_KEPT_TABLES = 2_500
"""Files whose names stay unpacked at least, some 15 MB: what the imports of a large repository mostly lead to."""


_LEAST_PARTS = 2
"""Of a Go import path that are the end of a folder's, where there is no go.mod: `errors` alone may be anybody's."""

_MOST_ATTEMPTS = 20
"""To read project files, over all: one that stays unreadable says nothing."""


class Package(msgspec.Struct, frozen=True):
    """What the files of a folder share in Go and Java."""

    names: Mapping[str, tuple[Place, ...]]
    belonging: Mapping[str, Mapping[str, tuple[Place, ...]]]
    """Container → name → what names that container, wherever in the folder (Go's methods)."""


class RootFacts:
    """Everything that the graph looks at, so that nothing is looked at without a memo noting it."""

    def __init__(self, memos: Memos) -> None:
        self._memos = memos
        self._view: GraphView | None = None
        self._unpacked: list[tuple[str]] = []
        self._index: PathIndex | None = None
        self._attempts = 0
        self._unread = False
        """Whether a project file could not be read: it may have been about to be written."""
        self.files = Question(memos, self._files, outside=True)
        self._key = Question(memos, self._key_of, outside=True)
        self.defining = Question(memos, self._paths_defining, outside=True)
        self._attempt = Question(memos, lambda: self._attempts, outside=True)
        self.layouts = Question(memos, self._layouts)
        self.table = Question(memos, self._table)
        self.targets = Question(memos, self._targets)
        self.package = Question(memos, self._package)

    @property
    def view(self) -> GraphView:
        assert self._view is not None
        return self._view

    def look_at(self, view: GraphView) -> None:
        """From now on this is what is asked; the same state as before costs nothing."""
        known = self._view
        self._view = view
        again = self._unread and self._attempts <= _MOST_ATTEMPTS
        if again:
            self._attempts += 1
            self._unread = False
        if again or known is None or known.state != view.state:
            self._memos.advance()

    def give_back(self) -> None:
        """Between two questions: memory that is cheap to fill again, once it is much."""
        if len(self._unpacked) > 2 * _KEPT_TABLES:
            self._unpacked = self.table.drop_values(dict.fromkeys(self._unpacked), _KEPT_TABLES)

    def tag(self, place: Place) -> Tag:
        """The definition there."""
        return self.table(place[0]).tags[place[1]]

    def definition(self, place: Place) -> Definition:
        path, ordinal = place
        return definition_of(path, self.table(path).tags[ordinal])

    def _key_of(self, path: str) -> str:
        return self.view.key_of(path)

    def _paths_defining(self, name: str) -> tuple[str, ...]:
        """In order."""
        return tuple(self.view.defining(name))

    def _files(self) -> PathIndex:
        """The same index as before while the paths are the same."""
        files = self.view.files()
        if self._index is None or (files is not self._index and not _same(files, self._index)):
            self._index = indexed(files)
        return self._index

    def _layouts(self) -> Layouts:
        index = self.files()
        for name in PROJECT_FILES:
            for path in index.named(name):
                self._key(path)
        self._attempt()
        return Layouts(index, self._text)

    def _text(self, path: str) -> str | None:
        text = self.view.text(path)
        self._unread = self._unread or text is None
        return text

    def _table(self, path: str) -> Table:
        self._key(path)
        self._unpacked.append((path,))
        view = self.view
        return Table(path, family_of(path), view.tags_in(path), view.imports_of(path), view.types_of(path))

    def _targets(self, path: str) -> Targets:
        table, index = self.table(path), self.files()
        if table.family == "python":
            return tuple(self._python_targets(table, number, index) for number in range(len(table.imports)))
        if table.family == "rust" or table.family is None or not table.imports:
            return ()  # Rust's paths are walked module by module
        layouts = self.layouts() if table.family in ("go", "ecmascript") else None
        if table.family == "go":
            return tuple(
                tuple(go.packages_of(one.module, path, index, layouts, _LEAST_PARTS)) for one in table.imports
            )
        if table.family == "java":
            return tuple(
                tuple(f"{folder}/" for folder in java.package_folders(one.module, path, index))
                for one in table.imports
            )
        return tuple(tuple(resolve(one, path, index, layouts)[:1]) for one in table.imports)

    def _python_targets(self, table: Table, number: int, index: PathIndex) -> tuple[str, ...]:
        import_ = table.imports[number]
        module = import_.module
        if import_.name is None and not import_.alias and not import_.level:  # binds its first part
            module = module.partition(".")[0]
        found = python.module_of(module, import_.level, table.path, index)
        return () if found is None else index.once(("alone", found), lambda: (found,))

    def _package(self, folder: str, ending: str) -> Package:
        names: dict[str, tuple[Place, ...]] = {}
        belonging: dict[str, dict[str, tuple[Place, ...]]] = {}
        for path in self.files().in_folder(folder.removesuffix("/")):
            if not path.endswith(ending):
                continue
            table = self.table(path)
            for name, ordinals in table.top.items():
                names[name] = (*names.get(name, ()), *((path, ordinal) for ordinal in ordinals))
            for container, members in table.open_containers.items():
                known = belonging.setdefault(container, {})
                for name, ordinals in members.items():
                    known[name] = (*known.get(name, ()), *((path, ordinal) for ordinal in ordinals))
        return Package(names, belonging)


def _same(some: Collection[str], others: Collection[str]) -> bool:
    return len(some) == len(others) and all(path in others for path in some)
