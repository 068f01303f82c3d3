"""Hybrid search of one root: exact names, full text and vectors, fused by rank."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from lancedb.query import MatchQuery

from indexer.batches import batched
from indexer.embedding import EmbeddingUnavailable
from indexer.lines import segment_text, split_lines
from indexer.live import LiveFiles
from indexer.messages import Definition, Hit, Hits
from indexer.store import KEYS_PER_FILTER, ChunkRow, Store, quoted
from indexer.words import identifiers, words

SEARCH_PATIENCE_S = 6.0
"""A person who searches waits for the embedder to start rather than get half an answer."""

PACK_PATIENCE_S = 0.3
"""A completion does not."""

_RANK_OFFSET = 10
"""Reciprocal rank fusion: 1 / (offset + rank). 60 is usual for long lists; ten-place answers want steeper."""

_WEIGHT_NAME = 1.0
_WEIGHT_COMMON_NAME = 0.2
_WEIGHT_VECTOR = 0.7
_WEIGHT_TEXT = 0.5
"""Measured as MRR@10 on 150 questions, the docstrings of networkx's algorithms against their bodies: text
alone 0.440, vectors alone 0.442, 0.7 + 0.5 0.534, equal weights 0.519, 0.7 + 0.2 0.493."""

_LEAST_SIMILARITY = 0.25
"""Cosine below which what only vectors found is no answer. Measured on the 1,014 chunks of this package: for ten
questions without sense 0 to 7 chunks are nearer than this (43 for "0"), at 0.2 up to 96; for twelve honest ones
22 to 242 are, but 4 for one of two words; their best is at 0.45 to 0.76."""

_MOST_NAMED = 20
"""A name that is defined more often than this (`__init__`, `main`) says nothing."""

_MOST_QUERY_WORDS = 64
_DEPTH = 5
"""Each list is read this many times deeper than what is asked for, so that they can agree."""

_FILTERED_KEYS = 2_000
"""The store holds all roots. Of a root with no more contents (or chunks, for vectors) than these, rows are
asked for by key, which took 16 ms for full text and 60 ms for vectors in a store of 20,000 contents; a larger
root has its share of any list."""

_GROWTH = 8
_GROWTHS = 2
"""When other roots fill the list of a larger one, it is read deeper, so many times; what is behind is as good
as not found."""

_COLUMNS = ["key", "text_key", "start_line", "end_line", "symbol", "text"]

Read = tuple[list[ChunkRow], bool]
"""Rows, best first, and whether there are no more of them."""

Place = tuple[str, int]
"""Path and start line: what the lists agree on."""


class Searcher:
    """Searches in one store. Blocking methods belong on a worker thread; `search` is for an event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def search(
        self,
        files: LiveFiles,
        query: str,
        limit: int,
        ask_vector: Callable[[str], Awaitable[list[float]]] | None = None,
    ) -> Hits:
        """The best `limit` places; `ask_vector` awaits the question's vector or raises
        EmbeddingUnavailable."""
        if limit <= 0 or not query.strip():
            return Hits([], "an empty question has no answer" if limit > 0 else "")
        vector: list[float] | None = None
        note = ""
        if ask_vector is not None:
            try:
                vector = await ask_vector(query)
            except EmbeddingUnavailable as unavailable:
                note = f"full text and names only: {unavailable}"
        hits = await asyncio.to_thread(self._fused, files, query, limit, vector)
        return Hits(hits, note)

    def _fused(self, files: LiveFiles, query: str, limit: int, vector: list[float] | None) -> list[Hit]:
        depth = max(limit * _DEPTH, 20)
        found: dict[Place, Hit] = {}
        scores: defaultdict[Place, float] = defaultdict(float)
        why: defaultdict[Place, list[str]] = defaultdict(list)

        def count(reason: str, weight: float, hits: Sequence[Hit]) -> None:
            for rank, hit in enumerate(hits):
                place = (hit.path, hit.start_line)
                found.setdefault(place, hit)
                if reason not in why[place]:
                    why[place].append(reason)
                    scores[place] += weight / (_RANK_OFFSET + rank)

        for weight, hits in self._by_name(files, query):
            count("symbol", weight, hits)
        if vector is not None:
            count("vector", _WEIGHT_VECTOR, self._by_vector(files, vector, depth))
        count("text", _WEIGHT_TEXT, self._by_text(files, query, depth))
        answers = [it for it in found if why[it] != ["vector"] or found[it].score >= _LEAST_SIMILARITY]
        best = sorted(answers, key=lambda place: (-scores[place], place))[:limit]
        return [
            Hit(
                path=found[place].path,
                start_line=found[place].start_line,
                end_line=found[place].end_line,
                score=round(scores[place], 5),
                text=found[place].text,
                why="+".join(why[place]),
            )
            for place in best
        ]

    def _by_name(self, files: LiveFiles, query: str) -> list[tuple[float, list[Hit]]]:
        names = identifiers(query)
        lists: list[tuple[float, list[Hit]]] = []
        for name in names:
            definitions = files.definitions_named(name)
            if not 0 < len(definitions) <= _MOST_NAMED:
                continue
            deliberate = len(names) == 1 or re.search(r"_|[a-z][A-Z]|\d", name) is not None
            weight = _WEIGHT_NAME if deliberate else _WEIGHT_COMMON_NAME
            lists.append((weight, [hit for hit in (_hit_of(files, it) for it in definitions) if hit]))
        return lists

    def _by_text(self, files: LiveFiles, query: str, depth: int) -> list[Hit]:
        asked = " ".join(words(query)[:_MOST_QUERY_WORDS])
        if not asked:
            return []

        only = _only("key", files.paths_by_key)

        def read(limit: int) -> Read:
            query = self._store.chunks.search(_full_text(asked), query_type="fts")
            if only:
                query = query.where(only, prefilter=True)
            rows = query.select([*_COLUMNS, "_score"]).limit(limit).to_list()
            return [_row(row) for row in rows], len(rows) < limit

        return _living(files, read, depth)

    def _by_vector(self, files: LiveFiles, vector: list[float], depth: int) -> list[Hit]:
        only = _only("text_key", files.text_keys(_FILTERED_KEYS + 1))

        def read(limit: int) -> Read:
            nearest: Any = self._store.vectors.search(vector, vector_column_name="vector")
            nearest = nearest.distance_type("cosine")
            if only:
                nearest = nearest.where(only, prefilter=True)
            found = nearest.select(["text_key", "_distance"]).limit(limit).to_list()
            order = {row["text_key"]: 1.0 - row["_distance"] for row in found}
            rows: defaultdict[str, list[ChunkRow]] = defaultdict(list)
            for group in batched(list(order), KEYS_PER_FILTER):
                query = self._store.chunks.search().where(f"text_key IN ({quoted(group)})").select(_COLUMNS)
                for row in query.limit(None).to_list():
                    similarity = order[row["text_key"]]
                    rows[row["text_key"]].append(_row({**row, "_score": similarity}))
            return [row for key in order for row in rows[key]], len(order) < limit

        return _living(files, read, depth)


