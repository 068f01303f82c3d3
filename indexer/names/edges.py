"""From the sites of a file to what they refer to: one edge for each target, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from indexer.modules.meanings import Modules
from indexer.names.evaluation import Evaluation
from indexer.names.members import Members
from indexer.names.memos import Memos, Question
from indexer.names.rootfacts import RootFacts
from indexer.names.tables import TOP, Table
from indexer.names.values import (
    NOT_HERE,
    RECEIVER_UNKNOWN,
    Instance,
    Module,
    Names,
    Outside,
    Place,
    Unknown,
    Value,
)
from indexer.names.visible import VisibleNames
from indexer.parsing.tags import TYPE_KINDS, Site

MOST_TARGETS = 24
"""Overloads of one name; a site with more equally good targets says so instead of listing them."""

_KEPT_MEANINGS = 100_000
"""Meanings of names at places, some 40 MB."""

BY_NAME_ONLY = "references of this language are known by name only"

_UNREADABLE = "?"
"""The receiver of a site, or of a bare name, that its file does not tell."""


class Link(msgspec.Struct, frozen=True, gc=False):
    """An edge by places: `targets` empty says that there is none, and `why`."""

    name: str
    site: Site
    targets: tuple[Place | str, ...]
    """Definitions, or the paths of modules."""
    why: str


class Edges:
    """Resolves sites. Everything below it is asked through memos, and so is this."""

    def __init__(self, facts: RootFacts, memos: Memos) -> None:
        self.facts = facts
        self.modules = Modules(facts, memos)
        self.members = Members(facts, memos)
        self.scopes = VisibleNames(facts, memos, self.modules)
        self.evaluation = Evaluation(facts, memos, self.modules, self.members)
        self.modules.members = self.scopes.members = self.members
        self.members.evaluation = self.evaluation
        self.evaluation.scopes = self.scopes
        self._imported = Question(memos, self.modules.imported)
        self._meaning = Question(memos, self._means, in_cycle=lambda: Unknown("said by itself"))

    def give_back(self) -> None:
        """Between two questions: what single sites mean, once that is much."""
        if len(self._meaning) + len(self.scopes.lookup) > _KEPT_MEANINGS:
            for question in (self._meaning, self._imported, self.scopes.lookup, self.evaluation.receiver):
                question.forget()

    def links(self, path: str, sites: Iterable[tuple[str, Site]]) -> Iterator[Link]:
        """For each site, in their order."""
        table = self.facts.table(path)
        for name, site in sites:
            if site.kind == "import":
                value = self._import(table, name, site)
            else:
                value = self._meaning(
                    path, name, site.receiver, self._within(table, site), self._kind(table, site)
                )
            yield self._link(name, site, value)

    def classes_before(self, path: str, site: Site) -> tuple[Place, ...]:
        """What stands before the dot of a site: its class, then what that has members from."""
        table = self.facts.table(path)
        if table.family is None or not site.receiver or site.receiver == _UNREADABLE:
            return ()
        value = self.evaluation.receiver(path, site.receiver, self._within(table, site))
        if not isinstance(value, Names | Instance):
            return ()
        types = [place for place in value.places if self.members.is_type(place)]
        return tuple(dict.fromkeys(one for place in types for one in self.members.line(place).types))

    def _within(self, table: Table, site: Site) -> int:
        """Decorators and headers belong to the definition that they stand before, but see what is around it."""
        if site.within == TOP or site.within >= len(table.tags):
            return TOP
        return site.within

    def _kind(self, table: Table, site: Site) -> str:
        """`header` for what stands before the name of the definition that it belongs to."""
        if site.within in (TOP,) or site.within >= len(table.tags) or site.kind in ("class", "type"):
            return site.kind
        tag = table.tags[site.within]
        return "header" if site.line <= tag.name_line and tag.kind not in TYPE_KINDS else site.kind

    def _means(self, path: str, name: str, receiver: str, within: int, kind: str) -> Value:
        if self.facts.table(path).family is None:
            return Unknown(BY_NAME_ONLY)
        if receiver == _UNREADABLE:
            return Unknown(RECEIVER_UNKNOWN)
        if not receiver:
            return self._called(self.scopes.lookup(path, name, within, kind), kind)
        value = self.evaluation.receiver(path, receiver, within)
        return self.evaluation.member(value, name)

    def _called(self, value: Value, kind: str) -> Value:
        """CommonJS: a file that is called, or made an instance of, is what it hands on as a whole."""
        if kind not in ("call", "class") or not isinstance(value, Module) or value.family != "ecmascript":
            return value
        return self.modules.member(value, "default") or value

    def _import(self, table: Table, name: str, site: Site) -> Value:
        """What is imported there: of several in a statement, the one that says this name."""
        best = None
        for number, import_ in enumerate(table.imports):
            if import_.line > site.line:
                break
            if name in (import_.name, import_.alias) or import_.module.endswith(name):
                best = number
        if best is None:
            return self.scopes.lookup(table.path, name, site.within, "name")
        value = self._imported(table.path, best)
        return Names(value.places, "import") if isinstance(value, Names) else value

    def _link(self, name: str, site: Site, value: Value) -> Link:
        match value:
            case Names(places, why) if len(places) <= MOST_TARGETS:
                return Link(name, site, places, why)
            case Names(places):
                return Link(name, site, (), f"several: {len(places)} places define `{name}`")
            case Module(path):
                return Link(name, site, (path,), "module")
            case Outside():
                return Link(name, site, (), NOT_HERE)
            case Instance(places):
                return Link(name, site, places, "")
            case Unknown(why):
                return Link(name, site, (), why)
