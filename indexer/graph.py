"""Who refers to what in one root: every reference with the definition that it means, or the reason why not.

Nothing is guessed: what a file alone and the declarations that it leads to do not tell stays unresolved, and says
so. Everything is worked out when it is asked for and kept until something that it depends on has changed."""

from __future__ import annotations

import asyncio
import posixpath
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from indexer.messages import Definition
from indexer.modules.resolution import family_of
from indexer.names.edges import Edges, Link
from indexer.names.memos import Memos, Question
from indexer.names.rootfacts import RootFacts
from indexer.names.tables import TOP
from indexer.names.usages import Target, Usages
from indexer.names.values import Module, Place, Value
from indexer.packing.view import GraphView

if TYPE_CHECKING:
    from indexer.parsing.tags import Site

_CALLS = frozenset({"call", "class"})

_KEPT_FILES = 500
"""Whose edges are kept, some 30 MB: those of a small repository, or what somebody works in."""

MODULE_KIND = "module"


class Edge(msgspec.Struct, frozen=True):
    """One reference and one thing that it means. A site with several equally good targets has several edges."""

    path: str
    line: int
    column: int
    name: str
    kind: str
    """Of the site: `call`, `class`, `type`, `import`, `name`."""
    target: Definition | None
    """A file or folder that is meant as a module is a definition of kind `module` without lines."""
    why: str
    """How it was found; without a target, why there is none."""
    within: int = TOP
    """Ordinal of the definition that the reference stands in."""


class Call(msgspec.Struct, frozen=True):
    """Who calls something, and where."""

    caller: Definition | None
    """None at the top of a file."""
    edge: Edge


