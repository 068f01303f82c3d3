"""One open root: indexes it, watches it, keeps memory and store in step with it until it is closed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.children import memory
from indexer.children.workers import CRASHED
from indexer.files.batcher import Changes
from indexer.files.disk import Disk
from indexer.files.folders import repository_name
from indexer.files.listing import ListedFile
from indexer.graph import Graph
from indexer.messages import RootStatus, TokenizerRef
from indexer.names.siblings import Siblings
from indexer.packing.base_shelf import BaseShelf
from indexer.roots.facilities import Facilities
from indexer.roots.filling import VectorFilling
from indexer.roots.indexing import Pass
from indexer.roots.languages_in_use import remember
from indexer.roots.live import LiveFiles, LiveRoot
from indexer.roots.progress import Progress
from indexer.roots.renown import Renown
from indexer.roots.root_history import RootHistory
from indexer.roots.status import State, root_status
from indexer.roots.token_filling import TokenFilling
from indexer.store.contents import STORE_ERRORS, explain

if TYPE_CHECKING:
    from indexer.store.store import Store

_log = logging.getLogger(__name__)

_SPARE_CONTENTS = 1_000
"""Contents of other branches and earlier saves stay in memory, so that coming back to them costs nothing."""

_MOST_BOUND = 5_000
"""Files whose imports are worked out ahead, in about a second. Of all 50,000 of a large repository they would take
140 MB, for what nobody may ever ask."""

_RETRY_S = 30.0
"""After a failure of the store, or of a read: a disk that was full may have room again, a mount be back, without
anything in the root changing."""

_MUCH_READ = 5_000
"""Files that were read or loaded, after which memory is given back at once and not only when the store is
tidied."""


class Root:
    """`run` is the one task that changes anything here; everybody else reads."""

    def __init__(self, path: Path, facilities: Facilities) -> None:
        self.path = path
        self.live = LiveRoot({}, {})
        self.graph = Graph()
        self.bases = BaseShelf()
        self.repo_name = path.name
        self.ready = False
        """Whether a whole pass has succeeded since this root was opened."""
        self.error = ""
        self._listing_note = ""
        self.progress = Progress()
        self._facilities = facilities
        self._state: State = "listing"
        self._pending = Changes(rescan=True)
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._vectors_settled = asyncio.Event()
        self._vectors = VectorFilling(
            path.name,
            facilities.embedding,
            lambda: self.live,
            self.progress.report,
            facilities.written,
            self._vectors_done,
            facilities.manners,
            facilities.doubt,
        )
        self.siblings = Siblings()
        self.renown = Renown(lambda: self.live)
        self.history = RootHistory(path, lambda: self.live, facilities.texts)
        self._tokens = TokenFilling(
            path,
            lambda: self.live,
            self.progress.report,
            facilities.written,
            facilities.manners,
            facilities.doubt,
        )
        self.store: Store | None = None
        """Once what it knows of this root is loaded."""
        self._skipped: dict[str, str] = {}
        self._later: set[str] = set()
        """Files that are to be read again in a while."""
        self._asking: asyncio.TimerHandle | None = None
        self._retrying: asyncio.TimerHandle | None = None
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
        if self._state == "failed" or (vectors and self._vectors.failed):
            self.changed(Changes(rescan=True))

    async def packed_with(self, tokenizer: TokenizerRef) -> None:
        """Somebody counts with this: files are counted ahead with it from now on."""
        store = self.store
        if store is None or tokenizer.file is None or store.openings[str(self.path)].tokenizer == tokenizer:
            return
        try:
            await asyncio.to_thread(store.openings.asked_for, str(self.path), tokenizer)
        except OSError as failed:
            _log.warning("the tokenizer of %s is not remembered: %s", self.path, failed)
        else:
            self._tokens.start(store)

    def begin_anew(self) -> None:
        """The store that knew this root is gone."""
        self.store = None
        self._vectors.stop()
        self._tokens.stop()
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
        """Blocks."""
        notes = [self._disk.note, self._listing_note, self._vectors.note, self._tokens.note]
        return root_status(
            self.path,
            self._state,
            self.error,
            self._disk.watching,
            self.live,
            store,
            self.progress,
            notes,
            self._skipped,
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
            self._tokens.stop()
            self.history.stop()
            self.renown.stop()
            self._facilities.written()  # what memory holds of this root goes when the store is tidied
            for timer in filter(None, (self._asking, self._retrying)):
                timer.cancel()

    async def _next(self) -> None:
        gone = self._state == "failed" and not await asyncio.to_thread(self.path.is_dir)
        if await self._disk.wait(self._wake, gone=gone):
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
            if changes.rescan or changes.git:
                self.history.start()
                self.renown.start(store)
            await self._forget_spare()
        except STORE_ERRORS as failed:
            await self._fail(failed)
            return
        self._state, self.error, self.ready = "ready", "", True
        self.progress.rest()
        self._vectors.start(store)
        self._tokens.start(store)

    def _vectors_done(self) -> None:
        """They settle unless a pass is under way: its end starts them again."""
        if self._settled.is_set():
            self._vectors_settled.set()

    async def _fail(self, failed: Exception) -> None:
        self._facilities.doubt(failed)
        if self._retrying is not None:
            self._retrying.cancel()
        self._retrying = asyncio.get_running_loop().call_later(_RETRY_S, self.retry)
        there = await asyncio.to_thread(self.path.is_dir)
        self._state = "failed"
        self.error = explain(failed) if there else "the folder is gone"
        _log.warning("indexing %s failed: %s", self.path, self.error, exc_info=failed if there else None)
        self._vectors_settled.set()

    async def _load(self, store: Store) -> None:
        """What the store knows of this root from earlier."""
        manifest = await asyncio.to_thread(store.manifest, str(self.path))
        contents = await asyncio.to_thread(store.contents, {entry.key for entry in manifest.values()})
        self.live = await asyncio.to_thread(LiveRoot, manifest, contents)
        self.repo_name = await asyncio.to_thread(repository_name, self.path)
        self.store = store
        try:
            await asyncio.to_thread(store.openings.opened, str(self.path))
        except OSError as failed:
            _log.warning("that %s was opened is not remembered: %s", self.path, failed)

    async def _rescan(self, store: Store) -> None:
        started = time.monotonic()
        if not self.ready:
            self._state = "listing"
        self.progress.report("listing", 0, 0)
        listing = await self._disk.listing()
        self._listing_note = listing.note
        listed = {file.path for file in listing.files}
        gone = [path for path in self.live.manifest if path not in listed]
        store.bulk += 1
        try:
            done = await self._pass(store, listing.files, gone)
            binding = self._bind(store, done.taken)
            if done.changed or store.pending.waiting():
                self.progress.report("writing", 0, 1)
                await asyncio.gather(asyncio.to_thread(_finish, store, self._facilities.index_text), binding)
            else:
                await binding
        finally:
            store.bulk -= 1
        if done.read:
            await asyncio.to_thread(remember, _languages(self.live))
        self._skipped = dict(listing.skipped) | _reasons(done)
        if done.changed > _MUCH_READ or (len(listed) > _MUCH_READ and not self.ready):
            await asyncio.to_thread(memory.give_back)
        self.progress.seconds = time.monotonic() - started
        _log.info(
            "pass: %d listed, %d changed, %d read, %.2f s",
            len(listed),
            done.changed,
            done.read,
            self.progress.seconds,
        )

    async def _follow(self, store: Store, changes: Changes) -> None:
        """Takes over single changes; leaves to a rescan what only a listing can decide."""
        followed = await self._disk.follow(self.live.manifest, changes)
        if followed is None:
            await self._rescan(store)
            return
        paths = [*followed.gone, *(file.path for file in followed.files)]
        before = {path: self._key(path) for path in paths}
        done = await self._pass(store, followed.files, followed.gone)
        if not changes.git:
            self.history.saved({path: key for path, key in before.items() if self._key(path) != key})
            store.drafts.saved([(key, self._key(path)) for path, key in before.items()], done.fresh)
        for path in paths:
            self._skipped.pop(path, None)
        self._skipped |= followed.skipped | _reasons(done)
        await self._bind(store, done.taken)

    def _key(self, path: str) -> str:
        entry = self.live.manifest.get(path)
        return entry.key if entry is not None else ""

    async def _forget_spare(self) -> None:
        if len(self.live.contents) > 2 * len(self.live.paths_by_key) + _SPARE_CONTENTS:
            self.live = await asyncio.to_thread(self.live.compacted)

    async def _bind(self, store: Store, paths: list[str]) -> None:
        """Has the graph work out what these files import, which somebody is about to ask; of a root that was known,
        it works that out when it is asked."""
        view = LiveFiles(self.path, self.live, {}, self._facilities.texts, self.stale, store)
        await self.graph.build_aside(view, paths[:_MOST_BOUND])

    async def _pass(self, store: Store, files: list[ListedFile], gone: list[str]) -> Pass:
        if not self.ready:
            self._state = "indexing"
        # what brought down this process, or a child, must not bring it down again: after a start everything is read
        # in children, and what crashed one of them always is
        crashed = {path for path, reason in self._skipped.items() if reason == CRASHED}
        here = self.ready and crashed.isdisjoint(file.path for file in files)
        work = Pass(
            self.path,
            self.live,
            store,
            self._facilities.workers,
            self.progress.report,
            here=here,
            failures=self._facilities.failures,
        )
        try:
            await work.run(files, gone)
        finally:
            self.progress.files_read += work.read
        if work.changed:
            self._facilities.written()
        if work.later and not self._later:
            self._asking = asyncio.get_running_loop().call_later(_RETRY_S, self._ask_again)
        self._later.update(work.later)
        return work

    def _ask_again(self) -> None:
        """About the files that could not be read for a reason that may have passed."""
        again, self._later = Changes(self._later), set()
        self.changed(again)


def _languages(live: LiveRoot) -> list[str]:
    """The most used first."""
    counted = Counter(content.language for content in live.living_contents())
    return [language for language, _ in counted.most_common() if language]


def _reasons(done: Pass) -> dict[str, str]:
    return {problem.path: problem.reason for problem in done.problems}


def _finish(store: Store, index_text: Callable[[Store], None]) -> None:
    """After a whole pass: everything is on disk, and full text is fast."""
    store.flush()
    index_text(store)
