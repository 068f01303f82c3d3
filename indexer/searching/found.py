"""What speaks for each chunk that some list of a search has: the lists put together, chunk by chunk."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from indexer.messages import Definition
from indexer.parsing.tags import Tag
from indexer.parsing.words import identifiers
from indexer.roots.live import LiveFiles
from indexer.searching import ranking
from indexer.searching.chunk_map import ChunkMap
from indexer.searching.ranking import Scale, Signals, Words
from indexer.store.contents import StoredContent
from indexer.store.reader import ChunkRow
from indexer.store.vector_memory import Floats, short_keys

_MOST_NAMED = 20
"""A name that is defined more often than this (`__init__`, `main`) says nothing."""

_LOOKED_INTO = 3
"""Chunks, best by full text, in which the words of a question have to meet for it to have sense."""

_MEMBER = re.compile(r"(?P<owner>[^\W\d]\w*)(?:\.|::|#)(?P<name>[^\W\d]\w*)")

_MADE_UP = re.compile(r"_|[a-z][A-Z]|\d")
"""In a word that is a name and no word of a sentence."""

_NOTHING = Signals()

Place = tuple[str, int]
"""Path and start line: what the lists agree on."""


@dataclass(slots=True)
class Candidate:
    """A chunk that something speaks for."""

    path: str
    start_line: int
    end_line: int
    symbol: str = ""
    """Name of the definition that it begins or belongs to."""
    text: str | None = None
    """None: read when it becomes a hit."""
    text_key: str = ""
    starts_definition: bool = False
    text_score: float = 0.0
    similarity: float = 0.0
    exact: bool = False
    why: list[str] = field(default_factory=list[str])
    """Which lists it was in."""
    signals: Signals = _NOTHING


@dataclass(frozen=True, slots=True)
class Near:
    """What vectors found: (content, ordinal of its chunk, similarity)."""

    question: Floats
    chunks: ChunkMap
    scale: Scale
    found: list[tuple[StoredContent, int, float]]


def candidates(files: LiveFiles, query: str, rows: Sequence[ChunkRow], near: Near | None) -> list[Candidate]:
    """Blocks. Everything that names, vectors (`near`) or full text (`rows`) lead to, in no order; nothing when the
    question has no sense here."""
    found: dict[Place, Candidate] = {}
    similar = _similar(files, near) if near is not None else ()
    for candidate in (*_named(files, query), *similar, *_worded(files, rows)):
        place = (candidate.path, candidate.start_line)
        known = found.setdefault(place, candidate)
        if known is not candidate:
            _merge(known, candidate)
    asked = _Asked(query)
    if not _has_sense(asked.words, found.values()):
        return []
    if near is not None:
        _add_similarities(found.values(), near)
    best = max((one.text_score for one in found.values()), default=0.0)
    for one in found.values():
        one.signals = _signals(one, asked, best)
    return list(found.values())


def _has_sense(asked: Words, found: Iterable[Candidate]) -> bool:
    if any(one.exact or one.similarity >= ranking.SENSIBLE_SIMILARITY for one in found):
        return True
    best = sorted((one for one in found if one.text is not None), key=lambda one: -one.text_score)
    texts = (f"{one.symbol} {one.text}" for one in best[:_LOOKED_INTO])
    return any(asked.coverage(text) >= ranking.SENSIBLE_COVERAGE for text in texts)


def named_definitions(files: LiveFiles, query: str) -> Iterator[Definition]:
    """Those that the question names, letter for letter, if that says something. Of `Owner.name` the members of that
    owner, where it has such a one."""
    owners = {match["name"]: match["owner"] for match in _MEMBER.finditer(query)}
    for name in identifiers(query):
        if name in owners and files.defined([owners[name]]):
            definitions = files.definitions_named(name)  # however many: those of one owner are few
        else:
            definitions = files.few_named(name, _MOST_NAMED) or ()
        owned = [one for one in definitions if owners.get(name) == one.container.rpartition(".")[2]]
        if name in owners and owned:
            definitions = owned
        if len(definitions) <= _MOST_NAMED:
            yield from definitions


def _named(files: LiveFiles, query: str) -> Iterable[Candidate]:
    names = identifiers(query)
    for one in named_definitions(files, query):
        deliberate = len(names) == 1 or _MADE_UP.search(one.name) is not None
        start, end = files.chunk_at(one.path, one.start_line) or (one.start_line, one.end_line)
        yield Candidate(
            one.path, start, end, one.name, starts_definition=True, exact=deliberate, why=["symbol"]
        )


def _similar(files: LiveFiles, near: Near) -> Iterable[Candidate]:
    for content, chunk, similarity in near.found:
        path = files.path_of(content.key)
        if path is None:
            continue
        start, end = content.span(chunk)
        tag = _definition_at(files.definitions_of(content.key), start, end)
        yield Candidate(
            path,
            start,
            end,
            tag.name if tag is not None else "",
            starts_definition=tag is not None and start <= tag.start_line,
            similarity=near.scale.apply(similarity),
            why=["vector"],
        )


def _worded(files: LiveFiles, rows: Iterable[ChunkRow]) -> Iterable[Candidate]:
    for row in rows:
        path = files.path_of(row.key)
        if path is None:
            continue
        tag = _definition_at(files.definitions_of(row.key), row.start_line, row.end_line)
        yield Candidate(
            path,
            row.start_line,
            row.end_line,
            row.symbol,
            row.text,
            row.text_key,
            starts_definition=tag is not None and row.start_line <= tag.start_line,
            text_score=row.score,
            why=["text"],
        )


def _merge(known: Candidate, other: Candidate) -> None:
    """The same chunk in another list."""
    known.why += [reason for reason in other.why if reason not in known.why]
    known.text = known.text if known.text is not None else other.text
    known.text_key = known.text_key or other.text_key
    known.text_score = max(known.text_score, other.text_score)
    known.similarity = max(known.similarity, other.similarity)
    known.exact = known.exact or other.exact


def _add_similarities(found: Iterable[Candidate], near: Near) -> None:
    """Of what full text found; vectors list only the nearest."""
    lacking = [one for one in found if one.text_key and not one.similarity]
    vectors = near.chunks.vectors
    rows = vectors.rows_of(short_keys(one.text_key for one in lacking))
    have = np.flatnonzero(rows >= 0)
    similarities = vectors.similarities(near.question, rows[have])
    for place, similarity in zip(have.tolist(), similarities.tolist(), strict=True):
        lacking[place].similarity = near.scale.apply(similarity)


class _Asked:
    """A question, and what its words say of symbols and of paths, which many chunks share."""

    def __init__(self, query: str) -> None:
        self.words = Words(query)
        self._symbols: dict[str, tuple[float, float]] = {}
        self._paths: dict[str, tuple[float, float]] = {}

    def of_symbol(self, symbol: str) -> tuple[float, float]:
        """See `Words.share_of`."""
        known = self._symbols.get(symbol)
        if known is None:
            known = self._symbols[symbol] = self.words.share_of(ranking.stems_of(symbol))
        return known

    def of_path(self, path: str) -> tuple[float, float]:
        """(share of the question's words that it has, whether it is aside)."""
        known = self._paths.get(path)
        if known is None:
            stems = ranking.stems_of(path.rpartition(".")[0] or path)
            aside = float(ranking.is_aside(stems, self.words))
            known = self._paths[path] = self.words.share_of(stems)[1], aside
        return known


def _signals(one: Candidate, asked: _Asked, best: float) -> Signals:
    name, of_question = asked.of_symbol(one.symbol)
    in_path, aside = asked.of_path(one.path)
    return Signals(
        text=one.text_score / best if best else 0.0,
        vector=max(one.similarity, 0.0),
        exact=float(one.exact),
        name=name,
        asked=of_question,
        path=in_path,
        definition=float(one.starts_definition),
        aside=aside,
    )


def _definition_at(tags: Sequence[Tag], start: int, end: int) -> Tag | None:
    """The definition that lines [start, end) begin, else the innermost around them; `tags` are by place."""
    first = bisect_left(tags, start, key=_START)
    if first < len(tags) and tags[first].start_line < end:
        return tags[first]
    before = reversed(tags[:first])
    return next((tag for tag in before if tag.end_line > start), None)


_START = attrgetter("start_line")
