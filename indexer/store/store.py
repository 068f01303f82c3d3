"""The store: facts by content, manifests by root, vectors by chunk text, in one LanceDB folder.

Memory first: what is put in counts at once and is written in batches by one thread. A lock in the folder keeps
every other process out. A batch names its contents in a file beside the tables before it begins and writes the
row in `files` after everything else about a content, so that whoever opens the store after a crash finds whole
contents only, and knows which rows to remove. Methods that say so block on the disk and belong on a worker
thread."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from indexer.batches import batched
from indexer.children.counting import CountedFile
from indexer.messages import TokenizerRef
from indexer.parsing.facts import FileFacts
from indexer.searching.fulltext import FullText
from indexer.store import columns, reader, schema
from indexer.store.announcement import Announcement, TornNoteError
from indexer.store.answers import StoreAnswers
from indexer.store.claim import claim
from indexer.store.contents import ManifestEntry, StoredContent, StoreError
from indexer.store.drafts import Drafts
from indexer.store.dump import Row, dump
from indexer.store.lance import lancedb
from indexer.store.openings import Openings
from indexer.store.pending import Batch, Pending
from indexer.store.reader import KEYS_PER_FILTER as KEYS_PER_FILTER
from indexer.store.reader import ChunkRow as ChunkRow
from indexer.store.reader import quoted as quoted
from indexer.store.rows import ContentRows, pack
from indexer.store.sizes import size_of
from indexer.store.token_tables import TokenTable, TokenTables, fingerprint
from indexer.store.vector_tables import VectorTable, VectorTables
from indexer.store.writer import Writer

_log = logging.getLogger(__name__)

_INDEX_CACHE_BYTES = 64 * 1024 * 1024
_METADATA_CACHE_BYTES = 32 * 1024 * 1024
"""LanceDB would keep gigabytes; an index of 100,000 chunks is 30 MB."""


class Store(StoreAnswers):
    """One generation of the store, opened for writing by the one service of this user."""

    def __init__(
        self, folder: Path, embedder_fingerprint: str, dimensions: int = schema.VECTOR_DIMENSIONS
    ) -> None:
        """Blocks. Raises one of STORE_ERRORS when the folder cannot be made, read or repaired."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.utime(folder)  # says that this generation is in use
        self.folder = folder
        self.writes = 0
        """Since the last maintenance; each leaves a version and small files behind."""
        self.changed_s = time.monotonic()
        """When a table was changed last."""
        self.litter = False
        """Whether compaction has left versions behind that were too young to go."""
        self.bulk = 0
        """Passes over whole roots under way: each indexes its text at its end, all at once."""
        self.lock = threading.RLock()
        """Held by every writer."""
        self.pending = Pending()
        self.drafts = Drafts()
        self._announcement = Announcement(folder)
        self._claim: int | None = claim(folder)
        with contextlib.ExitStack() as undo:
            undo.callback(self._let_go)
            session: Any = lancedb.Session
            database = lancedb.connect(folder, session=session(_INDEX_CACHE_BYTES, _METADATA_CACHE_BYTES))
            self.files = database.create_table("files", schema=schema.FILES, exist_ok=True)
            self.references = database.create_table("references", schema=schema.REFERENCES, exist_ok=True)
            self.chunks = database.create_table("chunks", schema=schema.CHUNKS, exist_ok=True)
            self.manifest_table = database.create_table("manifest", schema=schema.MANIFEST, exist_ok=True)
            self.openings = Openings(folder)
            self.text = FullText(self.chunks)
            self.vector_tables = VectorTables(database, embedder_fingerprint, dimensions)
            self.token_tables = TokenTables(database)
            self.known = set(reader.column(self.files, "key"))
            # each serial came with a version of its own: none is above this, and no row has to be read
            self._serial = int(self.manifest_table.version)
            self._repair()
            undo.pop_all()
        self.writer = Writer(self._write_pending, lambda: len(self.pending))

    def close(self) -> None:
        """Blocks. Writes what waits and lets another process write. May raise one of STORE_ERRORS, closed all
        the same."""
        if self._claim is None:
            return
        try:
            self.writer.flush()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Closes without writing what waits: what the disk knows is what a crash would leave."""
        self.writer.close()
        with self.lock:  # whoever writes just now comes to an end first
            self._let_go()

    def _let_go(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            os.close(claim)

    @contextlib.contextmanager
    def _writing(self) -> Generator[None]:
        """Holds the lock. Raises StoreError once this is closed: another store may be in its place."""
        with self.lock:
            if self._claim is None:
                raise StoreError(f"the store {self.folder} was closed")
            yield

    def dump(self, root: str) -> dict[str, list[Row]]:
        """Blocks. Everything about a root as plain rows (see `indexer.store.dump`)."""
        return dump(self, root)

    @property
    def tables(self) -> dict[str, Any]:
        """Everything that maintenance looks after."""
        return {
            "files": self.files,
            "references": self.references,
            "chunks": self.chunks,
            "manifest": self.manifest_table,
            **self.vector_tables.tables,
            **self.token_tables.tables,
        }

    def sizes(self) -> dict[str, int]:
        """Blocks. Bytes on disk by table, and of everything else."""
        found = {name: size_of(self.folder / f"{name}.lance") for name in self.tables}
        return found | {"other": size_of(self.folder) - sum(found.values())}

    # ------------------------------------------------------------ writing

    def put(
        self,
        root: str,
        upserts: Mapping[str, ManifestEntry],
        gone: Iterable[str] = (),
        rows: Sequence[ContentRows] = (),
    ) -> set[str]:
        """Makes memory say so at once and the disk soon. Gives the paths of `upserts` whose content turned out
        to be unknown: they were left out and have to be read."""
        self._search_in_memory(rows)
        lacking = self.pending.add(root, upserts, gone, rows, lambda: self.known)
        self._search_in_memory(rows)  # again: what was superseded or removed until now was forgotten there
        self.writer.wake()
        return lacking

    def _search_in_memory(self, rows: Sequence[ContentRows]) -> None:
        """Before they are put: a write that comes between would leave them to an index that lacks them."""
        self.text.add(row for row in rows if row.key not in self.known)

    def flush(self) -> None:
        """Blocks until all that was put is on disk. Raises one of STORE_ERRORS; what could not be written is
        tried again later."""
        self.writer.flush()

    def write(self, contents: Sequence[FileFacts]) -> list[StoredContent]:
        """Blocks. Adds contents that are not known yet; gives what memory holds about all of them."""
        rows = [pack(facts) for facts in contents]
        self._search_in_memory(rows)
        self.pending.add(None, {}, (), rows, lambda: self.known)
        self.flush()
        return [row.content for row in rows]

    def write_manifest(self, root: str, upserts: Mapping[str, ManifestEntry], deletes: Iterable[str]) -> None:
        """Blocks. Makes the stored manifest of `root` say so."""
        self.put(root, upserts, deletes)
        self.flush()

    def add(self, table: Any, rows: Any) -> None:
        """Blocks. Appends Arrow rows to one of the tables."""
        if rows.num_rows:
            with self._writing():
                table.add(rows)
                self.wrote()

    def wrote(self, times: int = 1) -> None:
        """A table has so many more versions now."""
        self.writes += times
        self.changed_s = time.monotonic()

    def delete(self, table: Any, column: str, values: Sequence[str]) -> None:
        """Blocks. Removes the rows with one of these values."""
        with self._writing():
            for group in batched(values, KEYS_PER_FILTER):
                table.delete(f"{column} IN ({quoted(group)})")
                self.wrote()

    def _write_pending(self) -> None:
        with self._writing():
            self._repair()
            batch, superseded = self.pending.take()
            self.text.forget(superseded)
            whole = False
            try:
                self._write_batch(batch)
                whole = True
            finally:
                if whole:
                    self.pending.settle()
                else:
                    self.pending.give_back()
            if written := self.vector_tables.flush():
                self.wrote(written)

    def _write_batch(self, batch: Batch) -> None:
        rows = [row for row in batch.contents.values() if row.key not in self.known]
        if rows:
            with self._announcement.of([row.key for row in rows]):
                self.add(self.references, columns.references(rows))
                self.add(self.chunks, columns.chunks(rows))
                self.add(self.files, columns.files(rows, int(time.time())))
                self.known.update(row.key for row in rows)
        if batch.manifest:
            self.add(self.manifest_table, columns.manifest(batch.manifest, self._serial + 1))
            self._serial += 1

    def remove_contents(self, keys: Sequence[str]) -> None:
        """Blocks. Forgets contents that no manifest on disk names, unless one in memory has come to name them.
        Raises one of STORE_ERRORS."""
        with self._writing():
            self._repair()
            with self._announcement.of(keys):
                with self.pending.unnamed(keys) as keys:
                    self.known = self.known.difference(keys)
                    self.text.forget(keys)
                # the row in `files` goes first: a content is whole or not there
                for table in (self.files, self.references, self.chunks):
                    self.delete(table, "key", keys)
                for tokens in self.token_tables.all:
                    tokens.remove(keys)

    def _repair(self) -> None:
        """Removes what a change that was cut short has left behind."""
        try:
            keys = self._announcement.left()
        except TornNoteError as failed:
            _log.warning("every content that is not whole is removed: %s", failed)
            keys = [key for table in (self.references, self.chunks) for key in reader.column(table, "key")]
        if keys is None:
            return
        self.known |= reader.present(self.files, set(keys))
        torn = sorted(set(keys) - self.known)
        self.delete(self.references, "key", torn)
        self.delete(self.chunks, "key", torn)
        self._announcement.withdraw()

    # ------------------------------------------------------------ token ids

    def token_table(self, tokenizer: TokenizerRef) -> TokenTable:
        """Blocks. The table of a tokenizer that has a file. Raises OSError when that cannot be read."""
        assert tokenizer.file is not None
        return self.token_tables.of(fingerprint(Path(tokenizer.file)))

    def counted(self, root: str, keys: Collection[str]) -> int:
        """Blocks. How many of these contents have ids of the tokenizer that was last asked for in `root`."""
        tokenizer = self.openings[root].tokenizer
        try:
            return len(self.token_table(tokenizer).keys & set(keys)) if tokenizer is not None else 0
        except OSError:  # its file is gone
            return 0

    def write_token_ids(self, table: TokenTable, counted: Iterable[CountedFile]) -> None:
        """Blocks. Adds those that are not known yet."""
        with self._writing():
            self.wrote(table.write(counted))

    # ------------------------------------------------------------ vectors

    @property
    def vectors(self) -> Any:
        """The table of the embedder that was asked for."""
        return self.vector_tables.wanted.table

    @property
    def embedded(self) -> Any:
        """Which chunk texts have their vector there."""
        return self.vector_tables.wanted.keys

    def want_vectors(self, fingerprint: str, dimensions: int) -> None:
        """Blocks. Another embedder's vectors are made from now on."""
        with self._writing():
            self.vector_tables.want(fingerprint, dimensions)

    def write_vectors(
        self,
        vectors: Mapping[str, Sequence[float]],
        table: VectorTable | None = None,
        *,
        few_wait: bool = False,
    ) -> None:
        """Blocks. Adds those that are not known yet, to the wanted table or another; with `few_wait`, a few are on
        disk only soon."""
        table = table or self.vector_tables.wanted
        with self._writing():
            self.wrote(table.write(vectors, few_wait=few_wait))
        if table.waiting:
            self.writer.wake()
