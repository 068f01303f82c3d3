"""Which living chunk of a root each vector in memory belongs to."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from indexer.roots.live import LiveFiles
from indexer.store.contents import StoredContent
from indexer.store.vector_memory import Floats, packed_keys
from indexer.store.vector_tables import VectorTable

_KEPT = 4
"""Maps of so many roots, at eight bytes for each chunk; more are rarely searched at the same time."""


class ChunkMap:
    """Of one moment of a root and of the vectors."""

    def __init__(self, contents: Sequence[StoredContent], table: VectorTable) -> None:
        """Blocks while vectors have to be read."""
        self._contents = contents
        self._ends = np.cumsum([content.chunks for content in contents], dtype=np.int64)
        keys = packed_keys(b"".join([content.text_keys for content in contents]))
        self.vectors, rows = table.rows_of(keys)
        self.chunks = len(rows)
        """Of the root; `len` counts those that have their vector."""
        self._chunks = np.flatnonzero(rows >= 0)
        self._rows = rows[self._chunks]

    def __len__(self) -> int:
        return len(self._rows)

    def nearest(self, question: Floats, count: int) -> list[tuple[StoredContent, int, float]]:
        """(content, ordinal of its chunk, similarity), the most similar first."""
        places, similarities = self.vectors.nearest(question, self._rows, count)
        chunks = self._chunks[places]
        contents = np.searchsorted(self._ends, chunks, side="right")
        starts = self._ends[contents] - [self._contents[content].chunks for content in contents.tolist()]
        found = zip(contents.tolist(), (chunks - starts).tolist(), similarities.tolist(), strict=True)
        return [(self._contents[content], chunk, similarity) for content, chunk, similarity in found]


class ChunkMaps:
    """The last ones used. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._maps: OrderedDict[str, tuple[int, ChunkMap]] = OrderedDict()

    def of(self, files: LiveFiles, table: VectorTable) -> ChunkMap:
        """Blocks: 10 ms for 100,000 chunks when the root or the vectors have changed since; longer while vectors have
        to be read."""
        with self._lock:
            known = self._maps.pop(files.root, None)
            version = files.version
            if known is None or known[0] != version or known[1].vectors is not table.in_memory:
                known = version, ChunkMap(files.stored(), table)
            self._maps[files.root] = known
            while len(self._maps) > _KEPT:
                self._maps.popitem(last=False)
            return known[1]
