"""Full text over everything: LanceDB's index for what it covers, an index in memory for what was just read.

LanceDB would look at each row that its index lacks (11 µs each: a few saved files cost more than the whole index).
Here those rows are kept in memory, with the same words and the same formula (BM25, Robertson and Zaragoza 2009, as
Lance computes it), until the index on disk takes them in."""

from __future__ import annotations

import heapq
import logging
import math
import time
from collections import Counter
from collections.abc import Collection, Container, Iterable
from datetime import timedelta
from typing import Any

from indexer.searching.row_memory import COLUMNS, RowMemory
from indexer.searching.text_memory import TextMemory
from indexer.store import reader
from indexer.store.contents import STORE_ERRORS
from indexer.store.lance import FTS, MatchQuery
from indexer.store.reader import ChunkRow, quoted
from indexer.store.rows import ContentRows

_log = logging.getLogger(__name__)

READ_AT_MOST = timedelta(seconds=30)
"""No query takes this long, so no reader is left on a version that is older."""

_K1, _B = 1.2, 0.75
_INDEX = "tokens_idx"
_COLUMN = "tokens"
_SAMPLE = 2_000
"""Rows by which the mean number of words is known within a few percent."""
_REMEMBERED = 100_000
"""Words whose frequency is known, at about 150 bytes each; then all are forgotten."""

_MUCH_CHANGED = 1.5
"""Words are as frequent as they were until the index has so many times more chunks, or fewer."""

_NO_LIKENESS = 4
"""Of an index that has grown so many times they say nothing; till then they serve until they are counted anew."""

_ASKED_WORDS = 200
"""Of the last questions: their frequencies, some 4 ms each, are worked out before somebody asks again."""

_SCANNED = 5_000
"""Chunks of a process before this one that are looked at one by one (50 ms) until the index has them; more are
not found until then."""


