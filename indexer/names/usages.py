"""Which files, and which names in them, may refer to a definition: by its own name, and by those that imports and
exports give it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set

from indexer.messages import Definition
from indexer.modules.resolution import family_of
from indexer.names.edges import Edges, Link
from indexer.names.rootfacts import RootFacts
from indexer.names.values import Module, Names, Place, Value
from indexer.parsing.tags import TYPE_KINDS, Site

Target = Place | str
"""A definition, or the path of a module."""

_DEFAULT = "default"


class Usages:
    def __init__(self, facts: RootFacts, edges: Edges) -> None:
        self._facts = facts
        self._edges = edges

    def targets_of(self, definition: Definition) -> set[Target]:
        """Where that definition is now: by its name, kind and first line."""
        if definition.kind == "module" and not definition.end_line:
            return {definition.path}
        wanted = (definition.name, definition.kind, definition.start_line)
        return {
            (definition.path, ordinal)
            for ordinal, tag in enumerate(self._facts.table(definition.path).tags)
            if (tag.name, tag.kind, tag.start_line) == wanted
        }

    def at(self, path: str, line: int, name: str) -> set[Target]:
        """What is meant there: a definition whose name stands on the line, else what a reference on it means,
        else the innermost definition of that name around it. Any line below 0: all of that name."""
        tags = self._facts.table(path).tags
        named = [(path, ordinal) for ordinal, tag in enumerate(tags) if tag.name == name]
        found: set[Target] = {place for place in named if line < 0 or tags[place[1]].name_line == line}
        if found:
            return found
        sites = [(name, site) for site in self._sites(path).get(name, ()) if site.line == line]
        found = {target for link in self._edges.links(path, sites) for target in link.targets}
        if found:
            return found
        around = [place for place in named if tags[place[1]].start_line <= line < tags[place[1]].end_line]
        return set(around[-1:])

    def candidates(self, wanted: Set[Target], name: str) -> Mapping[str, set[str]]:
        """Path → names in it that may mean what is wanted."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        own = {target[0] for target in wanted if not isinstance(target, str)}
        known, pending = {name}, [name]
        while pending:
            one = pending.pop()
            if one == _DEFAULT:
                for path, local in self._taken_as_default(wanted):
                    found[path].add(local)
                continue
            for path in {*self._facts.view.referring(one), *own}:
                found[path].add(one)
                for local, handed_on in self._renamed(path, one, wanted):
                    if local:
                        found[path].add(local)
                    if handed_on not in known:
                        known.add(handed_on)
                        pending.append(handed_on)
        return dict(sorted(found.items()))

    def links(self, path: str, names: Iterable[str] | None = None) -> Iterator[Link]:
        """Of the sites of these names in a file, or of all, in their order."""
        sites = self._sites(path)
        chosen = [(name, site) for name in names or sites for site in sites.get(name, ())]
        chosen.sort(key=lambda pair: (pair[1].line, pair[1].column))
        return self._edges.links(path, chosen)

    def subclasses(self, place: Place) -> Iterator[Place]:
        """Types that name this one as a base, in the order of their paths."""
        for path, names in self.candidates({place}, self._facts.tag(place).name).items():
            tags = self._facts.table(path).tags
            for ordinal, tag in enumerate(tags):
                named = tag.kind in TYPE_KINDS and any(base.rpartition(".")[2] in names for base in tag.bases)
                if named and place in self._edges.members.bases(path, ordinal).types:
                    yield path, ordinal

    def _sites(self, path: str) -> Mapping[str, Iterable[Site]]:
        self._facts.table(path)  # so that a memo knows of this text
        return self._facts.view.sites_of(path)

    def _renamed(self, path: str, name: str, wanted: Set[Target]) -> Iterator[tuple[str, str]]:
        """What a file calls it, and what those call it who have it from there."""
        table = self._facts.table(path)
        for number, import_ in enumerate(table.imports):
            if import_.name != name or import_.alias in ("", name) or not (import_.module or import_.level):
                continue
            if _is_wanted(self._edges.modules.imported(path, number), wanted):
                yield import_.alias, import_.alias
        for handed_on, local in table.exports.items():
            if local == name != handed_on:
                yield "", handed_on

    def _taken_as_default(self, wanted: Set[Target]) -> Iterator[tuple[str, str]]:
        """ECMAScript's default imports have any name: those that mean what is wanted."""
        for path in self._facts.files():
            if family_of(path) == "ecmascript":
                for local, value in self._edges.scopes.bindings(path).items():
                    if _is_wanted(value, wanted):
                        yield path, local


def _is_wanted(value: Value, wanted: Set[Target]) -> bool:
    if isinstance(value, Names):
        return not wanted.isdisjoint(value.places)
    return isinstance(value, Module) and value.path in wanted
