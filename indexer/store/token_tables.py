"""Token ids of contents, one table for each tokenizer: counted once, then looked up."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from indexer.batches import batched
from indexer.children.counting import CountedFile
from indexer.packing.token_lines import TokenLines, unpacked
from indexer.store import reader, schema

_PREFIX = "token_ids-"
_DIGEST_BYTES = 6

_KEPT = 256
"""Texts whose ids stay unpacked, at most some 50 MB: those that packs of a session are made of."""

_MOST_TABLES = 1_000
"""A page of names that holds them all: a person uses one or two models."""

_codec: Any = pa.Codec("zstd")


def fingerprint(tokenizer: Path) -> str:
    """Identity of a tokenizer. Blocks for hundredths of a second. Raises OSError."""
    return _fingerprint(tokenizer, tokenizer.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _fingerprint(tokenizer: Path, changed_ns: int) -> str:
    return hashlib.blake2b(tokenizer.read_bytes(), digest_size=_DIGEST_BYTES).hexdigest()


class TokenTable:
    """From any thread; whoever writes or removes holds the store's lock."""

    def __init__(self, fingerprint: str, table: Any) -> None:
        self.fingerprint = fingerprint
        self.table = table
        self.keys: set[str] = set(reader.column(table, "key"))
        """Contents whose ids are there. Replaced, never changed."""
        self._lock = threading.Lock()
        self._known: OrderedDict[str, TokenLines] = OrderedDict()

    def write(self, counted: Iterable[CountedFile]) -> int:
        """Adds those that are not there yet; gives the number of writes."""
        fresh = {file.key: file for file in counted if file.key not in self.keys}
        if not fresh:
            return 0
        columns = [
            pa.array(list(fresh), pa.string()),
            pa.array([_squeezed(file.ids) for file in fresh.values()], pa.binary()),
            pa.array([_squeezed(_differences(file.shape)) for file in fresh.values()], pa.binary()),
        ]
        self.table.add(pa.Table.from_arrays(columns, schema=schema.TOKEN_IDS))
        self.keys = self.keys | fresh.keys()
        return 1

    def of(self, key: str) -> TokenLines | None:
        """The ids of a content, None where they are not counted yet. Blocks."""
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        found = self.many([key]).get(key)
        if found is not None:
            with self._lock:
                self._known[key] = found
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        return found

    def many(self, keys: Iterable[str]) -> dict[str, TokenLines]:
        """The ids of those of these contents that are counted, in one go; not kept. Blocks."""
        wanted = {key for key in keys if key in self.keys}
        return {
            row["key"]: unpacked(_plain(row["ids"]), _sums(_plain(row["shape"])))
            for rows in (reader.rows_of(self.table, wanted, ["key", "ids", "shape"]) if wanted else ())
            for row in rows.to_pylist()
        }

    def ids_of(self, key: str, start_line: int, end_line: int) -> tuple[list[int], int] | None:
        """As `TokenLines.of`, of a stored content. Blocks."""
        lines = self.of(key)
        return lines.of(start_line, end_line) if lines is not None else None

    def remove(self, keys: Sequence[str]) -> None:
        """Contents that are forgotten."""
        gone = [key for key in keys if key in self.keys]
        self.keys = self.keys.difference(gone)
        for group in batched(gone, reader.KEYS_PER_FILTER):
            self.table.delete(f"key IN ({reader.quoted(group)})")


class TokenTables:
    """All tokenizers' tables of one store."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, TokenTable] = {}
        for name in database.list_tables(limit=_MOST_TABLES).tables:
            if name.startswith(_PREFIX):
                table = TokenTable(name.removeprefix(_PREFIX), database.open_table(name))
                self._known[table.fingerprint] = table

    @property
    def all(self) -> list[TokenTable]:
        return list(self._known.values())

    @property
    def tables(self) -> dict[str, Any]:
        return {_PREFIX + table.fingerprint: table.table for table in self.all}

    def of(self, fingerprint: str) -> TokenTable:
        """The table of one tokenizer, made if it is missing. Blocks."""
        with self._lock:
            known = self._known.get(fingerprint)
            if known is None:
                name = _PREFIX + fingerprint
                table = self._database.create_table(name, schema=schema.TOKEN_IDS, exist_ok=True)
                known = self._known[fingerprint] = TokenTable(fingerprint, table)
            return known

    def keep_only(self, fingerprints: Iterable[str]) -> None:
        """Drops the tables of tokenizers that no root uses any longer. Blocks."""
        kept = set(fingerprints)
        with self._lock:
            for gone in [one for one in self._known if one not in kept]:
                del self._known[gone]
                self._database.drop_table(_PREFIX + gone)


def _squeezed(data: bytes) -> bytes:
    """With its length before it, which the codec wants to know."""
    return len(data).to_bytes(4, "little") + _codec.compress(data, asbytes=True)


def _plain(squeezed: bytes) -> bytes:
    return _codec.decompress(squeezed[4:], int.from_bytes(squeezed[:4], "little"), asbytes=True)


def _differences(shape: bytes) -> bytes:
    """Lines and offsets grow by little each time: a third of the size."""
    pairs = np.frombuffer(shape, "<u4").reshape(-1, 2)
    return np.diff(pairs, axis=0, prepend=np.uint32(0)).T.astype("<u4").tobytes()


def _sums(differences: bytes) -> bytes:
    pairs = np.frombuffer(differences, "<u4").reshape(2, -1).T
    return np.cumsum(pairs, axis=0, dtype=np.uint32).astype("<u4").tobytes()