class FullText:
    """May be asked from any thread; `index` is called by whoever holds the store's lock."""

    def __init__(self, table: Any) -> None:
        """Blocks. Raises one of STORE_ERRORS."""
        self._table = table
        self._memory = TextMemory(self._stemmed)
        self._rows = RowMemory(table)
        self._frequencies: dict[str, float] = {}
        """Stem → share of the indexed chunks that have it."""
        self._asked: dict[str, None] = {}
        """Words of the last questions, the last one last."""
        statistics = table.index_stats(_INDEX)
        if statistics is None:
            self._build()
        self._of_others = 0 if statistics is None else int(statistics.num_unindexed_rows)
        """Chunks on disk that a process before this one has not indexed."""
        self.indexed = table.count_rows() - self._of_others
        """Chunks that the index on disk has."""
        self._counted = self.indexed
        """Chunks among which frequencies were counted."""
        self._recount = False
        """Whether the index has changed so much since that they are to be counted anew."""
        self._mean_words = _mean_words(table)
        self.asked_s = -math.inf
        """When somebody asked last, by the monotonic clock."""

    @property
    def uncovered(self) -> int:
        """Chunks that are neither indexed nor in memory: of a process before this one, or more than memory takes."""
        return self._of_others + self._memory.left_out

    @property
    def unindexed(self) -> int:
        """Chunks that the index on disk lacks."""
        return self._memory.chunks + self.uncovered

    def add(self, contents: Iterable[ContentRows]) -> None:
        """From now on these are found. Does not block."""
        self._memory.add(contents)

    def forget(self, keys: Iterable[str]) -> None:
        """These contents were superseded before they were written, or removed."""
        self._memory.forget(keys)

    def digest(self) -> None:
        """Blocks. Does now what the next search would have to do first."""
        contents = self._memory.contents()
        if not contents:
            return
        asked = self._stemmed(" ".join(self._asked))
        stems = [stem for stem in asked if any(stem in content.having for content in contents)]
        if self._recount:
            self._recount = False
            self._frequencies = {stem: self._count(stem) for stem in stems}
        for stem in stems:
            self._share_on_disk(stem)

    def index(self, on_disk: Container[str], keep: timedelta = READ_AT_MOST) -> None:
        """Blocks. Takes every chunk that is on disk into the index there, so that memory may let go of them; the
        table's versions older than `keep` go. Raises one of STORE_ERRORS."""
        covered = self._memory.among(on_disk)  # what is added from here on is not in the index that is built
        rows = self._table.count_rows()
        statistics = self._table.index_stats(_INDEX)
        try:
            if statistics is None or 2 * statistics.num_unindexed_rows > rows:
                self._build()
            else:
                self._table.optimize(cleanup_older_than=keep)
        except STORE_ERRORS as failed:
            _log.warning("the full-text index is rebuilt, for it could not be extended: %s", failed)
            self._build()
        mean = _mean_words(self._table)
        self.forget(covered)
        self.indexed, self._mean_words, self._of_others = rows, mean, 0
        if not self._counted / _MUCH_CHANGED <= rows <= self._counted * _MUCH_CHANGED:
            if rows > _NO_LIKENESS * self._counted:
                self._frequencies = {}
            self._counted, self._recount = rows, True

    def search(self, asked: str, limit: int, keys: Collection[str] | None = None) -> list[ChunkRow]:
        """Blocks. The best chunks, of contents `keys` only where these are given; `asked` is words joined by
        blanks as `indexer.parsing.words` cuts them."""
        self.asked_s = time.monotonic()
        self._remember(asked)
        found = self._on_disk(asked, limit, keys)
        recent = self._in_memory(asked, limit, keys, unknown=not found and keys is None)
        if not recent:
            return found
        # a content that is just being indexed is in both
        fresh = {(row.key, row.start_line): row for row in found} | {
            (row.key, row.start_line): row for row in recent
        }
        return sorted(fresh.values(), key=lambda row: -row.score)[:limit]

    def _on_disk(self, asked: str, limit: int, keys: Collection[str] | None) -> list[ChunkRow]:
        query = self._query(asked)
        if keys is not None:
            query = query.where(f"key IN ({quoted(keys)})", prefilter=True)
        found = reader.run(query.select(["_score"]).with_row_id(True).limit(limit))
        ids, scores = found["_rowid"].to_pylist(), found["_score"].to_pylist()
        rows = self._rows.of(ids)
        if len(rows) == len(ids):
            return [ChunkRow(*rows[row], score) for row, score in zip(ids, scores, strict=True)]
        read = reader.run(query.select([*COLUMNS, "_score"]).limit(limit))  # some have gone, or moved
        columns = [read[name].to_pylist() for name in (*COLUMNS, "_score")]
        return [ChunkRow(*values) for values in zip(*columns, strict=True)]

    def _query(self, asked: str) -> Any:
        match: Any = MatchQuery  # its generated signature hides the defaults from type checkers
        query = self._table.search(match(asked, _COLUMN), query_type="fts")
        return query if 0 < self.uncovered <= _SCANNED else query.fast_search()

    def _in_memory(
        self, asked: str, limit: int, keys: Collection[str] | None, *, unknown: bool
    ) -> list[ChunkRow]:
        """`unknown`: no chunk on disk has any of these words."""
        contents = self._memory.contents()
        if not contents:
            return []
        stems = Counter(self._stemmed(asked))
        chunks = sum(len(content.lengths) for content in contents)
        total = self.indexed * self._mean_words + sum(content.words for content in contents)
        mean = total / (self.indexed + chunks)
        scores: dict[tuple[int, int], float] = {}
        for stem, times in stems.items():
            places = [
                (number, content.lengths, chunks_having)
                for number, content in enumerate(contents)
                if (chunks_having := content.having.get(stem))
            ]
            if not places:
                continue  # how frequent it is on disk, which takes 2 ms to find out, weighs nothing here
            having = sum(len(chunks_having) for _, _, chunks_having in places)
            on_disk = 0.0 if unknown else self.indexed * self._share_on_disk(stem)
            weight = times * self._weight(having, chunks, on_disk) * (_K1 + 1)
            for number, lengths, chunks_having in places:
                for chunk, count in chunks_having:
                    length = _K1 * (1 - _B + _B * lengths[chunk] / mean)
                    place = number, chunk
                    scores[place] = scores.get(place, 0.0) + weight * count / (count + length)
        asked_for = [
            (score, place)
            for place, score in scores.items()
            if keys is None or contents[place[0]].rows.key in keys
        ]
        best = heapq.nsmallest(limit, asked_for, key=lambda found: (-found[0], found[1]))
        return [_chunk_row(contents[number].rows, chunk, score) for score, (number, chunk) in best]

    def _weight(self, having: int, chunks: int, on_disk: float) -> float:
        """Inverse document frequency, when `having` of `chunks` in memory have the word, and `on_disk` of the
        others."""
        lacking = max(self.indexed + chunks - on_disk - having, 0.0)
        return math.log(1 + (lacking + 0.5) / (on_disk + having + 0.5))

    def _remember(self, asked: str) -> None:
        now = dict.fromkeys(asked.split())
        before = [word for word in self._asked if word not in now]
        self._asked = dict.fromkeys([*before, *now][-_ASKED_WORDS:])

    def _share_on_disk(self, stem: str) -> float:
        """Of the indexed chunks, those with this word: worked out from the score of the row that the index finds
        best."""
        known = self._frequencies.get(stem)
        if known is None:
            known = self._count(stem)
            if len(self._frequencies) > _REMEMBERED:
                self._frequencies = {}
            self._frequencies[stem] = known
        return known

    def _count(self, stem: str) -> float:
        best = reader.run(self._query(stem).select([_COLUMN, "_score"]).limit(1))
        if not best.num_rows:
            return 0.0
        words = Counter(self._stemmed(best[_COLUMN][0].as_py()))
        length = _K1 * (1 - _B + _B * words.total() / self._mean_words)
        count = max(1, words[stem])
        weight = best["_score"][0].as_py() * (count + length) / (count * (_K1 + 1))
        return max((self.indexed + 1) / math.exp(weight) - 0.5, 0.0) / max(self.indexed, 1)

    def _stemmed(self, words: str) -> list[str]:
        return [token.text for token in self._table.tokenize(words, index_name=_INDEX)]

    def _build(self) -> None:
        # words are cut before (`words.words`); stop words stay in, for `not`, `for` and `is` are names in code
        configuration = FTS(with_position=False, stem=True, remove_stop_words=False)
        self._table.create_index(_COLUMN, config=configuration, replace=True)


def _chunk_row(rows: ContentRows, chunk: int, score: float) -> ChunkRow:
    return ChunkRow(
        rows.key,
        rows.content.hex_text_keys()[chunk],
        rows.starts[chunk],
        rows.ends[chunk],
        rows.symbols[chunk],
        rows.texts[chunk],
        score,
    )


def _mean_words(table: Any) -> float:
    """Words of a chunk on average."""
    sample = reader.sample(table, _COLUMN, _SAMPLE)
    return sum(text.count(" ") + 1 for text in sample) / len(sample) if sample else 0.0
