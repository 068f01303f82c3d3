"""The index service: one process per user that holds the store and answers over a Unix socket.

Run as `python -I -m indexer.service`; clients start it (see `indexer.launch`). It ends when nobody has been
connected for a minute. The store's library is loaded beside the socket, so that the first greeting is not
held up.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from indexer import launch, paths
from indexer.answers import Answers
from indexer.connection import Connection
from indexer.contents import STORE_ERRORS
from indexer.embedder_weights import FINGERPRINT
from indexer.embedding import Embedding
from indexer.live import TextCache
from indexer.root import Facilities
from indexer.roots import Roots
from indexer.workers import Workers

if TYPE_CHECKING:
    from indexer.store import Store

_log = logging.getLogger("indexer.service")

_IDLE_S = 60.0
"""An editor that restarts is back sooner; a service for nobody holds 300 MB for nothing."""

_TIDY_AFTER_S = 40.0
"""After the first write: most of what led to it is then old enough to be removed (`upkeep.READ_AT_MOST`)."""

_LEAVE_S = 10.0
"""What the last write may take at the end."""


class Service:
    """Everything that lives as long as the process."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._connections: set[Connection] = set()
        self._store: asyncio.Task[Store] | None = None
        self._idle_s = float(os.environ.get("FOREWORD_SERVICE_IDLE_S", _IDLE_S))
        self._idle_timer: asyncio.TimerHandle | None = None
        self._tidy_timer: asyncio.TimerHandle | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._workers = Workers()
        self._embedding = Embedding()
        texts = TextCache()
        facilities = Facilities(self.store, _index_text, self._written, self._workers, self._embedding, texts)
        self._roots = Roots(facilities)
        self._answers = Answers(self._roots, self.store, self._embedding, texts, self._stop.set)

    async def run(self) -> None:
        """Listens until asked to go or left alone."""
        socket = await asyncio.to_thread(launch.socket_path)
        socket.unlink(missing_ok=True)  # the lock is ours, so whoever left this is gone
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._serve, socket)
        finally:
            os.umask(before)
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop.set)
        self._watch_idleness()
        opening = asyncio.create_task(self._open_early(), name="open the store")
        _log.info("listening, version %s", launch.own_version())
        await self._stop.wait()
        server.close()
        socket.unlink(missing_ok=True)
        opening.cancel()
        await self._leave()

    async def store(self) -> Store:
        """The one store, opened by the first who asks. Raises one of STORE_ERRORS; the next who asks tries
        again."""
        if self._store is None or (self._store.done() and not _succeeded(self._store)):
            self._store = asyncio.create_task(asyncio.to_thread(_open_store), name="store")
        return await asyncio.shield(self._store)

    async def _open_early(self) -> None:
        try:
            await self.store()
        except STORE_ERRORS as failed:
            _log.warning("the store cannot be opened: %s", failed)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._answers)
        self._connections.add(connection)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            if not self._connections:
                self._watch_idleness()

    def _watch_idleness(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.get_running_loop().call_later(self._idle_s, self._stop.set)

    def _written(self) -> None:
        """Somebody wrote: tidy in a while."""
        if self._tidy_timer is None:
            self._tidy_timer = asyncio.get_running_loop().call_later(_TIDY_AFTER_S, self._tidy)

    def _tidy(self) -> None:
        self._tidy_timer = None
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._tidy_store(), name="tidy")

    async def _tidy_store(self) -> None:
        try:
            await asyncio.to_thread(_tidy, await self.store())
        except STORE_ERRORS as failed:
            _log.warning("the store is not tidied this time: %s", failed)

    async def _leave(self) -> None:
        for connection in list(self._connections):
            connection.hang_up()
        await self._roots.close()
        self._embedding.stop()
        self._workers.stop()
        if self._store is not None and _succeeded(self._store):
            lock = self._store.result().lock
            await asyncio.to_thread(lock.acquire, timeout=_LEAVE_S)  # until the last write is whole


def _succeeded(task: asyncio.Task[Store]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _open_store() -> Store:
    from indexer import schema, upkeep
    from indexer.store import Store

    store = Store(paths.store_folder() / schema.generation(), FINGERPRINT)
    try:
        upkeep.forget(store)
    except STORE_ERRORS as failed:
        _log.warning("old contents stay in the store this time: %s", failed)
    return store


def _index_text(store: Store) -> None:
    from indexer import upkeep

    upkeep.index_text(store)


def _tidy(store: Store) -> None:
    from indexer import upkeep

    if upkeep.due(store):
        upkeep.tidy(store)


def main() -> int:
    """0: served and left, or another service runs already; 1: the folders are not ours."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(message)s"
    )
    try:
        lock = launch.try_lock(launch.service_lock_path())
    except (paths.UnsafeFolderError, OSError) as failed:
        sys.stderr.write(f"{failed}\n")
        return 1
    if lock is None:
        return 0
    asyncio.run(_serve_and_leave())
    return 0


async def _serve_and_leave() -> None:
    await Service().run()
    logging.shutdown()
    # threads that still read and children in the middle of something are of no use to anybody now: what had
    # to be whole is, and children end when they see that we are gone
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
