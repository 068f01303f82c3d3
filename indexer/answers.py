"""The service's answer to each request."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import psutil

from indexer import launch
from indexer.collecting import Collecting
from indexer.connection import Connection
from indexer.embedding.embedding import Embedding, EmbeddingUnavailable
from indexer.files.batcher import Changes
from indexer.messages import (
    PROTOCOL_VERSION,
    Answer,
    BaseAnswer,
    BaseRequest,
    CloseRoot,
    Done,
    Forget,
    Hits,
    OpenRoot,
    Pack,
    PackRequest,
    ProtocolError,
    ReferenceList,
    References,
    Request,
    RootStatus,
    Search,
    ServiceStatus,
    StatusRequest,
    SymbolList,
    Symbols,
    Welcome,
)
from indexer.names.referring import find_references
from indexer.names.symbols import QuestionError, find_symbols
from indexer.packing.base import NO_BASE, Base
from indexer.packing.base_shelf import BaseKey, in_hand, repack_is_due
from indexer.packing.overlay import overlay_room
from indexer.packing.pack import pack
from indexer.packing.tokens import TokenizerError, tokenizer_for
from indexer.paths import UnsafeFolderError
from indexer.roots.indexing import Report
from indexer.roots.live import TextCache
from indexer.roots.liveview import LiveView
from indexer.roots.root import Root
from indexer.roots.root_facts import RootFacts
from indexer.roots.roots import NoRoot, Roots
from indexer.store.contents import STORE_ERRORS, explain

if TYPE_CHECKING:
    from indexer.keeper import StoreKeeper
    from indexer.search import Searcher
    from indexer.searching.ranking import Scale
    from indexer.store.store import Store

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_PACKS_AT_ONCE = 4
"""Packing is mostly the processor's work; more at once only makes each of them later."""

_EXPECTED = (
    NoRoot,
    ProtocolError,
    QuestionError,
    TokenizerError,
    EmbeddingUnavailable,
    UnsafeFolderError,
    *STORE_ERRORS,
)


