"""The service or one of its children is killed at random moments: afterwards the index is that of a fresh service,
row for row, and nothing that was whole is read again."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest
from index_service import client, git, gone, isolate, kill, repository, stop_service, until, write
from processes import lives

from indexer import paths
from indexer.client import IndexClient, IndexUnavailable
from indexer.messages import RootStatus
from indexer.store import schema
from indexer.store.dump import dump, strays
from indexer.store.store import Store

SEED = int(os.environ.get("FOREWORD_CRASH_SEED", "4"))
"""Of the moments; a run that fails is repeated with it."""

MOMENTS = int(os.environ.get("FOREWORD_CRASH_MOMENTS", "8"))
"""Each takes some five seconds: `FOREWORD_CRASH_MOMENTS=50` for a change of the store."""

pytestmark = pytest.mark.timeout(60 + 25 * MOMENTS)

FILES = 600
CHANGED = 500
"""By the other branch."""


@pytest.fixture(autouse=True)
async def _own_folders(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)
    yield
    await stop_service()


def _source(number: int, edition: str) -> str:
    body = "".join(
        f"def f{number}_{k}(x):\n    return helper_{edition}(x) + f{number}_{k - 1}(x)\n\n" for k in range(8)
    )
    return f'"""Module {number} of {edition}."""\nfrom m{number - 1} import f{number - 1}_0\n\n\n{body}'


def _repository(root: Path) -> Path:
    """Two branches: `other` changes, adds and removes files of `main`."""
    repository(root, {f"m{number}.py": _source(number, "main") for number in range(FILES)})
    git(root, "checkout", "-q", "-b", "other")
    for number in range(CHANGED):
        write(root / f"m{number}.py", _source(number, "other"))
    write(root / "new.py", _source(FILES, "other"))
    (root / f"m{FILES - 1}.py").unlink()
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "other")
    git(root, "checkout", "-q", "main")
    return root


def _generation() -> Path:
    return paths.store_folder() / schema.generation()


def _rows(root: Path) -> dict:
    """What the store on disk says; nobody else may have it open."""
    store = Store(_generation(), "test")
    try:
        assert strays(store) == {"files": 0, "references": 0, "chunks": 0}
        return dump(store, str(root))
    finally:
        store.close()


def _whole_contents() -> int:
    """Contents that the disk holds as a whole, without repairing anything."""
    if not _generation().exists():
        return 0
    copy = _generation().with_name("copy")
    shutil.copytree(_generation(), copy)
    store = Store(copy, "test")
    try:
        return len(store.known)
    finally:
        store.close()
        shutil.rmtree(copy)


async def _open(root: Path) -> RootStatus:
    async with client() as connected:
        return await connected.open_root(str(root), wait=True, timeout_s=120)


async def _fresh(root: Path, monkeypatch, tmp_path: Path) -> dict:
    """The rows that an undisturbed service of its own writes."""
    await stop_service()
    with monkeypatch.context() as patch:
        folder = tmp_path / "fresh"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        patch.setenv("XDG_CACHE_HOME", str(folder))
        assert (await _open(root)).state == "ready"
        await stop_service()
        return _rows(root)


async def _ready_service(connected: IndexClient) -> int:
    """Its process, once the store is open."""
    status = await connected.status()
    return status.pid


async def _strike(victim: str, pid: int) -> list[psutil.Process]:
    """Kills the service or one of its children; gives the processes that have to end."""
    children = psutil.Process(pid).children(recursive=True)
    if victim == "service" or not children:
        kill(pid)
        await gone(pid)
        return children
    unlucky = random.Random(pid).choice(children)
    unlucky.send_signal(signal.SIGKILL)
    return [unlucky]


async def _disturbed_cold_index(root: Path, victim: str, delay_s: float) -> None:
    async with client() as connected:
        pid = await _ready_service(connected)
        opening = asyncio.create_task(connected.open_root(str(root), wait=True, timeout_s=120))
        await asyncio.sleep(delay_s)
        ending = await _strike(victim, pid)
        try:
            status = await opening
            assert status.state == "ready"
        except IndexUnavailable:
            pass
    await until(lambda: not any(map(lives, ending)))


async def _undisturbed_s(root: Path) -> float:
    """How long a cold index takes on this machine now."""
    async with client() as connected:
        await _ready_service(connected)
        started = time.monotonic()
        await connected.open_root(str(root), wait=True, timeout_s=120)
        elapsed_s = time.monotonic() - started
    await stop_service()
    shutil.rmtree(paths.store_folder())
    return elapsed_s


async def _check_cold(moments: int, monkeypatch, tmp_path: Path) -> None:
    root = _repository(tmp_path / "work")
    expected = await _fresh(root, monkeypatch, tmp_path)
    assert len(expected["manifest"]) == FILES and len(expected["references"]) > FILES
    longest_s = await _undisturbed_s(root)
    chance = random.Random(SEED)
    for moment in range(moments):
        victim = "service" if moment % 3 else "child"
        delay_s = chance.uniform(0, longest_s)
        await _disturbed_cold_index(root, victim, delay_s)
        await stop_service()
        whole = _whole_contents()
        status = await _open(root)
        told = f"seed {SEED}, moment {moment}: {victim} killed after {delay_s:.3f} s, {whole} contents whole"
        assert (status.state, status.files) == ("ready", FILES), told
        assert status.files_read == FILES - whole, told
        await stop_service()
        assert _rows(root) == expected, told
        shutil.rmtree(paths.store_folder())


async def _check_switch(moments: int, monkeypatch, tmp_path: Path) -> None:
    root = _repository(tmp_path / "work")
    git(root, "checkout", "-q", "other")
    expected = await _fresh(root, monkeypatch, tmp_path)
    git(root, "checkout", "-q", "main")
    assert (await _open(root)).files == FILES
    await stop_service()
    before = paths.store_folder().with_name("before")
    paths.store_folder().rename(before)
    chance = random.Random(SEED + 1)
    for moment in range(moments):
        git(root, "checkout", "-q", "main")
        shutil.rmtree(paths.store_folder(), ignore_errors=True)
        shutil.copytree(before, paths.store_folder())
        victim = "service" if moment % 3 else "child"
        delay_s = chance.uniform(0, 0.9)
        async with client() as connected:
            pid = await _ready_service(connected)
            await connected.open_root(str(root), wait=True, timeout_s=60)
            git(root, "checkout", "-q", "other")
            await asyncio.sleep(delay_s)
            await _strike(victim, pid)
        await stop_service()
        whole = _whole_contents()
        status = await _open(root)
        told = f"seed {SEED}, moment {moment}: {victim} killed {delay_s:.3f} s after the switch"
        assert (status.state, status.files) == ("ready", FILES), told
        assert status.files_read == FILES + CHANGED + 1 - whole, told
        await stop_service()
        assert _rows(root) == expected, told


@pytest.mark.slow
async def test_killed_while_indexing(monkeypatch, tmp_path):
    await _check_cold(MOMENTS, monkeypatch, tmp_path)


@pytest.mark.slow
async def test_killed_after_a_branch_switch(monkeypatch, tmp_path):
    await _check_switch(MOMENTS, monkeypatch, tmp_path)
