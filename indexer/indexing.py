"""One pass: compares a root's files with its manifest, reads what is unknown and brings store and memory in
step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from indexer.contents import ManifestEntry, StoredContent
from indexer.facts import FileFacts
from indexer.listing import ListedFile
from indexer.live import LiveRoot
from indexer.reading import FileToRead, HashedFile, ReadFile, decode_read, read_files
from indexer.workers import Workers

if TYPE_CHECKING:
    from indexer.store import Store

Stage = Literal["listing", "parsing", "writing", "embedding"]
Report = Callable[[Stage, int, int], None]

FILES_PER_WRITE = 200
"""One batch of 200 files takes 0.1 s; one by one they would take a second and leave a thousand small
files."""

_AT_ONCE_FILES = 4
_AT_ONCE_BYTES = 256 * 1024
"""What was just saved is read here, in tens of milliseconds, rather than in a child that has to be
started."""


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
    ) -> None:
        self._root = str(root)
        self._live = live
        self._store = store
        self._workers = workers
        self._report = report
        self._total = 0
        self._done = 0
        self.problems: list[Problem] = []
        self.changed = 0
        """Number of manifest entries that were written or removed."""

    async def run(self, files: Sequence[ListedFile], gone: Iterable[str]) -> None:
        """Indexes `files` and forgets `gone`. Raises one of STORE_ERRORS."""
        manifest = self._live.manifest
        gone = [path for path in gone if path in manifest]
        if gone:
            await self._commit({}, [], gone)
        suspects = [
            FileToRead(file.path, file.size, file.reincluded)
            for file in files
            if not _unchanged(file, manifest.get(file.path))
        ]
        self._total = len(suspects)
        if not suspects:
            return
        self._report("parsing", 0, self._total)
        at_once = len(suspects) <= _AT_ONCE_FILES and sum(it.size for it in suspects) <= _AT_ONCE_BYTES
        if at_once:
            body = await asyncio.to_thread(read_files, self._root, suspects, time_limit=False)
            await self._take(decode_read(body))
        else:
            await self._read(await self._adopt_known(suspects) if self._store.known else suspects)
        lost = [problem.path for problem in self.problems if problem.path in self._live.manifest]
        if lost:
            await self._commit({}, [], lost)

    async def _adopt_known(self, suspects: Sequence[FileToRead]) -> list[FileToRead]:
        """Settles the files whose content the store knows (renames, branch switches, touched files)."""
        unknown: list[FileToRead] = []
        by_path = {file.path: file for file in suspects}
        async for hashed in self._workers.hash(self._root, suspects):
            known: dict[str, HashedFile] = {}
            for file in hashed:
                if file.error:
                    self._fail(file.path, file.error)
                elif file.key in self._store.known:
                    known[file.path] = file
                else:
                    unknown.append(by_path[file.path])
            wanted = {file.key for file in known.values()} - self._live.contents.keys()
            contents = await asyncio.to_thread(self._store.contents, wanted) if wanted else {}
            upserts = {
                path: ManifestEntry(file.key, file.size, file.mtime_ns) for path, file in known.items()
            }
            await self._commit(upserts, list(contents.values()), [])
        return unknown

    async def _read(self, files: Sequence[FileToRead]) -> None:
        waiting: list[ReadFile] = []
        async for read in self._workers.read(self._root, files):
            waiting.extend(read)
            if len(waiting) >= FILES_PER_WRITE:
                await self._take(waiting)
                waiting = []
        await self._take(waiting)

    async def _take(self, read: Sequence[ReadFile]) -> None:
        """Stores what was read, then puts it into the manifest."""
        whole: list[tuple[str, FileFacts, int]] = []
        for file in read:
            if file.facts is None:
                self._fail(file.path, file.error)
            else:
                whole.append((file.path, file.facts, file.mtime_ns))
        if not whole:
            return
        upserts = {path: ManifestEntry(facts.key, facts.size, mtime) for path, facts, mtime in whole}

        def write() -> list[StoredContent]:
            # on one thread, which goes on when this pass is cancelled: no content is left that no manifest names
            stored = self._store.write([facts for _, facts, _ in whole])
            self._store.write_manifest(self._root, upserts, [])
            return stored

        self._committed(upserts, await asyncio.to_thread(write), [])

    async def _commit(
        self, upserts: dict[str, ManifestEntry], contents: Sequence[StoredContent], gone: Sequence[str]
    ) -> None:
        if upserts or gone:
            await asyncio.to_thread(self._store.write_manifest, self._root, upserts, gone)
        self._committed(upserts, contents, gone)

    def _committed(
        self, upserts: dict[str, ManifestEntry], contents: Sequence[StoredContent], gone: Sequence[str]
    ) -> None:
        if upserts or gone:
            self._live.update(upserts, gone, contents)
            self.changed += len(upserts) + len(gone)
        self._done += len(upserts)
        self._report("parsing", self._done, self._total)

    def _fail(self, path: str, reason: str) -> None:
        self._done += 1
        self.problems.append(Problem(path, reason))


def _unchanged(file: ListedFile, entry: ManifestEntry | None) -> bool:
    return entry is not None and entry.size == file.size and entry.mtime_ns == file.mtime_ns