class Answers:
    """Holds what answering needs; one for the whole service."""

    def __init__(
        self,
        roots: Roots,
        store: Callable[[], Awaitable[Store]],
        embedding: Embedding,
        texts: TextCache,
        shutdown: Callable[[], None],
        keeper: StoreKeeper | None = None,
    ) -> None:
        """`keeper`: who looks after the store, if anybody does."""
        self.shutdown = shutdown
        self._keeper = keeper
        self._roots = roots
        self._store = store
        self._embedding = embedding
        self._texts = texts
        self._searcher: Searcher | None = None
        self._packers = ThreadPoolExecutor(_PACKS_AT_ONCE, thread_name_prefix="pack")
        self._loop = asyncio.get_running_loop()
        self._collecting = Collecting()

    def welcome(self) -> Welcome:
        return Welcome(PROTOCOL_VERSION, launch.own_version(), os.getpid())

    def let_go(self, connection: Connection) -> None:
        self._roots.release_all(connection)

    def explain(self, failed: Exception) -> str:
        """For the person who waited for the answer."""
        if isinstance(failed, STORE_ERRORS) and self._keeper is not None:
            self._keeper.doubt(failed)
        if isinstance(failed, _EXPECTED):
            return str(failed) or type(failed).__name__
        _log.error("a request failed", exc_info=failed)
        return (
            f"the index service failed with {type(failed).__name__}: {failed}; its log is {launch.log_path()}"
        )

    async def answer(self, request: Request, connection: Connection, report: Report) -> Answer:
        match request:
            case OpenRoot():
                return await self._open(request, connection, report)
            case CloseRoot():
                await self._roots.release(request.root, connection)
                return Done()
            case Search():
                return await self._search(request, connection)
            case Symbols():
                return await self._symbols(request, connection)
            case References():
                return await self._references(request, connection)
            case PackRequest():
                with self._collecting.held_back():
                    return await self._pack(request, connection)
            case BaseRequest():
                return await self._base(request, connection)
            case StatusRequest():
                return await self._status(request)
            case Forget():
                return await self._forget(request, connection)
            case _:
                raise ProtocolError(f"{type(request).__name__} cannot be asked here")

    async def _open(self, request: OpenRoot, connection: Connection, report: Report) -> RootStatus:
        if self._embedding.ask_for(request.embedder):
            for opened in self._roots.all():
                opened.changed(Changes(rescan=True))  # at whose end vectors are filled
        root = await self._roots.hold(request.root, connection)
        root.retry(request.wait_vectors)
        if request.wait or request.wait_vectors:
            root.progress.listeners.add(report)
            try:
                await root.settled(request.wait_vectors)
            finally:
                root.progress.listeners.discard(report)
        status = await self._root_status(root)
        if request.wait_vectors and root.no_vectors:
            return msgspec.structs.replace(
                status, note="; ".join(filter(None, (status.note, root.no_vectors)))
            )
        return status

    async def _forget(self, request: Forget, connection: Connection) -> Done:
        from indexer.store import forgetting

        path = None if request.root is None else await _resolved(request.root)
        await self._roots.end(path, connection)
        store = await self._store()
        await asyncio.to_thread(forgetting.forget_roots, store, None if path is None else [str(path)])
        return Done()

    async def _root_status(self, root: Root) -> RootStatus:
        try:
            store = await self._store() if root.ready else None
        except STORE_ERRORS:
            store = None  # the root's own status says why
        return await asyncio.to_thread(root.status, store)

    async def _search(self, request: Search, connection: Connection) -> Hits:
        from indexer import search

        view = await self._view(await self._roots.hold(request.root, connection), connection)
        found = await self._ask(view, request.query, request.limit, search.SEARCH_PATIENCE_S, start=True)
        return Hits(found.hits, "; ".join(filter(None, [*view.notes, found.note])))

    async def _ask(self, view: LiveView, query: str, limit: int, wait_s: float, *, start: bool) -> Hits:
        """Hybrid search; awaited on the service's own loop."""
        from indexer.search import Searcher
        from indexer.searching.chunk_map import ChunkMaps

        store = await self._store()
        if self._searcher is None or self._searcher.store is not store:
            self._searcher = Searcher(store, ChunkMaps())
            await asyncio.to_thread(self._embedding.remember, store)
        tables = store.vector_tables
        table = await asyncio.to_thread(tables.answering, view.stored()) if tables.older else tables.wanted

        async def vector(text: str) -> list[float]:
            if not len(table.keys):
                raise EmbeddingUnavailable(self._embedding.problem or "no vectors yet")
            return await self._embedding.question(
                text, wait_s=wait_s, start=start, fingerprint=table.fingerprint
            )

        def scale() -> Scale:
            return self._embedding.scale(table.fingerprint)

        return await self._searcher.search(view, query, limit, vector, table, scale)

    async def _ask_for_pack(self, view: LiveView, query: str, limit: int) -> Hits:
        """The same from a packing thread's loop."""
        from indexer.search import PACK_PATIENCE_S

        asked = self._ask(view, query, limit, PACK_PATIENCE_S, start=False)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self._loop))

    async def _view(self, root: Root, connection: Connection) -> LiveView:
        overlays = dict(connection.overlays)
        return await asyncio.to_thread(LiveView, root, overlays, self._texts, self._ask_for_pack)

    async def _symbols(self, request: Symbols, connection: Connection) -> SymbolList:
        view = await self._view(await self._roots.hold(request.root, connection), connection)
        return SymbolList(await asyncio.to_thread(find_symbols, view, request))

    async def _references(self, request: References, connection: Connection) -> ReferenceList:
        await self._store()  # without one there are no references, and it says why
        view = await self._view(await self._roots.hold(request.root, connection), connection)
        return await asyncio.to_thread(find_references, view, request)

    async def _pack(self, request: PackRequest, connection: Connection) -> Pack:
        path = await _resolved(request.path)
        root = await self._root_of(request, path, connection)
        await root.packed_with(request.tokenizer)
        if request.base_budget > 0 and root.bases.find(_key_of(request)) is None:
            await root.history.settled()
        await root.renown.settled()
        view = await self._view(root, connection)
        relative = path.relative_to(root.path).as_posix() if path.is_relative_to(root.path) else ""
        root.history.log.looked(relative, request.line)

        async def work() -> Pack:
            tokenizer = tokenizer_for(request.tokenizer)
            base = self._base_for(request, root, view)
            return await pack(request, view, relative, tokenizer, connection.pack_memory, base)

        made = await self._in_own_loop(work)
        if made.base and _overlay_has_grown(request, root, made):
            self._packers.submit(
                self._remake_base, _key_of(request), root, view
            )  # for the packs after this one
        return made

    def _base_for(self, request: PackRequest, root: Root, view: LiveView) -> Base:
        """Blocks, for as long as one is made where there is none."""
        if request.base_budget <= 0:
            return NO_BASE
        key = _key_of(request)
        base = root.bases.find(key, request.base) or self._make_base(key, root, view)
        # of another base than the one that was named the engine has read nothing yet
        return base if request.base in ("", base.id) or request.base_limit < 0 else NO_BASE

    def _make_base(self, key: BaseKey, root: Root, view: LiveView, *, again: bool = False) -> Base:
        facts = RootFacts(view, root.store, key.tokenizer)
        return root.bases.make(key, view, tokenizer_for(key.tokenizer), facts, again=again)

    def _remake_base(self, key: BaseKey, root: Root, view: LiveView) -> None:
        try:
            self._make_base(key, root, view, again=True)
        except (TokenizerError, *STORE_ERRORS) as failed:
            _log.warning("the base of %s is not made anew: %s", root.path, failed)

    async def _base(self, request: BaseRequest, connection: Connection) -> BaseAnswer:
        root = await self._roots.hold(request.root, connection)
        await root.packed_with(request.tokenizer)
        await root.history.settled()
        view = await self._view(root, connection)
        key = BaseKey(request.tokenizer, request.budget, request.header_tokens)

        async def work() -> Base:
            base = root.bases.find(key, request.id)
            if base is None:
                return self._make_base(key, root, view)
            usable = base.usable(view, in_hand(view))
            if request.repack and repack_is_due(base, usable, 0, request.budget, idle=True):
                return self._make_base(key, root, view, again=True)
            return base

        base = await self._in_own_loop(work)
        whole = BaseAnswer(base.id, base.tokens, list(base.segments), view.repo_name, view.notes)
        known = root.bases.by_id(key, request.known)
        if known is None:
            return whole
        fresh, places = base.beside(known)
        return msgspec.structs.replace(whole, segments=fresh, known=known.id, places=places)

    async def _in_own_loop(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Runs `work` on a packing thread: it tokenizes and reads files, which must not hold up other
        answers."""
        started: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[_T]]] = []

        async def inner() -> _T:
            task = asyncio.ensure_future(work())
            assert isinstance(task, asyncio.Task)
            started.append((asyncio.get_running_loop(), task))
            return await task

        try:
            return await self._loop.run_in_executor(self._packers, lambda: asyncio.run(inner()))
        except asyncio.CancelledError:
            for loop, task in started:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(task.cancel)
            raise

    async def _root_of(self, request: PackRequest, path: Path, connection: Connection) -> Root:
        if request.root is not None:
            return await self._roots.hold(request.root, connection)
        holding = [root for root in self._roots.held_by(connection) if path.is_relative_to(root.path)]
        if not holding:
            raise NoRoot(f"no open folder holds {request.path}: open its folder, or name the root")
        return max(holding, key=lambda root: len(root.path.parts))

    async def _status(self, request: StatusRequest) -> ServiceStatus:
        roots = self._roots.all()
        if request.root is not None:
            wanted = await _resolved(request.root)
            roots = [root for root in roots if root.path == wanted]
        kinds: dict[str, int] = {}
        try:
            store = await self._store()
            folder, kinds = str(store.folder), await asyncio.to_thread(store.sizes)
        except STORE_ERRORS as failed:
            folder = f"cannot be opened: {explain(failed)}"
        return ServiceStatus(
            version=launch.own_version(),
            pid=os.getpid(),
            store=folder,
            store_bytes=sum(kinds.values()),
            store_kinds=kinds,
            store_note=self._keeper.note if self._keeper is not None else "",
            rss_bytes=await asyncio.to_thread(_rss_with_children),
            embedder=self._embedding.state,
            roots=[await self._root_status(root) for root in roots],
        )


def _key_of(request: PackRequest) -> BaseKey:
    return BaseKey(request.tokenizer, request.base_budget, request.header_tokens)


def _overlay_has_grown(request: PackRequest, root: Root, made: Pack) -> bool:
    """Whether the latest base, which this pack follows, should be made anew at once."""
    base = root.bases.find(_key_of(request))
    overlay = sum(segment.tokens for segment in made.segments if segment.layer == "overlay")
    return (
        base is not None
        and base.id == made.base
        and repack_is_due(base, made.base_segments, overlay, overlay_room(request), idle=False)
    )


async def _resolved(path: str) -> Path:
    """Without links; on a thread, since the disk may be slow to tell."""
    return Path(await asyncio.to_thread(os.path.realpath, path))


def _rss_with_children() -> int:
    own = psutil.Process()
    total = own.memory_info().rss
    for child in own.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
