"""One open root: indexes it, watches it, keeps memory and store in step with it until it is closed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from indexer.batcher import Changes
from indexer.contents import STORE_ERRORS, explain
from indexer.disk import Disk
from indexer.embedding import Embedding
from indexer.filling import VectorFilling
from indexer.folders import repository_name
from indexer.graph import Graph
from indexer.indexing import Pass, Report, Stage
from indexer.languages_in_use import remember
from indexer.listing import ListedFile
from indexer.live import LiveFiles, LiveRoot, TextCache
from indexer.manners import Manners
from indexer.messages import RootStatus, Skipped
from indexer.pace import Pace
from indexer.workers import CRASHED, Workers

if TYPE_CHECKING:
    from indexer.store import Store

_log = logging.getLogger(__name__)

_SKIPPED_EXAMPLES = 20

_SPARE_CONTENTS = 1_000
"""Contents of other branches and earlier saves stay in memory, so that coming back to them costs nothing."""


@dataclass(frozen=True)
class Facilities:
    """What all roots share."""

    store: Callable[[], Awaitable[Store]]
    index_text: Callable[[Store], None]
    written: Callable[[], None]
    workers: Workers
    embedding: Embedding
    texts: TextCache
    manners: Manners = field(default_factory=Manners)
    doubt: Callable[[Exception], None] = lambda failed: None
    """Told of every one of STORE_ERRORS."""


class Root:
    """`run` is the one task that changes anything here; everybody else reads."""

    def __init__(self, path: Path, facilities: Facilities) -> None:
        self.path = path
        self.live = LiveRoot({}, {})
        self.graph = Graph()
        self.repo_name = path.name
        self.ready = False
        """Whether a whole pass has succeeded since this root was opened."""
        self.error = ""
        self._listing_note = ""
        self.listeners: set[Report] = set()
        self._facilities = facilities
        self._state: Literal["listing", "indexing", "ready", "failed"] = "listing"
        self._pending = Changes(rescan=True)
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._vectors_settled = asyncio.Event()
        self._vectors = VectorFilling(
            path.name,
            facilities.embedding,
            lambda: self.live,
            self._report,
            facilities.written,
            self._vectors_done,
            facilities.manners,
        )
        self.store: Store | None = None
        """Once what it knows of this root is loaded."""
        self.progress = (0, 0)
        self._stage = ""
        self._pace = Pace()
        self._files_read = 0
        self._seconds = 0.0
        self._skipped: dict[str, str] = {}
        self._disk = Disk(path, self.changed, lambda path: path in self.live.manifest)

    # ------------------------------------------------------------ what others ask

    def changed(self, changes: Changes) -> None:
        """Something may have happened to these paths; on the event loop."""
        self._pending.add(changes)
        self._settled.clear()
        self._vectors_settled.clear()
        self._wake.set()

    def stale(self, path: str) -> None:
        """Whoever read this path found it other than indexed; from any thread."""
        self._disk.stale(path)

    def retry(self, vectors: bool = False) -> None:
        """Tries again after a failure; with `vectors`, also after one to make them."""
        if self._state == "failed" or (vectors and self.no_vectors):
            self.changed(Changes(rescan=True))

    def begin_anew(self) -> None:
        """The store that knew this root is gone."""
        self.store = None
        self.changed(Changes(rescan=True))

    @property
    def no_vectors(self) -> str:
        """Why the last attempt at vectors made none."""
        return self._vectors.problem

    def broken(self, why: str) -> None:
        """No longer kept in step, through a fault of ours."""
        self._state, self.error = "failed", why
        self._settled.set()
        self._vectors_settled.set()

    async def settled(self, vectors: bool) -> None:
        """Until everything that is known to have changed is indexed, or that has failed."""
        await self._settled.wait()
        if vectors and self._state == "ready":
            with self._facilities.manners.urgent():
                await self._vectors_settled.wait()

    def status(self, store: Store | None) -> RootStatus:
        living_contents = self.live.living_contents()
        contents = [content for content in living_contents if not content.skipped]
        notes = [self._disk.note, self._listing_note, self._vectors.note]
        vectors = 0
        if store is not None:
            vectors = store.vector_tables.wanted.covered(contents)
            if store.writer.failure is not None:
                notes.append(f"what was read is not on disk yet: {explain(store.writer.failure)}")
        done, total = self.progress
        skipped = dict(self._skipped)
        reasons = Counter(skipped.values())
        living = self.live.manifest
        excluded = [
            (path, content.skipped)
            for content in living_contents
            if content.skipped
            for path in self.live.paths_by_key.get(content.key, ())
        ]
        reasons.update(reason for _, reason in excluded)
        examples = [
            Skipped(path, reason) for path, reason in (excluded + list(skipped.items()))[:_SKIPPED_EXAMPLES]
        ]
        files = len(living) - len(excluded)
        busy = self._state == "indexing"
        return RootStatus(
            root=str(self.path),
            state=self._state,
            files=max(total, files) if busy else files,
            files_done=done if busy else files,
            symbols=sum(content.symbols for content in contents),
            references=sum(content.references for content in contents),
            chunks=sum(content.chunks for content in contents),
            vectors=vectors,
            source_bytes=sum(content.size for content in contents),
            seconds=round(self._seconds, 3),
            stage=self._stage,
            rate=round(self._pace.rate, 1),
            seconds_left=round(self._pace.seconds_left, 1),
            files_read=self._files_read,
            skipped=dict(reasons),
            skipped_examples=examples,
            error=self.error,
            note="; ".join(filter(None, notes)),
            watching=self._disk.watching,
        )

    # ------------------------------------------------------------ the one task

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._wake.clear()
                changes, self._pending = self._pending, Changes()
                await self._attempt(changes)
                if not self._wake.is_set():
                    self._settled.set()
                await self._next()
        finally:
            await self._disk.close()
            self._vectors.stop()

    async def _next(self) -> None:
        if await self._disk.wait(self._wake, gone=self._state == "failed" and not self.path.is_dir()):
            self._pending.rescan = True

    async def _attempt(self, changes: Changes) -> None:
        try:
            store = await self._facilities.store()
            if self.store is not store:
                await self._load(store)
            if changes.rescan or self._state == "failed":
                await self._rescan(store)
            elif changes:
                await self._follow(store, changes)
        except STORE_ERRORS as failed:
            self._fail(failed)
            return
        self._state, self.error, self.ready, self._stage = "ready", "", True, ""
        self._vectors.start(store)

    def _vectors_done(self) -> None:
        """They settle unless a pass is under way: its end starts them again."""
        if self._settled.is_set():
            self._stage = ""
            self._vectors_settled.set()

    def _fail(self, failed: Exception) -> None:
        _log.warning("indexing failed", exc_info=failed)
        self._facilities.doubt(failed)
        self._state = "failed"
        self.error = explain(failed) if self.path.is_dir() else "the folder is gone"
        self._vectors_settled.set()

    async def _load(self, store: Store) -> None:
        """What the store knows of this root from earlier."""
        manifest = await asyncio.to_thread(store.manifest, str(self.path))
        contents = await asyncio.to_thread(store.contents, {entry.key for entry in manifest.values()})
        self.live = await asyncio.to_thread(LiveRoot, manifest, contents)
        self.repo_name = await asyncio.to_thread(repository_name, self.path)
        self.store = store

    async def _rescan(self, store: Store) -> None:
        started = time.monotonic()
        if not self.ready:
            self._state = "listing"
        self._report("listing", 0, 0)
        listing = await self._disk.listing()
        self._listing_note = listing.note
        listed = {file.path for file in listing.files}
        gone = [path for path in self.live.manifest if path not in listed]
        store.bulk += 1
        try:
            done = await self._pass(store, listing.files, gone)
            binding = self._bind(store, [file.path for file in listing.files])
            if done.changed or store.pending.waiting():
                self._report("writing", 0, 1)
                await asyncio.gather(asyncio.to_thread(_finish, store, self._facilities.index_text), binding)
            else:
                await binding
        finally:
            store.bulk -= 1
        if done.read:
            await asyncio.to_thread(remember, _languages(self.live))
        self._skipped = dict(listing.skipped) | _reasons(done)
        if len(self.live.contents) > 2 * len(self.live.paths_by_key) + _SPARE_CONTENTS:
            self.live = await asyncio.to_thread(self.live.compacted)
        self._seconds = time.monotonic() - started
        _log.info(
            "pass: %d listed, %d changed, %d read, %.2f s",
            len(listed),
            done.changed,
            done.read,
            self._seconds,
        )

    async def _follow(self, store: Store, changes: Changes) -> None:
        """Takes over single changes; leaves to a rescan what only a listing can decide."""
        followed = await self._disk.follow(self.live.manifest, changes)
        if followed is None:
            await self._rescan(store)
            return
        done = await self._pass(store, followed.files, followed.gone)
        for path in (*followed.gone, *(file.path for file in followed.files)):
            self._skipped.pop(path, None)
        self._skipped |= followed.skipped | _reasons(done)
        await self._bind(store, [file.path for file in followed.files])

    async def _bind(self, store: Store, paths: list[str]) -> None:
        """Has the graph work out what these files import."""
        view = LiveFiles(self.path, self.live, {}, self._facilities.texts, self.stale, store)
        await self.graph.build_aside(view, paths)

    async def _pass(self, store: Store, files: list[ListedFile], gone: list[str]) -> Pass:
        if not self.ready:
            self._state = "indexing"
        # what brought down this process, or a child, must not bring it down again: after a start everything is read
        # in children, and what crashed one of them always is
        crashed = {path for path, reason in self._skipped.items() if reason == CRASHED}
        here = self.ready and crashed.isdisjoint(file.path for file in files)
        work = Pass(self.path, self.live, store, self._facilities.workers, self._report, here=here)
        try:
            await work.run(files, gone)
        finally:
            self._files_read += work.read
        if work.changed:
            self._facilities.written()
        return work

    def _report(self, stage: Stage, done: int, total: int) -> None:
        if stage == "parsing":
            self.progress = (done, total)
        self._stage = stage
        self._pace.note(stage, done, total)
        for listener in list(self.listeners):
            listener(stage, done, total)


def _languages(live: LiveRoot) -> list[str]:
    """The most used first."""
    counted = Counter(content.language for content in live.living_contents() if not content.skipped)
    return [language for language, _ in counted.most_common()]


def _reasons(done: Pass) -> dict[str, str]:
    return {problem.path: problem.reason for problem in done.problems}


def _finish(store: Store, index_text: Callable[[Store], None]) -> None:
    """After a whole pass: everything is on disk, and full text is fast."""
    store.flush()
    index_text(store)
