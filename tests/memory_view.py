"""An index view of a few texts in memory: the real parser and the real search for names, without a store."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterable, Mapping, Sequence

from indexer.graph import Graph
from indexer.history.history import NO_HISTORY
from indexer.messages import Definition, Hit
from indexer.names.lexicon import Lexicon
from indexer.names.siblings import Siblings
from indexer.packing.view import definition_of
from indexer.parsing.facts import facts_of_text
from indexer.parsing.imports import Import
from indexer.parsing.languages import language_of
from indexer.parsing.tags import Site, Tag
from indexer.parsing.words import words
from indexer.store.contents import by_place


class MemoryView:
    """Implements `indexer.packing.view.IndexView` and `GraphView`. `unsaved` texts stand over `stored` ones."""

    def __init__(self, stored: dict[str, str], unsaved: dict[str, str] | None = None, *, ready: bool = True):
        self.root = "/project"
        self.repo_name = "project"
        self.ready = ready
        self.notes: list[str] = []
        self.graph = Graph()
        self.history = NO_HISTORY
        self._hidden = ""
        self._unsaved = unsaved or {}
        self._texts = {**stored, **self._unsaved}
        self._facts = {path: facts_of_text(text, language_of(path)) for path, text in self._texts.items()}

    def files(self):
        return set(self._texts)

    def text(self, path: str) -> str | None:
        return self._texts.get(path)

    def unsaved(self):
        return self._unsaved.keys()

    def is_overlay(self, path: str) -> bool:
        return path in self._unsaved

    def definitions_in(self, path: str) -> Sequence[Definition]:
        facts = self._facts.get(path)
        return [] if facts is None else [definition_of(path, tag) for tag in facts.definitions]

    def definitions_named(self, name: str) -> Sequence[Definition]:
        return [one for path in self.defining(name) for one in self.definitions_in(path) if one.name == name]

    def few_named(self, name: str, most: int) -> Sequence[Definition] | None:
        return self.definitions_named(name) if len(self.defining(name)) <= most else None

    def defined(self, names: Iterable[str]) -> set[str]:
        wanted = self.names().intersection(names)
        return {name for name in wanted if self.defining(name)}

    def hiding(self, path: str) -> MemoryView:
        other = copy.copy(self)
        other._hidden = path
        return other

    def imports_of(self, path: str) -> Sequence[Import]:
        facts = self._facts.get(path)
        return [] if facts is None else facts.imports

    @property
    def state(self) -> Hashable:
        return frozenset(self._texts.items())

    def key_of(self, path: str) -> str:
        return self._texts.get(path, "")

    def tags_in(self, path: str) -> Sequence[Tag]:
        facts = self._facts.get(path)
        return () if facts is None else by_place(facts.definitions)

    def types_of(self, path: str) -> Mapping[str, str]:
        facts = self._facts.get(path)
        return {} if facts is None else facts.types

    def sites_of(self, path: str) -> Mapping[str, Sequence[Site]]:
        facts = self._facts.get(path)
        return {} if facts is None else facts.references

    def defining(self, name: str) -> Sequence[str]:
        return [
            path
            for path, facts in sorted(self._facts.items())
            if path != self._hidden and any(tag.name == name for tag in facts.definitions)
        ]

    def names(self):
        return {tag.name for facts in self._facts.values() for tag in facts.definitions}

    def referring(self, name: str) -> Sequence[str]:
        return [path for path, facts in sorted(self._facts.items()) if name in facts.references]

    def used_beside(self, path: str) -> Mapping[str, float]:
        return Siblings().used(self, path)

    def popular(self, most: int) -> Sequence[str]:
        return sorted(self.names(), key=lambda name: (-self.popularity(name), name))[:most]

    @property
    def lexicon(self) -> Lexicon:
        return Lexicon(self.names())

    def popularity(self, name: str) -> int:
        return len(self.referring(name))

    async def search(self, query: str, limit: int) -> Sequence[Hit]:
        """Definitions by how many words they share with the query."""
        asked = set(words(query))
        hits: list[Hit] = []
        for path in sorted(self._texts.keys() - self._unsaved.keys()):
            lines = self._texts[path].split("\n")
            for one in self.definitions_in(path):
                text = "\n".join(lines[one.start_line : one.end_line]) + "\n"
                score = len(asked & set(words(text)))
                if score:
                    hits.append(Hit(path, one.start_line, one.end_line, score, text, "text"))
        return sorted(hits, key=lambda hit: (-hit.score, hit.path, hit.start_line))[:limit]