def _only(column: str, keys: Collection[str]) -> str:
    """The condition for rows of these keys; empty for more than can be named."""
    return f"{column} IN ({quoted(keys)})" if 0 < len(keys) <= _FILTERED_KEYS else ""


def _full_text(asked: str) -> Any:
    match: Any = MatchQuery  # its generated signature hides the defaults from type checkers
    return match(asked, "tokens")


def _living(files: LiveFiles, read: Callable[[int], Read], depth: int) -> list[Hit]:
    """The first `depth` rows whose content this root has, reading deeper where other roots fill the list."""
    hits: list[Hit] = []
    for growth in range(_GROWTHS + 1):
        rows, exhausted = read(2 * depth * _GROWTH**growth)
        hits = [hit for hit in (_hit(files, row) for row in rows) if hit is not None]
        if len(hits) >= depth or exhausted:
            break
    return hits[:depth]


def _row(row: dict[str, Any]) -> ChunkRow:
    return ChunkRow(**{name: row[name] for name in _COLUMNS}, score=row.get("_score", 0.0))


def _hit(files: LiveFiles, row: ChunkRow) -> Hit | None:
    path = files.path_of(row.key)
    if path is None:
        return None
    return Hit(path, row.start_line, row.end_line, row.score, row.text, "")


def _hit_of(files: LiveFiles, definition: Definition) -> Hit | None:
    text = files.text(definition.path)
    if text is None:
        return None
    body = segment_text(split_lines(text), definition.start_line, definition.end_line)
    return Hit(definition.path, definition.start_line, definition.end_line, 0.0, body, "")
