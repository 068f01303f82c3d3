"""Vectors of chunk texts, one table for each embedder: a new embedder's table is filled beside the old one, which
answers until the new one covers as much."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from indexer.batches import batched
from indexer.store import reader, schema
from indexer.store.contents import STORE_ERRORS, TEXT_KEY_BYTES, StoredContent
from indexer.store.keyset import KeySet
from indexer.store.vector_memory import (
    Floats,
    Keys,
    Levels,
    Rows,
    VectorMemory,
    Vectors,
    packed_keys,
    quantized,
    short_keys,
)

_PREFIX = "vectors-"

_FEW = 64
"""Vectors of a save or two: they wait for the next write of the store rather than be one of their own, which takes 4 ms
and leaves a version and small files behind. A crash costs no more than making them again."""

_SPARE = 2
"""Vectors in memory for each one that an open root has: those of other branches and earlier saves may stay, which
costs less than to copy the rest after every save."""


class VectorTable:
    """The vectors of one embedder."""

    def __init__(self, fingerprint: str, table: Any) -> None:
        self.fingerprint = fingerprint
        self.table = table
        self.dimensions = schema.dimensions_of(table.schema)
        self.keys = KeySet(reader.column(table, "text_key"))
        """Of the texts that have their vector."""
        self._lock = threading.Lock()
        self._memory: VectorMemory | None = None
        self._waiting: list[tuple[list[str], Levels, Floats]] = []
        """Keys, levels and scales that the table lacks. Replaced, never changed, by whoever holds the store's lock."""

    @property
    def in_memory(self) -> Vectors | None:
        """What of them was read so far."""
        return self._memory.current if self._memory is not None else None

    def rows_of(self, keys: Keys) -> tuple[Vectors, Rows]:
        """What is in memory now, among it the vectors of all these texts that have one, and their rows there. Blocks
        while some have to be read: a second for a table of a million."""
        with self._lock:
            if self._memory is None:
                self._memory = VectorMemory(self.dimensions)
            rows = self._memory.current.rows_of(keys)
            if (rows < 0).any() and self._read(self._memory, keys[rows < 0]):
                rows = self._memory.current.rows_of(keys)
            return self._memory.current, rows

    def _read(self, memory: VectorMemory, lacking: Keys) -> bool:
        """Into memory what the table has of these; gives whether it has any."""
        wanted = np.sort(lacking[self.keys.among(lacking.astype(">u8").tobytes(), lacking.itemsize)])
        if not len(wanted):
            return False
        waiting = self._waiting  # before the table is read: what is written meanwhile is in both
        for text_keys, levels, scales in itertools.chain(
            reader.vectors(self.table, self.dimensions), waiting
        ):
            keys = short_keys(text_keys)
            places = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
            some = np.flatnonzero(wanted[places] == keys)
            memory.add_quantized(keys[some], levels[some], scales[some])
        return True

    def let_go(self, contents: Sequence[StoredContent]) -> None:
        """Blocks. Keeps in memory what these contents have, once that is the smaller part of it."""
        with self._lock:
            if self._memory is None:
                return
            kept = np.intersect1d(packed_keys(_text_keys(contents)), self._memory.current.keys)
            if not len(kept):
                self._memory = None
            elif len(kept) * _SPARE < len(self._memory.current):
                self._memory.keep(kept)

    def covered(self, contents: Sequence[StoredContent]) -> int:
        """How many chunks of these contents have their vector."""
        return int(self.keys.among(_text_keys(contents), TEXT_KEY_BYTES).sum())

    def missing(self, contents: Sequence[StoredContent]) -> list[str]:
        """The distinct keys of chunk texts that have none."""
        packed = _text_keys(contents)
        digits, width = packed.hex(), 2 * TEXT_KEY_BYTES
        at = np.flatnonzero(~self.keys.among(packed, TEXT_KEY_BYTES)).tolist()
        return list(dict.fromkeys(digits[width * one : width * (one + 1)] for one in at))

    def write(self, vectors: Mapping[str, Sequence[float]], *, few_wait: bool = False) -> int:
        """Adds those that are not known yet, with `few_wait` a few of them in memory only; gives the number of
        writes."""
        fresh = [key for key in vectors if key not in self.keys]
        if not fresh:
            return 0
        rows: Floats = np.array([vectors[key] for key in fresh], np.float32)
        levels, scales = quantized(rows)
        before = self._waiting
        self._waiting = [*before, (fresh, levels, scales)]
        written = 0
        if not few_wait or self.waiting > _FEW:
            try:
                written = self.flush()
            except STORE_ERRORS:
                self._waiting = before  # these are nowhere now, and are made again
                raise
        with self._lock:
            if self._memory is not None:
                self._memory.add_quantized(short_keys(fresh), levels, scales)
        self.keys.update(fresh)
        return written

    @property
    def waiting(self) -> int:
        """Vectors that the table lacks."""
        return sum(len(keys) for keys, _, _ in self._waiting)

    def flush(self) -> int:
        """Blocks. Writes those that wait; gives the number of writes."""
        if not self._waiting:
            return 0
        keys, levels, scales = zip(*self._waiting, strict=True)
        rows = schema.vector_rows(
            list(itertools.chain.from_iterable(keys)), np.concatenate(levels), np.concatenate(scales)
        )
        self.table.add(rows)
        self._waiting = []
        return 1

    def remove(self, text_keys: Sequence[str]) -> None:
        """Blocks. Texts that are in no chunk any longer."""
        self.flush()
        for group in batched(text_keys, reader.KEYS_PER_FILTER):
            self.table.delete(f"text_key IN ({reader.quoted(group)})")
        with self._lock:
            if self._memory is not None:
                self._memory.remove(short_keys(text_keys))
        self.keys.difference_update(text_keys)