class Graph:
    """Of one root. From any thread; each question is asked about a view, a snapshot of what lives."""

    def __init__(self) -> None:
        self._memos = Memos()
        self._facts = RootFacts(self._memos)
        self._edges = Edges(self._facts, self._memos)
        self._usages = Usages(self._facts, self._edges)
        self._links = Question(self._memos, self._links_of)
        self._lock = threading.RLock()

    @contextmanager
    def _looking_at(self, view: GraphView) -> Generator[None]:
        with self._lock:
            self._facts.look_at(view)
            yield
            self._edges.give_back()
            self._facts.give_back()
            if len(self._links) > _KEPT_FILES:
                self._links.forget()

    async def build_aside(self, view: GraphView, paths: Iterable[str]) -> None:
        """Works out the bindings of these files on another thread, where others may ask in between; ends with the
        task that waits for it."""
        ended = threading.Event()

        def work() -> None:
            for path in paths:
                if ended.is_set():
                    return
                self.bindings_of(view, path)

        try:
            await asyncio.to_thread(work)
        finally:
            ended.set()

    def build(self, view: GraphView, paths: Iterable[str]) -> None:
        """The same, on this thread."""
        for path in paths:
            self.bindings_of(view, path)

    def bindings_of(self, view: GraphView, path: str) -> Mapping[str, Value]:
        """What the imports at the top of a file bind, by local name."""
        with self._looking_at(view):
            return self._edges.scopes.bindings(path)

    def imports_of(self, view: GraphView, path: str) -> list[list[Value]]:
        """What each import of a file means, in their order; of a star, what it takes its names from."""
        with self._looking_at(view):
            return [self._edges.modules.meaning(path, number) for number in range(len(view.imports_of(path)))]

    def member_of(self, view: GraphView, path: str, name: str) -> Value | None:
        """What a name means that is looked for in the module `path`."""
        with self._looking_at(view):
            family = family_of(path)
            return None if family is None else self._edges.modules.member(Module(path, family), name)

    def edges_of(self, view: GraphView, path: str) -> list[Edge]:
        """Of every site of a file, in their order."""
        with self._looking_at(view):
            return [edge for link in self._links(path) for edge in self._edges_from(path, link)]

    def named(self, view: GraphView, name: str) -> Iterator[Edge]:
        """Of every reference by this name, whatever it means, by path and place; worked out as they are taken."""
        for path in sorted(view.referring(name)):
            yield from self._matching(view, path, [name], None)

    def meant_at(self, view: GraphView, path: str, line: int, name: str) -> list[Definition]:
        """What `name` means on a line: what is defined there, or what a reference there refers to."""
        with self._looking_at(view):
            return [self._definition(target) for target in sorted(self._usages.at(path, line, name), key=str)]

    def references_to(self, view: GraphView, definition: Definition) -> list[Edge]:
        """Every reference that means this definition, by path and place."""
        with self._looking_at(view):
            wanted = self._usages.targets_of(definition)
            candidates = self._usages.candidates(wanted, definition.name)
        return [
            edge for path, names in candidates.items() for edge in self._matching(view, path, names, wanted)
        ]

    def _matching(
        self, view: GraphView, path: str, names: Iterable[str], wanted: Set[Target] | None
    ) -> list[Edge]:
        """For one file at a time, so that others may ask in between."""
        with self._looking_at(view):
            links = self._usages.links(path, names)
            return [edge for link in links for edge in self._edges_from(path, link, wanted)]

    def callers(self, view: GraphView, definition: Definition) -> list[Call]:
        """Who calls a function, or makes instances of a class."""
        edges = [edge for edge in self.references_to(view, definition) if edge.kind in _CALLS]
        with self._looking_at(view):
            return [
                Call(None if edge.within == TOP else self._facts.definition((edge.path, edge.within)), edge)
                for edge in edges
            ]

    def bases_of(self, view: GraphView, definition: Definition) -> list[Definition]:
        """All that a type has members from, nearest first, without itself."""
        with self._looking_at(view):
            types = [place for place in self._usages.targets_of(definition) if not isinstance(place, str)]
            above = [base for place in types for base in self._edges.members.line(place).types[1:]]
            return [self._facts.definition(place) for place in dict.fromkeys(above)]

    def subclasses_of(self, view: GraphView, definition: Definition) -> list[Definition]:
        """The types that name this one, or one of those, as a base, by path and place."""
        with self._looking_at(view):
            found: set[Place] = set()
            pending = [place for place in self._usages.targets_of(definition) if not isinstance(place, str)]
            while pending:
                fresh = set(self._usages.subclasses(pending.pop())) - found
                found |= fresh
                pending += fresh
            return [self._facts.definition(place) for place in sorted(found)]

    def classes_before(
        self, view: GraphView, path: str, sites: Sequence[Site]
    ) -> list[tuple[Definition, ...]]:
        """Of each site the class that stands before its dot, or an object of which stands there, and all that it has
        members from; nothing where that is not known."""
        with self._looking_at(view):
            return [
                tuple(self._facts.definition(place) for place in self._edges.classes_before(path, site))
                for site in sites
            ]

    # ------------------------------------------------------------ how

    def _links_of(self, path: str) -> tuple[Link, ...]:
        self._facts.table(path)
        return tuple(self._usages.links(path))

    def _definition(self, target: Target) -> Definition:
        return module_definition(target) if isinstance(target, str) else self._facts.definition(target)

    def _edges_from(self, path: str, link: Link, wanted: Set[Target] | None = None) -> Iterator[Edge]:
        """One for each target, or one that says why there is none; with `wanted`, to those only."""
        site = link.site
        targets = [target for target in link.targets if wanted is None or target in wanted]
        for target in targets:
            definition = self._definition(target)
            yield Edge(path, site.line, site.column, link.name, site.kind, definition, link.why, site.within)
        if not link.targets and wanted is None:
            yield Edge(path, site.line, site.column, link.name, site.kind, None, link.why, site.within)


def module_definition(path: str) -> Definition:
    """A module as something that can be referred to."""
    name = posixpath.basename(path.removesuffix("/")).partition(".")[0]
    if name in ("__init__", "index", "mod", "lib"):
        name = posixpath.basename(posixpath.dirname(path)) or name
    return Definition(path, name, MODULE_KIND, 0, 0)
