"""The one store of the service: opened by the first who asks, looked after while it is used, replaced when it turns
out to be damaged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import paths
from indexer.children import memory
from indexer.store.contents import STORE_ERRORS, StoredContent, explain

if TYPE_CHECKING:
    from indexer.roots.roots import Roots
    from indexer.store.store import Store

_log = logging.getLogger(__name__)

_TIDY_AFTER_S = 40.0
"""After the last write: what led to it is then old enough to be removed (`fulltext.READ_AT_MOST`)."""

_LEAVE_S = 10.0
"""What the last write may take at the end."""


class StoreKeeper:
    """Belongs to the event loop; the store's library is loaded on another thread, when it is first wanted."""

    def __init__(self) -> None:
        self.note = ""
        """What a person should know of it: that it was damaged and is made anew."""
        self.roots: Roots | None = None
        """Whose roots must not be forgotten."""
        self._task: asyncio.Task[Store] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._missed = False
        """Whether it was time to tidy while somebody did: what was written meanwhile may have come too late."""
        self._doubting: asyncio.Task[None] | None = None

    async def store(self) -> Store:
        """Raises one of STORE_ERRORS; the next who asks tries again."""
        if self._task is None or (self._task.done() and not _succeeded(self._task)):
            self._task = asyncio.create_task(self._open(), name="store")
        return await asyncio.shield(self._task)

    async def open_early(self) -> None:
        try:
            await self.store()
        except STORE_ERRORS as failed:
            _log.warning("the store cannot be opened: %s", failed)

    def written(self) -> None:
        """Somebody wrote: tidy in a while."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_TIDY_AFTER_S, self._tidy)

    def doubt(self, failed: Exception) -> None:
        """Somebody met `failed`: if that came out of the store, and the store is damaged, it is replaced and its
        roots begin anew."""
        from indexer.store import damage

        if not (isinstance(failed, STORE_ERRORS) and damage.raised_by_store(failed)):
            return
        if damage.suspicious(failed) and (self._doubting is None or self._doubting.done()):
            self._doubting = asyncio.create_task(self._look_for_damage(), name="look for damage")

    async def close(self) -> None:
        """Until the last write is whole."""
        if self._task is None or not _succeeded(self._task):
            return
        try:
            async with asyncio.timeout(_LEAVE_S):
                await asyncio.to_thread(self._task.result().close)
        except TimeoutError:
            _log.warning("left in the middle of a write; what it lacks is read again next time")
        except STORE_ERRORS as failed:
            _log.warning("the last write failed; what it lacks is read again next time: %s", failed)

    async def _open(self) -> Store:
        store, self.note = await asyncio.to_thread(_open, self.note)
        loop = asyncio.get_running_loop()
        self._tidying = asyncio.create_task(self._tidy_now(_put_in_order), name="put in order")
        store.writer.on_failure = lambda failed: loop.call_soon_threadsafe(self.doubt, failed)
        return store

    def _tidy(self) -> None:
        self._timer = None
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._tidy_now(_tidy), name="tidy")
        else:
            self._missed = True

    async def _tidy_now(self, work: Callable[[Store, list[str], list[StoredContent]], None]) -> None:
        await self._tidy_once(work)
        while self._missed:
            self._missed = False
            await self._tidy_once(_tidy)

    async def _tidy_once(self, work: Callable[[Store, list[str], list[StoredContent]], None]) -> None:
        roots = self.roots.all() if self.roots is not None else []
        held = [str(root.path) for root in roots]
        living = [content for root in roots for content in root.live.living_contents()]
        try:
            store = await self.store()
            await asyncio.to_thread(work, store, held, living)
            await asyncio.to_thread(memory.give_back)
            if store.litter:
                self.written()
        except STORE_ERRORS as failed:
            _log.warning("the store is not tidied this time: %s", failed)
            self.doubt(failed)

    async def _look_for_damage(self) -> None:
        from indexer.store import damage

        task = self._task
        if task is None or not _succeeded(task):
            return
        store = task.result()
        found = await asyncio.to_thread(damage.found_in, store)
        if not found or self._task is not task:
            return
        _log.error("the store is damaged: %s", found)
        self.note = f"the store was damaged ({found}) and is made anew"
        await asyncio.to_thread(store.abandon)
        try:
            await asyncio.to_thread(damage.set_aside, store.folder)
        except OSError as failed:
            self.note = f"the store is damaged ({found}) and cannot be moved away: {failed}"
        self._task = None
        for root in self.roots.all() if self.roots is not None else ():
            root.begin_anew()


def _succeeded(task: asyncio.Task[Store]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _open(note: str) -> tuple[Store, str]:
    """The store, and what is to be said of it."""
    from indexer.store import damage, inheritance, schema

    folder = paths.store_folder() / schema.generation()
    inheritance.inherit(folder)
    try:
        store = _opened(folder)
    except STORE_ERRORS as failed:
        if not damage.suspicious(failed) or not folder.is_dir():
            raise
        _log.error("the store is damaged", exc_info=failed)
        note = f"the store was damaged ({explain(failed)}) and is made anew"
        damage.set_aside(folder)
        store = _opened(folder)
    return store, note


def _opened(folder: Path) -> Store:
    from indexer.embedding.weights import FINGERPRINT
    from indexer.store import upkeep
    from indexer.store.store import Store

    store = Store(folder, FINGERPRINT)
    store.writer.on_success = lambda: upkeep.keep_up(store)
    return store


def _put_in_order(store: Store, held: list[str], living: list[StoredContent]) -> None:
    """What the process before this one has left undone, and what nobody needs any longer."""
    from indexer.store import forgetting, upkeep

    upkeep.index_text(store)
    forgetting.forget(store, held)
    forgetting.forget_generations(store.folder)


def _tidy(store: Store, held: list[str], living: list[StoredContent]) -> None:
    from indexer.store import forgetting, upkeep

    if store.vector_tables.older and living:
        with store.lock:
            store.vector_tables.drop_replaced(living)
    store.vector_tables.let_go(living)
    if upkeep.due(store):
        forgetting.forget(store, held)
        upkeep.tidy(store)


def index_text(store: Store) -> None:
    """Full text of everything is fast. Blocks."""
    from indexer.store import upkeep

    upkeep.index_text(store)
