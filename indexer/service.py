"""The index service: one process per user that holds the store and answers over a Unix socket.

Run as `python -I -m indexer`; clients start it (see `indexer.launch`). It ends when nobody has been
connected for a minute. The store's library is loaded beside the socket, so that the first greeting is not
held up.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from indexer import launch, paths
from indexer.answers import Answers
from indexer.children import forkserver, memory
from indexer.children.workers import Workers
from indexer.connection import Connection
from indexer.embedding.embedding import Embedding
from indexer.keeper import StoreKeeper, index_text
from indexer.packing.texts import LineMemory
from indexer.roots.facilities import Facilities
from indexer.roots.live import TextCache
from indexer.roots.roots import Roots

_log = logging.getLogger("indexer.service")

_IDLE_S = 60.0
"""An editor that restarts is back sooner; a service for nobody holds 300 MB for nothing."""


_SWITCH_S = 0.0005
"""A thread that computes lets go of the interpreter so soon after another one wants it. What a pack waits for goes
through six threads, whose turns are microseconds: with Python's 5 ms it would wait for each."""


class Service:
    """Everything that lives as long as the process."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._connections: set[Connection] = set()
        self._idle_s = float(os.environ.get("FOREWORD_SERVICE_IDLE_S", _IDLE_S))
        self._idle_timer: asyncio.TimerHandle | None = None
        self._workers = Workers()
        self._embedding = Embedding()
        texts = TextCache()
        self._lines = LineMemory()
        self._keeper = StoreKeeper()
        facilities = Facilities(
            self._keeper.store,
            index_text,
            self._keeper.written,
            self._workers,
            self._embedding,
            texts,
            doubt=self._keeper.doubt,
        )
        self._roots = self._keeper.roots = Roots(facilities)
        self._answers = Answers(
            self._roots, self._keeper.store, self._embedding, texts, self._stop.set, self._keeper
        )

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
        opening = asyncio.create_task(self._keeper.open_early(), name="open the store")
        forking = asyncio.create_task(forkserver.start_early(), name="start the fork server")
        _log.info("listening, version %s", launch.own_version())
        await self._stop.wait()
        server.close()
        socket.unlink(missing_ok=True)
        opening.cancel()
        forking.cancel()
        await self._leave()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._answers, self._lines)
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

    async def _leave(self) -> None:
        for connection in list(self._connections):
            connection.hang_up()
        await self._roots.close()
        self._embedding.stop()
        self._workers.stop()
        await self._keeper.close()


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
    memory.limit_arenas()
    sys.setswitchinterval(_SWITCH_S)
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
