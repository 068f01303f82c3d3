"""One open root: indexes it, watches it, keeps memory and store in step with it until it is closed."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from indexer.contents import STORE_ERRORS, explain
from indexer.embedding import Embedding, EmbeddingUnavailable
from indexer.exclusions import Exclusions
from indexer.folders import folders_to_watch, git_folders, repository_name
from indexer.indexing import Pass, Report, Stage
from indexer.listing import ListedFile, list_files
from indexer.live import LiveRoot, TextCache
from indexer.messages import RootStatus, Skipped
from indexer.watch import Batcher, Changes, Watch
from indexer.workers import Workers

if TYPE_CHECKING:
    from indexer.store import Store

_log = logging.getLogger(__name__)

POLL_S = 10.0
"""Between two looks where the system gives no events; a listing of 25,000 files takes a tenth of a second."""

_LISTINGS_PER_UPDATE = 3
"""New folders may appear while watches are being added; more rounds than this are left to their own
events."""

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


class Root:
    """`run` is the one task that changes anything here; everybody else reads."""

    def __init__(self, path: Path, facilities: Facilities) -> None:
        self.path = path
        self.live = LiveRoot({}, {})
        self.exclusions = Exclusions()
        self.repo_name = path.name
        self.ready = False
        """Whether a whole pass has succeeded since this root was opened."""
        self.error = ""
        self.no_vectors = ""
        """Why the last attempt at vectors made none."""
        self._notes: dict[Literal["watching", "listing", "vectors"], str] = {}
        self.listeners: set[Report] = set()
        self._facilities = facilities
        self._state: Literal["listing", "indexing", "ready", "failed"] = "listing"
        self._watching: Literal["", "events", "polling"] = ""
        self._pending = Changes(rescan=True)
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._vectors_settled = asyncio.Event()
        self._vector_task: asyncio.Task[None] | None = None
        self._vectors_wanted = False
        self._loaded = False
        self.progress = (0, 0)
        self._seconds = 0.0
        self._skipped: list[tuple[str, str]] = []
        self._batcher = Batcher(asyncio.get_running_loop(), self.changed)
        self._watch = Watch(path, self._batcher)

    # ------------------------------------------------------------ what others ask

    def changed(self, changes: Changes) -> None:
        """Something may have happened to these paths; on the event loop."""
        self._pending.paths |= changes.paths
        self._pending.rescan |= changes.rescan
        self._settled.clear()
        self._vectors_settled.clear()
        self._wake.set()

    def stale(self, path: str) -> None:
        """Whoever read this path found it other than indexed; from any thread."""
        self._batcher.add(path)

    def retry(self, vectors: bool = False) -> None:
        """Tries again after a failure; with `vectors`, also after one to make them."""
        if self._state == "failed" or (vectors and self.no_vectors):
            self.changed(Changes(rescan=True))

    def broken(self, why: str) -> None:
        """No longer kept in step, through a fault of ours."""
        self._state, self.error = "failed", why
        self._settled.set()
        self._vectors_settled.set()

    async def settled(self, vectors: bool) -> None:
        """Until everything that is known to have changed is indexed, or that has failed."""
        await self._settled.wait()
        if vectors and self._state == "ready":
            await self._vectors_settled.wait()

    def status(self, store: Store | None) -> RootStatus:
        contents = [content for content in self.live.living_contents() if not content.skipped]
        texts = [key for content in contents for key in content.text_keys]
        embedded: set[str] = store.embedded if store is not None else set()
        done, total = self.progress
        reasons = Counter(reason for _, reason in self._skipped)
        living = self.live.manifest
        excluded = [
            (path, content.skipped)
            for content in self.live.living_contents()
            if content.skipped
            for path in self.live.paths_by_key.get(content.key, ())
        ]
        reasons.update(reason for _, reason in excluded)
        examples = [Skipped(path, reason) for path, reason in (excluded + self._skipped)[:_SKIPPED_EXAMPLES]]
        files = len(living) - len(excluded)
        busy = self._state == "indexing"
        return RootStatus(
            root=str(self.path),
            state=self._state,
            files=max(total, files) if busy else files,
            files_done=done if busy else files,
            symbols=sum(len(content.definitions) for content in contents),
            references=sum(content.references for content in contents),
            chunks=len(texts),
            vectors=sum(key in embedded for key in texts),
            source_bytes=sum(content.size for content in contents),
            seconds=round(self._seconds, 3),
            skipped=dict(reasons),
            skipped_examples=examples,
            error=self.error,
            note="; ".join(filter(None, self._notes.values())),
            watching=self._watching,
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
            self._batcher.close()
            await asyncio.to_thread(self._watch.close)
            if self._vector_task is not None:
                self._vector_task.cancel()

    async def _next(self) -> None:
        if self._watching != "polling":
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            self._pending.rescan = True

    async def _attempt(self, changes: Changes) -> None:
        try:
            store = await self._facilities.store()
            if not self._loaded:
                await self._load(store)
            if changes.rescan or self._state == "failed":
                await self._rescan(store)
            elif changes.paths:
                await self._follow(store, changes.paths)
        except STORE_ERRORS as failed:
            self._fail(failed)
            return
        self._state, self.error, self.ready = "ready", "", True
        self._start_vectors(store)

    def _fail(self, failed: Exception) -> None:
        _log.warning("indexing failed", exc_info=failed)
        self._state = "failed"
        self.error = explain(failed) if self.path.is_dir() else "the folder is gone"
        self._vectors_settled.set()

    async def _load(self, store: Store) -> None:
        """What the store knows of this root from earlier."""
        manifest = await asyncio.to_thread(store.manifest, str(self.path))
        contents = await asyncio.to_thread(store.contents, {entry.key for entry in manifest.values()})
        self.live = await asyncio.to_thread(LiveRoot, manifest, contents)
        self.repo_name = await asyncio.to_thread(repository_name, self.path)
        self._loaded = True

    async def _rescan(self, store: Store) -> None:
        started = time.monotonic()
        if not self.ready:
            self._state = "listing"
        self._report("listing", 0, 0)
        self.exclusions = await asyncio.to_thread(Exclusions.load, self.path)
        await self._update_watch()
        listing = await asyncio.to_thread(list_files, self.path)
        self._notes["listing"] = listing.note
        listed = {file.path for file in listing.files}
        gone = [path for path in self.live.manifest if path not in listed]
        done = await self._pass(store, listing.files, gone)
        self._skipped = listing.skipped + [(problem.path, problem.reason) for problem in done.problems]
        if len(self.live.contents) > 2 * len(self.live.paths_by_key) + _SPARE_CONTENTS:
            self.live = await asyncio.to_thread(self.live.compacted)
        self._seconds = time.monotonic() - started
        _log.info("pass: %d listed, %d changed, %.2f s", len(listed), done.changed, self._seconds)

    async def _follow(self, store: Store, paths: set[str]) -> None:
        """Takes over single changed paths; leaves to a rescan what only a listing can decide."""
        states = await asyncio.to_thread(self._look_at, sorted(paths))
        if states is None:
            await self._rescan(store)
            return
        files, gone = states
        done = await self._pass(store, files, gone)
        self._skipped += [(problem.path, problem.reason) for problem in done.problems]

    def _look_at(self, paths: list[str]) -> tuple[list[ListedFile], list[str]] | None:
        """The living and the gone of these paths; None when one is new or has become something else."""
        files: list[ListedFile] = []
        gone: list[str] = []
        for path in paths:
            known = path in self.live.manifest
            try:
                state = os.lstat(self.path / path)
            except (FileNotFoundError, NotADirectoryError):
                if known:
                    gone.append(path)
                continue
            if not known and self.exclusions.why_excluded(path):
                continue
            if not known or self.exclusions.why_excluded(path, state.st_size) or not _is_file(state):
                return None
            reincluded = self.exclusions.reincludes(path)
            files.append(ListedFile(path, state.st_size, state.st_mtime_ns, reincluded))
        return files, gone

    async def _pass(self, store: Store, files: list[ListedFile], gone: list[str]) -> Pass:
        if not self.ready:
            self._state = "indexing"
        work = Pass(self.path, self.live, store, self._facilities.workers, self._report)
        await work.run(files, gone)
        if work.changed:
            self._report("writing", 0, 1)
            await asyncio.to_thread(self._facilities.index_text, store)
            self._facilities.written()
        return work

    async def _update_watch(self) -> None:
        try:
            git = await asyncio.to_thread(git_folders, self.path)
            for _ in range(_LISTINGS_PER_UPDATE):
                folders = await asyncio.to_thread(folders_to_watch, self.path, self.exclusions)
                if not await asyncio.to_thread(self._watch.update, folders, git):
                    break
            self._watching = "events"
            self._notes["watching"] = ""
        except OSError as failed:
            if not self.path.is_dir():
                raise
            self._watching = "polling"
            self._notes["watching"] = (
                f"{failed.strerror or failed}: changes are looked for every {POLL_S:.0f} s; "
                "raise fs.inotify.max_user_watches to see them at once"
            )

    def _report(self, stage: Stage, done: int, total: int) -> None:
        if stage == "parsing":
            self.progress = (done, total)
        for listener in list(self.listeners):
            listener(stage, done, total)

    # ------------------------------------------------------------ vectors

    def _start_vectors(self, store: Store) -> None:
        self._vectors_wanted = True
        if self._vector_task is None or self._vector_task.done():
            self._vector_task = asyncio.create_task(self._embed(store), name=f"vectors of {self.path.name}")

    async def _embed(self, store: Store) -> None:
        """Until no chunk of a living file is without its vector; then, or when that cannot be, `vectors`
        settle, unless a pass is under way: its end starts this again."""
        self._notes["vectors"] = self.no_vectors = ""
        try:
            while self._vectors_wanted:
                self._vectors_wanted = False
                await self._fill(store)
        except EmbeddingUnavailable as unavailable:
            _log.warning("no vectors: %s", unavailable)
            self.no_vectors = f"no vectors: {unavailable}"
        except STORE_ERRORS as failed:
            _log.warning("vectors are not stored", exc_info=failed)
            self._notes["vectors"] = f"vectors cannot be stored: {explain(failed)}"
        if self._settled.is_set():
            self._vectors_settled.set()

    async def _fill(self, store: Store) -> None:
        before = -1
        embedding = self._facilities.embedding
        while True:
            missing, total = await asyncio.to_thread(_without_vector, self.live, store)
            if not missing or len(missing) == before:
                return
            if not embedding.available:
                raise EmbeddingUnavailable(embedding.problem)
            before = len(missing)
            have = total - len(missing)
            self._report("embedding", have, total)

            def advance(done: int, have: int = have, total: int = total) -> None:
                self._report("embedding", have + done, total)

            await embedding.fill(store, missing, advance)
            self._facilities.written()


def _without_vector(live: LiveRoot, store: Store) -> tuple[list[str], int]:
    """Keys of living chunk texts that have no vector, and the number of all. Blocks: there may be 100,000."""
    keys = {key: None for content in live.living_contents() for key in content.text_keys}
    return [key for key in keys if key not in store.embedded], len(keys)


def _is_file(state: os.stat_result) -> bool:
    return stat.S_ISREG(state.st_mode)
