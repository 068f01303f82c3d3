"""Hybrid search of one root: exact and near names, full text, vectors and paths, weighed into one score."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from indexer.embedding.embedding import EmbeddingUnavailable
from indexer.messages import Hit, Hits
from indexer.parsing.lines import segment_text
from indexer.parsing.words import identifiers, words
from indexer.roots.live import LiveFiles
from indexer.searching import ranking
from indexer.searching.chunk_map import ChunkMaps
from indexer.searching.found import Candidate, Near, candidates, named_definitions
from indexer.searching.ranking import DEFAULT_SCALE, Scale
from indexer.store.reader import ChunkRow
from indexer.store.store import Store
from indexer.store.vector_tables import VectorTable

SEARCH_PATIENCE_S = 6.0
"""A person who searches waits for the embedder to start rather than get half an answer."""

PACK_PATIENCE_S = 0.3
"""A completion does not."""

_MOST_QUERY_WORDS = 48
_DEPTH = 40
"""Places that each list has at least: they have to be there for lists to agree on them."""

_DEPTH_PER_HIT = 4

_MOST_NAMES = 4
"""A question with more names is a piece of code, of which no single definition is the answer."""

_MOST_ROWS_OF_NAMED = 200
"""Chunks of the files that define what a question names."""

_FILTERED_KEYS = 2_000
"""The store holds all roots. Of a root with no more contents than these, full text is asked for by key, which takes
16 ms in a store of 20,000 contents; a larger root has its share of any list."""

_GROWTH = 6
_GROWTHS = 2
"""When other roots fill the list of a larger one, it is read deeper, so many times; what is behind is as good
as not found."""


class Searcher:
    """Searches in one store. Blocking methods belong on a worker thread; `search` is for an event loop."""

    def __init__(self, store: Store, maps: ChunkMaps | None = None) -> None:
        self.store = store
        self._maps = maps or ChunkMaps()

    async def search(
        self,
        files: LiveFiles,
        query: str,
        limit: int,
        ask_vector: Callable[[str], Awaitable[Sequence[float]]] | None = None,
        table: VectorTable | None = None,
        scale: Callable[[], Scale] = Scale,
    ) -> Hits:
        """The best `limit` places; `ask_vector` awaits the question's vector for `table` (None: the wanted one), or
        raises EmbeddingUnavailable; after it, `scale` tells of which scale the table's cosines are."""
        if limit <= 0 or not query.strip():
            return Hits([], "an empty question has no answer" if limit > 0 else "")
        rows = asyncio.create_task(asyncio.to_thread(self.by_text, files, query, depth(limit)))
        near: Near | None = None
        try:
            vector, note = await _asked(ask_vector, query)
            if vector is not None:
                near = await asyncio.to_thread(self.by_vector, files, vector, depth(limit), table, scale())
                note = _lacking(near)
            found = await rows
        finally:
            rows.cancel()
        return Hits(await asyncio.to_thread(self._hits, files, query, found, near, limit), note)

    # ------------------------------------------------------------ lists

    def by_text(self, files: LiveFiles, query: str, count: int) -> list[ChunkRow]:
        """Blocks. The best living rows by full text."""
        asked = " ".join(_asked_words(query))
        own = len(files.paths_by_key)
        if not asked or not own:
            return []
        # where most rows are this root's, reading twice as many costs less than naming its contents
        few = own <= _FILTERED_KEYS and 2 * own < len(self.store.known)
        keys = files.paths_by_key.keys() if few else None
        found: list[ChunkRow] = []
        for growth in range(_GROWTHS + 1):
            limit = 2 * count * _GROWTH**growth
            rows = self.store.text.search(asked, limit, keys)
            found = [row for row in rows if files.path_of(row.key) is not None]
            if len(found) >= count or len(rows) < limit:
                break
        return found[:count] + self._rows_of_named(files, query, asked, found[:count])

    def _rows_of_named(
        self, files: LiveFiles, query: str, asked: str, found: Sequence[ChunkRow]
    ) -> list[ChunkRow]:
        """Rows of definitions that the question names and that the list is too short for: how well their text answers
        counts for them too, however few hits are wanted."""
        if len(identifiers(query)) > _MOST_NAMES:
            return []
        listed = {(row.key, row.start_line) for row in found}
        wanted: set[tuple[str, int]] = set()
        for one in named_definitions(files, query):
            start, _ = files.chunk_at(one.path, one.start_line) or (one.start_line, one.end_line)
            wanted.add((files.key_of(one.path), start))
        wanted -= listed
        keys = {key for key, _ in wanted} & files.paths_by_key.keys()
        if not keys:
            return []
        rows = self.store.text.search(asked, _MOST_ROWS_OF_NAMED, keys)
        return [row for row in rows if (row.key, row.start_line) in wanted]

    def by_vector(
        self,
        files: LiveFiles,
        vector: Sequence[float],
        count: int,
        table: VectorTable | None = None,
        scale: Scale = DEFAULT_SCALE,
    ) -> Near:
        """Blocks. The living chunks that are most similar to the question."""
        chunks = self._maps.of(files, table or self.store.vector_tables.wanted)
        question = np.asarray(vector, np.float32)
        return Near(question, chunks, scale, chunks.nearest(question, count))

    def _hits(
        self, files: LiveFiles, query: str, rows: list[ChunkRow], near: Near | None, limit: int
    ) -> list[Hit]:
        scored = [
            (ranking.score(one.signals), one)
            for one in candidates(files, query, rows, near)
            if ranking.is_answer(one.signals, one.why)
        ]
        scored.sort(key=lambda pair: (-pair[0], pair[1].path, pair[1].start_line))
        hits: list[Hit] = []
        for score, one in scored:
            text = one.text if one.text is not None else _text(files, one)
            if text is not None:
                why = "+".join(one.why)
                hits.append(Hit(one.path, one.start_line, one.end_line, round(score, 5), text, why))
            if len(hits) == limit:
                break
        return hits


def depth(limit: int) -> int:
    """How many places each list is asked for."""
    return max(limit * _DEPTH_PER_HIT, _DEPTH)


async def _asked(
    ask_vector: Callable[[str], Awaitable[Sequence[float]]] | None, query: str
) -> tuple[Sequence[float] | None, str]:
    if ask_vector is None:
        return None, ""
    try:
        return await ask_vector(query), ""
    except EmbeddingUnavailable as unavailable:
        return None, f"full text and names only: {unavailable}"


def _lacking(near: Near) -> str:
    """For a person: how far the vectors have come, where they are not whole."""
    have, chunks = len(near.chunks), near.chunks.chunks
    return f"vectors: {have} of {chunks} chunks embedded" if have < chunks else ""


def _asked_words(query: str) -> list[str]:
    """The distinct words of a question, and neighbours joined as they would be in a name (`shortest path` in
    `shortest_path`)."""
    found = words(query)[:_MOST_QUERY_WORDS]
    joined = [first + second for first, second in itertools.pairwise(found)]
    return list(dict.fromkeys([*ranking.telling(found), *joined]))


def _text(files: LiveFiles, one: Candidate) -> str | None:
    """None when the file has changed a moment ago, or is gone."""
    text = files.text(one.path)
    if text is None:
        return None
    lines = text.split("\n", one.end_line)[one.start_line : one.end_line]  # what lies behind is not looked at
    return segment_text([line.removesuffix("\r") for line in lines], 0, len(lines))
