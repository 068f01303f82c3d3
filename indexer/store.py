"""The store: facts by content, manifests by root, vectors by chunk text, in one LanceDB folder.

Every method blocks and belongs on a worker thread; writes are serialized here, and a lock in the folder keeps
every other process out. Readers see whole contents only: a content's row in `files` is written after
everything else about it, and leftovers of a write that was cut short are removed when the store is opened and
before the next write after a failure.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from indexer.batches import batched
from indexer.contents import ManifestEntry, StoredContent, StoreError, by_place
from indexer.facts import FileFacts
from indexer.launch import try_lock
from indexer.tags import Tag

os.environ.setdefault("LANCEDB_LOG", "error")  # read at import; else a warning for every flat query

import lancedb
import pyarrow as pa
import pyarrow.compute

from indexer import schema

_compute: Any = pyarrow.compute  # made at import, so that type checkers see nothing in it

KEYS_PER_FILTER = 500
"""Literals in one IN (…): planning time grows with them, 500 stay under a few milliseconds."""

_SCAN_ABOVE_KEYS = 4_000
"""From here on one scan of the whole column beats many filtered queries."""


WRITER_LOCK = "writer.lock"
"""In the folder of a generation, held by the one process that has opened it. The service's own lock is of one
runtime folder: a container or another machine with the same cache folder has another."""


class ChunkRow(msgspec.Struct, frozen=True):
    key: str
    text_key: str
    start_line: int
    end_line: int
    symbol: str
    text: str
    score: float = 0.0


def quoted(values: Iterable[str]) -> str:
    """SQL literals for an IN (…)."""
    return ",".join("'" + value.replace("'", "''") + "'" for value in values)


class Store:
    """One generation of the store, opened for writing by the one service of this user."""

    def __init__(self, folder: Path, embedder_fingerprint: str) -> None:
        """Raises one of STORE_ERRORS when the folder cannot be made, read or repaired."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.utime(folder)  # says that this generation is in use
        self.folder = folder
        self.writes = 0
        """Since the last maintenance; each leaves a version and small files behind."""
        self._lock = threading.RLock()
        self._torn = True  # until proven otherwise: the last process may have been killed while writing
        self._claim: int | None = _claim(folder)
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            database = lancedb.connect(folder)
            self.files = database.create_table("files", schema=schema.FILES, exist_ok=True)
            self.definitions = database.create_table("definitions", schema=schema.DEFINITIONS, exist_ok=True)
            self.references = database.create_table("references", schema=schema.REFERENCES, exist_ok=True)
            self.chunks = database.create_table("chunks", schema=schema.CHUNKS, exist_ok=True)
            self.manifest_table = database.create_table("manifest", schema=schema.MANIFEST, exist_ok=True)
            self.vectors = database.create_table(
                f"vectors-{embedder_fingerprint}", schema=schema.VECTORS, exist_ok=True
            )
            self.known: set[str] = set(self._column(self.files, "key"))
            self.embedded: set[str] = set(self._column(self.vectors, "text_key"))
            self._repair()
            undo.pop_all()

    def close(self) -> None:
        """Lets another process write; nothing may be written here any longer."""
        claim, self._claim = self._claim, None
        if claim is not None:
            os.close(claim)

    @property
    def lock(self) -> threading.RLock:
        """Held by every writer."""
        return self._lock

    @property
    def tables(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "definitions": self.definitions,
            "references": self.references,
            "chunks": self.chunks,
            "manifest": self.manifest_table,
            "vectors": self.vectors,
        }

    # ------------------------------------------------------------ writing

    def write(self, contents: Sequence[FileFacts]) -> list[StoredContent]:
        """Adds contents that are not known yet; gives what memory holds about all of them."""
        with self._lock:
            self._repair()
            fresh = list({facts.key: facts for facts in contents if facts.key not in self.known}.values())
            if fresh:
                self._torn = True
                self._add(self.definitions, schema.DEFINITIONS, list(_definition_rows(fresh)))
                self._add(self.references, schema.REFERENCES, list(_reference_rows(fresh)))
                self._add(self.chunks, schema.CHUNKS, list(_chunk_rows(fresh)))
                self._add(self.files, schema.FILES, list(_file_rows(fresh)))
                self._torn = False
                self.known.update(facts.key for facts in fresh)
            return [_stored(facts) for facts in contents]

    def write_manifest(self, root: str, upserts: Mapping[str, ManifestEntry], deletes: Iterable[str]) -> None:
        """Makes the stored manifest of `root` say so."""
        with self._lock:
            for group in batched(sorted({*upserts, *deletes}), KEYS_PER_FILTER):
                self.manifest_table.delete(f"root = {quoted([root])} AND path IN ({quoted(group)})")
                self.writes += 1
            rows = [
                {"root": root, "path": path, "key": entry.key, "size": entry.size, "mtime_ns": entry.mtime_ns}
                for path, entry in upserts.items()
            ]
            self._add(self.manifest_table, schema.MANIFEST, rows)

    def write_vectors(self, vectors: Mapping[str, Sequence[float]]) -> None:
        with self._lock:
            fresh = [
                {"text_key": key, "vector": vector}
                for key, vector in vectors.items()
                if key not in self.embedded
            ]
            self._add(self.vectors, schema.VECTORS, fresh)
            self.embedded.update(vectors)

    def _add(self, table: Any, table_schema: Any, rows: list[dict[str, Any]]) -> None:
        if rows:
            table.add(pa.Table.from_pylist(rows, schema=table_schema))
            self.writes += 1

    def _repair(self) -> None:
        """Removes rows of contents whose `files` row is missing."""
        with self._lock:
            if not self._torn:
                return
            for table in (self.definitions, self.references, self.chunks):
                orphans = set(self._column(table, "key")) - self.known
                for group in batched(sorted(orphans), KEYS_PER_FILTER):
                    table.delete(f"key IN ({quoted(group)})")
                    self.writes += 1
            self._torn = False

    # ------------------------------------------------------------ reading

    def manifest(self, root: str) -> dict[str, ManifestEntry]:
        rows = self.manifest_table.search().where(f"root = {quoted([root])}").limit(None).to_arrow()
        columns = [rows[name].to_pylist() for name in ("path", "key", "size", "mtime_ns")]
        return {
            path: ManifestEntry(key, size, mtime)
            for path, key, size, mtime in zip(*columns, strict=True)
            if key in self.known
        }

    def contents(self, keys: Iterable[str]) -> dict[str, StoredContent]:
        """What memory holds about these contents; unknown keys are missing from the answer."""
        wanted = set(keys) & self.known
        found = {
            row["key"]: StoredContent(**row)
            for row in self._rows(
                self.files, wanted, ["key", "language", "size", "skipped", "error", "imports"]
            )
        }
        definitions: defaultdict[str, list[Tag]] = defaultdict(list)
        for row in self._rows(self.definitions, wanted, schema.DEFINITIONS.names):
            key = row.pop("key")
            definitions[key].append(Tag(role="definition", **row))
        for key, tags in definitions.items():
            found[key].definitions = by_place(tags)
        for row in self._rows(self.references, wanted, ["key", "lines"]):
            found[row["key"]].references += len(row["lines"])
        text_keys: defaultdict[str, list[str]] = defaultdict(list)
        for row in self._rows(self.chunks, wanted, ["key", "text_key"]):
            text_keys[row["key"]].append(row["text_key"])
        for key, of_content in text_keys.items():
            found[key].text_keys = tuple(of_content)
        return found

    def references_to(self, name: str, limit: int) -> list[tuple[str, list[int]]]:
        """(content key, lines) of everything that refers to this name."""
        query = self.references.search().where(f"name = {quoted([name])}").select(["key", "lines"])
        return [(row["key"], row["lines"]) for row in query.limit(limit).to_list()]

    def chunk_texts(self, text_keys: Sequence[str]) -> dict[str, str]:
        """What is to be embedded."""
        found: dict[str, str] = {}
        for group in batched(text_keys, KEYS_PER_FILTER):
            query = self.chunks.search().where(f"text_key IN ({quoted(group)})").select(["text_key", "text"])
            found.update((row["text_key"], row["text"]) for row in query.limit(None).to_list())
        return found

    def _rows(self, table: Any, keys: set[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        if len(keys) > _SCAN_ABOVE_KEYS:
            rows = table.search().select(list(columns)).limit(None).to_arrow()
            yield from rows.filter(_compute.is_in(rows["key"], pa.array(list(keys), pa.string()))).to_pylist()
            return
        for group in batched(sorted(keys), KEYS_PER_FILTER):
            query = table.search().where(f"key IN ({quoted(group)})").select(list(columns))
            yield from query.limit(None).to_arrow().to_pylist()

    def _column(self, table: Any, name: str) -> list[str]:
        return _compute.unique(table.search().select([name]).limit(None).to_arrow()[name]).to_pylist()


def _claim(folder: Path) -> int:
    claim = try_lock(folder / WRITER_LOCK)
    if claim is None:
        raise StoreError(
            "another index service (of a container, another machine or another runtime folder) writes to this "
            f"store: end it, or set XDG_CACHE_HOME to a folder of its own for one of them. Store: {folder}"
        )
    return claim


def _stored(facts: FileFacts) -> StoredContent:
    return StoredContent(
        key=facts.key,
        language=facts.language,
        size=facts.size,
        skipped=facts.skipped,
        error=facts.error,
        imports=msgspec.msgpack.encode(facts.imports),
        definitions=by_place(facts.definitions),
        references=sum(map(len, facts.references.values())),
        text_keys=tuple(facts.text_keys),
    )


def _file_rows(contents: Sequence[FileFacts]) -> Iterator[dict[str, Any]]:
    now_s = int(time.time())
    for facts in contents:
        yield {
            "key": facts.key,
            "language": facts.language,
            "size": facts.size,
            "skipped": facts.skipped,
            "error": facts.error,
            "imports": msgspec.msgpack.encode(facts.imports),
            "stored_s": now_s,
        }


def _definition_rows(contents: Sequence[FileFacts]) -> Iterator[dict[str, Any]]:
    for facts in contents:
        for tag in facts.definitions:
            row = msgspec.structs.asdict(tag)
            del row["role"]
            yield {"key": facts.key, **row}


def _reference_rows(contents: Sequence[FileFacts]) -> Iterator[dict[str, Any]]:
    for facts in contents:
        for name, lines in facts.references.items():
            yield {"key": facts.key, "name": name, "lines": lines}


def _chunk_rows(contents: Sequence[FileFacts]) -> Iterator[dict[str, Any]]:
    for facts in contents:
        for chunk, chunk_key, tokens in zip(facts.chunks, facts.text_keys, facts.chunk_words, strict=True):
            yield {
                "key": facts.key,
                "text_key": chunk_key,
                "start_line": chunk.start_line,
                "end_line": chunk.end_line,
                "symbol": chunk.symbol,
                "kind": chunk.kind,
                "definition": chunk.definition,
                "text": chunk.text,
                "tokens": tokens,
            }
