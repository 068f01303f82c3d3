"""The real index service in folders of its own, reached as an editor's server reaches it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Generator, Mapping
from pathlib import Path

import psutil

from benchmarks.processes import cpu_seconds
from benchmarks.targets import TargetError
from indexer.client import IndexClient, IndexServiceError
from indexer.embedding import weights

CONNECT_TIMEOUT_S = 60.0
"""LanceDB is loaded within; on a busy machine that takes seconds."""
LEAVE_TIMEOUT_S = 30.0
IDLE_S = "5"
"""A service whose benchmark was killed goes after so many seconds."""
NO_EMBEDDER = {"FOREWORD_EMBEDDER": "none"}
"""For rows without vectors."""


class Home:
    """Where one service has its store, its socket and its logs. Never the user's."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = {
            "FOREWORD_MODELS": str(weights.models_folder()),  # weights are fetched once, not here
            "FOREWORD_SERVICE_IDLE_S": IDLE_S,
            **(environment or {}),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
        }
        for name in ("cache", "run"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def entered(self) -> Generator[None]:
        """While this lasts, whoever asks where the service is finds this one, and what is started inherits that."""
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    @property
    def store_bytes(self) -> int:
        """Blocks on the disk that the store takes."""
        return sum(_blocks(path) for path in (self.folder / "cache" / "foreword" / "index").rglob("*"))


class Service:
    """One running service and one client of it."""

    def __init__(self, home: Home, client: IndexClient, pid: int) -> None:
        self.home = home
        self.client = client
        self.pid = pid

    @property
    def cpu_s(self) -> float:
        """Of the service and its children, those that have ended included."""
        return cpu_seconds(self.pid)


@contextlib.asynccontextmanager
async def running(home: Home) -> AsyncGenerator[Service]:
    """A service that has opened its store and does nothing yet; ended at the end. Raises TargetError."""
    try:
        with home.entered():
            client = await IndexClient.connect(timeout_s=CONNECT_TIMEOUT_S)
        told = await client.status()  # answered once the store is open
    except IndexServiceError as failed:
        raise TargetError(f"the index service: {failed}") from failed
    service = Service(home, client, told.pid)
    try:
        yield service
    except IndexServiceError as failed:
        raise TargetError(f"the index service: {failed}") from failed
    finally:
        await _end(service)


async def _end(service: Service) -> None:
    """Asks it to go, and sees that it and its children have."""
    try:
        process = psutil.Process(service.pid)
        children = process.children(recursive=True)
    except psutil.NoSuchProcess:
        await service.client.close()
        return
    with contextlib.suppress(IndexServiceError):
        await service.client.shutdown()
    await service.client.close()
    _, left = await asyncio.to_thread(psutil.wait_procs, [process, *children], LEAVE_TIMEOUT_S)
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def _blocks(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512  # POSIX counts in these, whatever the file system's own are
    except FileNotFoundError:
        return 0  # compacted away meanwhile
