"""Vectors of chunk texts, one table for each embedder: a new embedder's table is filled beside the old one, which
answers until the new one covers as much."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from indexer.batches import batched
from indexer.searching.vector_memory import Floats, VectorMemory, Vectors, quantized, short_keys
from indexer.store import reader, schema
from indexer.store.contents import TEXT_KEY_BYTES, StoredContent
from indexer.store.keyset import KeySet

_PREFIX = "vectors-"


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

    def in_memory(self) -> Vectors:
        """All of them as they are now, read at the first call: blocks then, a second for a million."""
        with self._lock:
            if self._memory is None:
                self._memory = VectorMemory(self.dimensions)
                for keys, levels, scales in reader.vectors(self.table, self.dimensions):
                    self._memory.add_quantized(short_keys(keys), levels, scales)
            return self._memory.current

    def covered(self, contents: Sequence[StoredContent]) -> int:
        """How many chunks of these contents have their vector."""
        return int(self.keys.among(_text_keys(contents), TEXT_KEY_BYTES).sum())

    def missing(self, contents: Sequence[StoredContent]) -> list[str]:
        """The distinct keys of chunk texts that have none."""
        packed = _text_keys(contents)
        digits, width = packed.hex(), 2 * TEXT_KEY_BYTES
        at = np.flatnonzero(~self.keys.among(packed, TEXT_KEY_BYTES)).tolist()
        return list(dict.fromkeys(digits[width * one : width * (one + 1)] for one in at))

    def write(self, vectors: Mapping[str, Sequence[float]]) -> int:
        """Adds those that are not known yet; gives the number of writes."""
        fresh = [key for key in vectors if key not in self.keys]
        if not fresh:
            return 0
        rows: Floats = np.array([vectors[key] for key in fresh], np.float32)
        levels, scales = quantized(rows)
        with self._lock:
            self.table.add(schema.vector_rows(fresh, levels, scales))
            if self._memory is not None:
                self._memory.add_quantized(short_keys(fresh), levels, scales)
        self.keys.update(fresh)
        return 1

    def remove(self, text_keys: Sequence[str]) -> None:
        """Blocks. Texts that are in no chunk any longer."""
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

    def drop_replaced(self, living: Sequence[StoredContent]) -> bool:
        """Removes older tables that know nothing about `living` that the wanted one does not."""
        have = self.wanted.covered(living)
        replaced = [table for table in self.older if table.covered(living) <= have]
        for table in replaced:
            self._database.drop_table(_PREFIX + table.fingerprint)
        self.older = [table for table in self.older if table not in replaced]
        return bool(replaced)


_MOST_TABLES = 1_000
"""A page of names that holds them all: a person tries a handful of embedders."""


def _text_keys(contents: Sequence[StoredContent]) -> bytes:
    return b"".join(content.text_keys for content in contents)
