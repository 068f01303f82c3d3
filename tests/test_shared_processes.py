"""Ten servers, one index service, one engine host; and what happens when each of them is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from editor import Editor, editor
from processes import lives

from engine.hosting.launcher import stop_engine

pytestmark = [pytest.mark.engine, pytest.mark.slow]

OPTIONS = {"model": "smollm2-135m"}
SERVERS = 10
TEXT = "def add(left, right):\n    return left"


@pytest.fixture
async def house(tmp_path, monkeypatch, engine_home):
    """Folders of this test alone, and a workspace whose folders are called as Foreword's own packages are."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FOREWORD_SERVICE_IDLE_S", "5")
    (tmp_path / "run").mkdir(mode=0o700)
    root = tmp_path / "workspace"
    for package in ("lsp", "indexer", "engine", "engine/hosting"):
        (root / package).mkdir(parents=True)
        (root / package / "__init__.py").write_text(
            "raise SystemExit('code of the workspace was imported')\n"
        )
    for module in (
        "indexer/service.py",
        "engine/hosting/host.py",
        "lsp/cli.py",
        "sitecustomize.py",
        "msgspec.py",
    ):
        (root / module).write_text("raise SystemExit('code of the workspace was imported')\n")
    (root / "main.py").write_text(TEXT)
    yield root
    await stop_engine("smollm2-135m", timeout_s=5)


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


async def gone(processes: list[psutil.Process], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while any(map(lives, processes)):
            await asyncio.sleep(0.05)


async def completes(one: Editor, root: Path, timeout_s: float = 120.0) -> None:
    """A request is answered with text, at the latest when what was killed is back."""
    uri = root.joinpath("main.py").as_uri()
    if uri not in one.versions:
        one.open(root / "main.py", TEXT)
    async with asyncio.timeout(timeout_s):
        count = 0
        while await one.completion(uri, 1, len("    return left")) is None:
            count += 1
            one.replace(uri, TEXT + "\n" * (count % 2 + 1))  # another version: nothing remembered answers
            await asyncio.sleep(0.3)


@pytest.mark.timeout(600)
async def test_shared_and_mortal(house):
    async with AsyncExitStack() as stack:
        editors = await asyncio.gather(
            *(stack.enter_async_context(editor(house, OPTIONS)) for _ in range(SERVERS))
        )
        told = await asyncio.gather(*(one.ready() for one in editors))
        assert len({one.pid for one in editors}) == SERVERS
        (index_pid,) = {status["index"]["pid"] for status in told}
        (engine_pid,) = {status["engine"]["pid"] for status in told}
        await completes(editors[0], house)

        # A server: nothing of it stays, the others do not notice.
        victim = family(editors[9].pid)
        os.kill(editors[9].pid, signal.SIGKILL)
        await gone(victim)
        await completes(editors[1], house)
        assert psutil.pid_exists(index_pid)
        assert psutil.pid_exists(engine_pid)

        # The index service: its children go with it, the next request brings back one for all.
        victim = family(index_pid)
        os.kill(index_pid, signal.SIGKILL)
        await gone(victim)
        await completes(editors[0], house)
        told = await asyncio.gather(*(one.ready() for one in editors[:9]))
        (new_index_pid,) = {status["index"]["pid"] for status in told}
        assert new_index_pid != index_pid

        # The engine host: scheduler and detokenizer go with it, the next request brings it back.
        victim = family(engine_pid)
        assert len(victim) >= 3
        os.kill(engine_pid, signal.SIGKILL)
        await gone(victim)
        await completes(editors[2], house)
        assert await _engine_pid(editors[2]) != engine_pid
        last = [*family(new_index_pid)]

    # The service leaves when nobody needs it; the host would too, half an hour later.
    await gone(last, timeout_s=60)


async def _engine_pid(one: Editor) -> int:
    return (await one.ready())["engine"]["pid"]