class VectorTables:
    """All embedders' tables of one store; `wanted` is the one that is being filled."""

    def __init__(self, database: Any, fingerprint: str, dimensions: int) -> None:
        self._database = database
        self.wanted = self._open(fingerprint, dimensions)
        self.older = [
            VectorTable(other.removeprefix(_PREFIX), database.open_table(other))
            for other in database.list_tables(limit=_MOST_TABLES).tables
            if other.startswith(_PREFIX) and other != _PREFIX + fingerprint
        ]

    def want(self, fingerprint: str, dimensions: int) -> None:
        """Another embedder's table is filled from now on; the one before is an older one then, unless it is empty."""
        if fingerprint == self.wanted.fingerprint:
            return
        known = {table.fingerprint: table for table in self.older}
        wanted = known.pop(fingerprint, None) or self._open(fingerprint, dimensions)
        if len(self.wanted.keys):
            known[self.wanted.fingerprint] = self.wanted
        else:
            self._database.drop_table(_PREFIX + self.wanted.fingerprint)
        self.wanted, self.older = wanted, list(known.values())

    def _open(self, fingerprint: str, dimensions: int) -> VectorTable:
        name = _PREFIX + fingerprint
        table = self._database.create_table(name, schema=schema.vectors(dimensions), exist_ok=True)
        return VectorTable(fingerprint, table)

    @property
    def all(self) -> list[VectorTable]:
        return [self.wanted, *self.older]

    @property
    def tables(self) -> dict[str, Any]:
        return {_PREFIX + it.fingerprint: it.table for it in (self.wanted, *self.older)}

    def answering(self, contents: Sequence[StoredContent]) -> VectorTable:
        """The table that covers most of these contents; of equals the one that is wanted."""
        if not self.older:
            return self.wanted
        tables: list[VectorTable] = [self.wanted, *self.older]
        return max(tables, key=lambda table: table.covered(contents))

    def flush(self) -> int:
        """Blocks. Writes what waits; gives the number of writes."""
        return sum(table.flush() for table in self.all)

    def let_go(self, living: Sequence[StoredContent]) -> None:
        """Blocks. Memory keeps what `living` has, of the contents of open roots."""
        for table in self.all:
            table.let_go(living)

    def drop_replaced(self, living: Sequence[StoredContent]) -> bool:
        """Removes older tables once the wanted one is whole: has a vector of every chunk of `living`, and of at least
        one. Before, an older table may be the one that is wanted again, with the vectors of roots that are closed
        now."""
        chunks = sum(content.chunks for content in living)
        if not chunks or self.wanted.covered(living) < chunks:
            return False
        replaced, self.older = self.older, []
        for table in replaced:
            self._database.drop_table(_PREFIX + table.fingerprint)
        return bool(replaced)


_MOST_TABLES = 1_000
"""A page of names that holds them all: a person tries a handful of embedders."""


def _text_keys(contents: Sequence[StoredContent]) -> bytes:
    return b"".join(content.text_keys for content in contents)
