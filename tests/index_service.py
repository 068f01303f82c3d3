"""A real index service in folders of its own, for tests."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from processes import lives

from indexer import launch
from indexer.client import IndexClient, IndexServiceError

PATIENCE_S = 15.0
"""A busy machine may take seconds for what takes milliseconds."""


def isolate(monkeypatch, tmp_path: Path) -> None:
    """Folders that belong to this test alone, no embedder, and a service that does not linger."""
    for name in ("cache", "run"):
        (tmp_path / name).mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("FOREWORD_EMBEDDER", "none")
    monkeypatch.setenv("FOREWORD_SERVICE_IDLE_S", "20")


@asynccontextmanager
async def client() -> AsyncIterator[IndexClient]:
    connected = await IndexClient.connect()
    try:
        yield connected
    finally:
        await connected.close()


async def stop_service() -> None:
    """Ends the service of this test, if any, and waits until it is gone."""
    try:
        connected = await IndexClient.connect(start=False)
        pid = (await connected.status()).pid
        await connected.shutdown()
        await connected.close()
    except IndexServiceError:
        return
    await gone(pid)


async def gone(pid: int) -> None:
    for process in list(launch._started):
        process.poll()
    await until(lambda: not lives(pid))


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Waits for something that the service brings about on its own."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def until_symbol(connected: IndexClient, root: Path, name: str, present: bool = True) -> None:
    """Until the index knows, or has forgotten, a definition of this name."""
    async with asyncio.timeout(PATIENCE_S):
        while bool((await connected.symbols(str(root), name=name)).definitions) != present:
            await asyncio.sleep(0.02)


def git(root: Path, *arguments: str) -> str:
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def repository(root: Path, files: dict[str, str | bytes]) -> Path:
    """A git repository with one commit."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q", "-b", "main")
    for path, content in files.items():
        write(root / path, content)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
