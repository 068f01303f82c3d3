"""What memory knows and the disk does not yet: contents just read and changes of manifests.

Every question that the store answers looks here first, so that a saved file counts from the moment it is read,
and the disk is written in batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager

from indexer.store.contents import ManifestEntry
from indexer.store.rows import ContentRows

Changes = dict[str, dict[str, ManifestEntry | None]]
"""By root and path; None: the path is gone."""


class Batch:
    """What is written in one go."""

    def __init__(self) -> None:
        self.contents: dict[str, ContentRows] = {}
        self.manifest: Changes = {}
        self.unnamed: set[str] = set()
        """Contents that are to be written although no manifest of this batch names them."""

    def __bool__(self) -> bool:
        return bool(self.contents or self.manifest)

    def merge(self, newer: Batch) -> None:
        self.contents |= newer.contents
        self.unnamed |= newer.unnamed
        for root, changes in newer.manifest.items():
            self.manifest.setdefault(root, {}).update(changes)

    def without_superseded(self) -> dict[str, ContentRows]:
        """A content that was saved over before it was written need not be written at all."""
        named = {entry.key for changes in self.manifest.values() for entry in changes.values() if entry}
        return {key: rows for key, rows in self.contents.items() if key in named or key in self.unnamed}


class Pending:
    """Two batches: one that fills, and one that is being written. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = Batch()
        self._writing = Batch()
        self.contents: Mapping[str, ContentRows] = {}
        """Of both batches. Replaced, never changed: whoever reads it has a picture of one moment."""

    def __len__(self) -> int:
        return len(self.contents)

    def add(
        self,
        root: str | None,
        upserts: Mapping[str, ManifestEntry],
        gone: Iterable[str],
        rows: Sequence[ContentRows],
        on_disk: Callable[[], Collection[str]],
    ) -> set[str]:
        """Takes in changes of `root` (None: contents alone). Gives the paths whose content is neither here nor
        `on_disk` (it was superseded or forgotten a moment ago): they were not taken and have to be read again."""
        with self._lock:
            known = on_disk()
            fresh = {row.key: row for row in rows if row.key not in known and row.key not in self.contents}
            if fresh:
                self._waiting.contents |= fresh
                self.contents = {**self.contents, **fresh}
            if root is None:
                self._waiting.unnamed.update(fresh)
                return set()
            taken: dict[str, ManifestEntry | None] = {
                path: entry
                for path, entry in upserts.items()
                if entry.key in known or entry.key in self.contents
            }
            changes = self._waiting.manifest.setdefault(root, {})
            changes.update(taken)
            changes.update(dict.fromkeys(gone))
            return upserts.keys() - taken.keys()

    def take(self) -> tuple[Batch, list[str]]:
        """What is to be written now, which stays visible until `settle` or `give_back`, and the contents that
        need not be."""
        with self._lock:
            batch, self._waiting = self._waiting, Batch()
            needed = batch.without_superseded()
            superseded = [key for key in batch.contents if key not in needed]
            batch.contents = needed
            self._writing = batch
            self.contents = dict(needed)
            return batch, superseded

    def settle(self) -> None:
        """The batch is on disk."""
        with self._lock:
            self._writing = Batch()
            self.contents = dict(self._waiting.contents)

    def give_back(self) -> None:
        """The batch could not be written: it waits again, under what came meanwhile."""
        with self._lock:
            batch, self._writing = self._writing, Batch()
            batch.merge(self._waiting)
            self._waiting = batch
            self.contents = dict(batch.contents)

    @contextmanager
    def unnamed(self, keys: Iterable[str]) -> Generator[list[str]]:
        """Those of `keys` that nothing here names, and nothing comes to name before the end of this context."""
        with self._lock:
            named = {
                entry.key
                for batch in (self._writing, self._waiting)
                for changes in batch.manifest.values()
                for entry in changes.values()
                if entry is not None
            }
            yield [key for key in keys if key not in named]

    def waiting(self) -> bool:
        """Whether there is something that nobody has begun to write."""
        with self._lock:
            return bool(self._waiting)

    def changes_of(self, root: str) -> dict[str, ManifestEntry | None]:
        """What the manifest on disk does not say yet."""
        with self._lock:
            return self._writing.manifest.get(root, {}) | self._waiting.manifest.get(root, {})

    def roots(self) -> set[str]:
        """Whose manifests change."""
        with self._lock:
            return {*self._writing.manifest, *self._waiting.manifest}
