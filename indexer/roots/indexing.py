"""One pass: compares a root's files with its manifest, reads what is unknown and brings memory and store in
step."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from indexer.batches import batched
from indexer.children.reading import (
    Fault,
    FileToRead,
    HashedFile,
    ReadFile,
    decode_hashed,
    decode_read,
    hash_files,
    read_files,
)
from indexer.children.workers import Workers
from indexer.files.listing import ListedFile
from indexer.roots.failures import Failures
from indexer.roots.live import LiveRoot
from indexer.store.contents import ManifestEntry, StoredContent
from indexer.store.rows import ContentRows

if TYPE_CHECKING:
    from indexer.store.store import Store

_log = logging.getLogger(__name__)

Stage = Literal["listing", "parsing", "writing", "embedding", "counting"]
"""As in `messages.ProgressNote`; `counting` is of tokens."""

Report = Callable[[Stage, int, int], None]

_AT_ONCE_FILES = 4
_AT_ONCE_BYTES = 256 * 1024
"""What was just saved is read here, without the hand-over to a niced child that has to wait for everybody else."""

_HASHED_AT_ONCE = 100
"""Files that one thread hashes before what is unknown among them goes on to be read: 10 ms."""

_MOST_HASHED_HERE = 64 * 1024 * 1024
"""Bytes that are hashed in the service, in a tenth of a second; more is left to niced children."""

_LEAST_STEP = 32
_STEP_SHARE = 16
"""Memory takes in so many files at once, or this part of what it has: each time its maps are copied."""

_UNWRITTEN_CONTENTS = 1_500
"""Contents that were read and not written yet: with more of them reading waits, so that memory stays bounded."""


class Problem(msgspec.Struct, frozen=True):
    """A listed file that could not be indexed."""

    path: str
    reason: str


class Pass:
    """Brings `live` and the store in step with a set of files of one root."""

    def __init__(
        self,
        root: Path,
        live: LiveRoot,
        store: Store,
        workers: Workers,
        report: Report,
        *,
        here: bool = True,
        failures: Failures | None = None,
    ) -> None:
        """`here`: whether a few files may be read in this process. `failures`: of earlier passes."""
        self._root = str(root)
        self._here = here
        self._failures = failures or Failures()
        self._suspects: dict[str, ListedFile] = {}
        self._started_ns = time.time_ns()
        self._live = live
        self._store = store
        self._workers = workers
        self._report = report
        self._total = 0
        self._done = 0
        self.problems: list[Problem] = []
        self.later: list[str] = []
        """Those of `problems` that may be gone in a moment; what was known of their files stays."""
        self.changed = 0
        """Number of manifest entries that were written or removed."""
        self.taken: list[str] = []
        """Paths that have another content than before."""
        self.read = 0
        """Number of files whose facts were taken out anew."""
        self.fresh: set[str] = set()
        """Contents of these."""

    async def run(self, files: Sequence[ListedFile], gone: Iterable[str]) -> None:
        """Indexes `files` and forgets `gone`. Raises one of STORE_ERRORS."""
        gone = [path for path in gone if path in self._live.manifest]
        if gone:
            self._put({}, [], [], gone)
        self._suspects = {file.path: file for file in files if not self._unchanged(file)}
        for file in list(self._suspects.values()):
            if reason := self._failures.reason(self._root, file):
                self.problems.append(Problem(file.path, reason))
                del self._suspects[file.path]
        self._total = len(self._suspects)
        if self._suspects:
            self._report("parsing", 0, self._total)
            await self._read([FileToRead(it.path, it.size, it.reincluded) for it in self._suspects.values()])
        kept = {*self.later}
        lost = [it.path for it in self.problems if it.path in self._live.manifest and it.path not in kept]
        if lost:
            self._put({}, [], [], lost)

    def _unchanged(self, file: ListedFile) -> bool:
        entry = self._live.manifest.get(file.path)
        return (
            entry is not None
            and entry.size == file.size
            and entry.mtime_ns == file.mtime_ns
            and self._live.contents[entry.key].reincluded == file.reincluded
        )

    async def _read(self, suspects: Sequence[FileToRead]) -> None:
        unknown = suspects
        if self._store.known or len(self._store.pending):
            unknown = [file async for file in self._adopt_known(suspects)]
        if (
            self._here
            and len(unknown) <= _AT_ONCE_FILES
            and sum(file.size for file in unknown) <= _AT_ONCE_BYTES
        ):
            body = await asyncio.to_thread(read_files, self._root, list(unknown), time_limit=False)
            self._take(decode_read(body))
            return
        waiting: list[ReadFile] = []
        async for read in self._workers.read(self._root, unknown):
            waiting.extend(read)
            if len(waiting) >= max(_LEAST_STEP, len(self._live.manifest) // _STEP_SHARE):
                self._take(waiting)
                waiting = []
            if len(self._store.pending) > _UNWRITTEN_CONTENTS:
                await asyncio.to_thread(self._store.flush)
        self._take(waiting)

    async def _adopt_known(self, suspects: Sequence[FileToRead]) -> AsyncIterator[FileToRead]:
        """Settles the files whose content the store knows (renames, branch switches, touched files), gives the
        others."""
        by_path = {file.path: file for file in suspects}
        async for hashed in self._hash(suspects):
            known: list[HashedFile] = []
            for file in hashed:
                if file.error:
                    self._fail(file.path, file.error, file.fault)
                elif self._store.holds(file.key):
                    known.append(file)
                else:
                    yield by_path[file.path]
            wanted = {file.key for file in known} - self._live.contents.keys()
            contents = await asyncio.to_thread(self._store.contents, wanted) if wanted else {}
            upserts = {it.path: ManifestEntry(it.key, it.size, it.mtime_ns) for it in known}
            for path in self._put(upserts, list(contents.values()), [], []):
                yield by_path[path]

    async def _hash(self, files: Sequence[FileToRead]) -> AsyncIterator[list[HashedFile]]:
        if sum(file.size for file in files) > _MOST_HASHED_HERE:
            async for hashed in self._workers.hash(self._root, files):
                yield hashed
            return
        for some in batched(files, _HASHED_AT_ONCE):
            yield decode_hashed(await asyncio.to_thread(hash_files, self._root, list(some), time_limit=False))

    def _take(self, read: Sequence[ReadFile]) -> None:
        """Makes what was read count."""
        upserts: dict[str, ManifestEntry] = {}
        rows: list[ContentRows] = []
        for file in read:
            if file.rows is None:
                self._fail(file.path, file.error, file.fault)
                continue
            rows.append(file.rows)
            upserts[file.path] = ManifestEntry(file.rows.key, file.rows.content.size, file.mtime_ns)
        self.read += len(rows)
        self.fresh.update(row.key for row in rows)
        self._put(upserts, [row.content for row in rows], rows, [])

    def _put(
        self,
        upserts: dict[str, ManifestEntry],
        contents: Sequence[StoredContent],
        rows: Sequence[ContentRows],
        gone: Sequence[str],
    ) -> set[str]:
        """Store first: what the live maps say must be found there. Gives the paths that the store did not take."""
        if not upserts and not gone:
            return set()
        lacking = self._store.put(self._root, upserts, gone, rows)
        for path in lacking:
            del upserts[path]
        before = self._live.manifest
        self.taken += [
            path
            for path, entry in upserts.items()
            if (was := before.get(path)) is None or was.key != entry.key
        ]
        self._live.update(upserts, gone, contents)
        self.changed += len(upserts) + len(gone)
        self._done += len(upserts)
        self._report("parsing", self._done, self._total)
        return lacking

    def _fail(self, path: str, reason: str, fault: Fault) -> None:
        self._done += 1
        self.problems.append(Problem(path, reason))
        if fault == "moment":
            self.later.append(path)
        elif fault == "content":
            _log.error("%s: %s", Path(self._root, path), reason)
            self._failures.remember(self._root, self._suspects[path], reason, self._started_ns)
