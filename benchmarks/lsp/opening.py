"""From opening a folder to the first ghost text, as an editor does it: the server is started, a file opened, a key
typed and a completion asked for at once, and asked for once more when the status says that the model is ready.

With the engine warm, as when an editor is opened again; with the model loaded and its cache empty, in a folder that
the index knows and in one that it has never seen; and with nothing running at all, where it counts how long the
progress stands still."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.archives import HTTPX, unpack
from benchmarks.client import Editor, plain
from benchmarks.engine.hosted import Hosted
from benchmarks.figures import Figure, summary
from benchmarks.lsp.ours_side import READY_TIMEOUT_S
from benchmarks.targets import Say, TargetError
from engine.paths import kernels_folder, models_folder

TIMES, QUICK_TIMES = 5, 1
POLL_S = 0.2
"""How often our editors look at the status while somebody who has typed waits."""
FILE, FROM, TYPED = "httpx/_client.py", "            return FunctionAuth(func=auth)\n", "            return "
"""The file is cut before this line, on the disk as well, and the last key of `TYPED` is what is typed."""
STOP_TIMEOUT_S = 60.0


class Opened(msgspec.Struct):
    """Times from the start of the server's process."""

    warm_s: list[float]
    """The folder was open before: its prompt is in the engine's cache."""
    unread_s: list[float]
    """The same, with the cache emptied."""
    new_s: list[float]
    """The same, in folders that no index has seen."""
    cold_s: list[float]
    still_s: list[float]
    """Of each cold start the longest time in which nothing of the progress has changed, until the model is ready; what
    follows is one request, of which an editor has a sign of its own."""
    stages: list[str]
    """What the progress said of the last cold start, in order."""


class Watched:
    """What a person sees of a progress bar, and when it has changed last."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.seen: list[str] = []
        self._shown: dict[str | int, tuple[Any, Any]] = {}
        self._at = time.monotonic()
        self._is_over = False

    def told(self, token: str | int, value: Any) -> None:
        value = plain(value)
        shown = value.get("message"), value.get("percentage")
        if value.get("kind") == "begin" or shown != self._shown.get(token):
            self._shown[token] = shown
            self.changed()
            self.seen.append(f"{value.get('title') or ''} {shown[0] or ''}".strip())

    def changed(self) -> None:
        now = time.monotonic()
        if not self._is_over:
            self.longest_s = max(self.longest_s, now - self._at)
        self._at = now

    def ready(self) -> None:
        """There is nothing more to be waited for with a bar."""
        self.changed()
        self._is_over = True


async def opened(
    host: Hosted, environment: dict[str, str], scratch: Path, say: Say, *, quick: bool
) -> Opened:
    """`environment`: of a server that finds this host. Raises TargetError, ArchiveError."""
    found = Opened([], [], [], [], [], [])
    times = QUICK_TIMES if quick else TIMES
    known = await asyncio.to_thread(folder, scratch / "opened")
    say(
        f"opening folders {times} times: with the engine warm, with its cache empty, and one that was never seen"
    )
    for _ in range(2):
        # the first one may be answered while the folder is still read: its prompt is another one
        await _once(known, environment, host.profile.short, Watched())
    for number in range(times):
        new = await asyncio.to_thread(folder, scratch / f"opened-{number}")
        for root, forgets, into in (
            (known, False, found.warm_s),
            (known, True, found.unread_s),
            (new, True, found.new_s),
            (known, False, None),  # read once more, for the next one
        ):
            if forgets:
                await host.forget()
            taken = await _once(root, environment, host.profile.short, Watched())
            if into is not None:
                into.append(taken)
    say("opening a folder with nothing running")
    async with _nothing_running(scratch / "cold") as cold:
        watched = Watched()
        root = await asyncio.to_thread(folder, scratch / "opened-cold")
        found.cold_s.append(await _once(root, environment | cold, host.profile.short, watched))
        found.still_s.append(watched.longest_s)
        found.stages = watched.seen
    return found


def figures(found: Opened) -> Iterator[Figure]:
    told = "from the start of the server to text"
    yield summary("open_to_ghost_s", found.warm_s, "s", f"{told}; engine and index warm")
    yield summary("open_to_ghost_unread_s", found.unread_s, "s", f"{told}; model loaded, its cache empty")
    yield summary("open_to_ghost_new_s", found.new_s, "s", f"{told}; the same, a folder never seen")
    yield summary(
        "cold_to_ghost_s", found.cold_s, "s", "nothing running, nothing indexed; kernels compiled before"
    )
    yield summary(
        "cold_stands_still_s",
        found.still_s,
        "s",
        "longest time without a change of the progress, until the model is ready",
    )


async def _once(root: Path, environment: dict[str, str], model: str, watched: Watched) -> float:
    """Seconds to the first text. Raises TargetError."""
    began = time.monotonic()
    watched.changed()
    editor = Editor(watched.told)
    await editor.start(root, {"model": model}, environment)
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            return await _first_text(editor, root, watched) - began
    except TimeoutError as late:
        raise TargetError(f"no text within {READY_TIMEOUT_S:.0f} s") from late
    finally:
        await editor.stop()


async def _first_text(editor: Editor, root: Path, watched: Watched) -> float:
    """When it was there."""
    text = (root / FILE).read_text() + TYPED[:-1]
    uri = editor.open(root / FILE, text, "python")
    line, column = text.count("\n"), len(TYPED) - 1
    editor.type(uri, line, column, TYPED[-1])
    was_ready = False
    offered = await editor.inline_completions(uri, line, column + 1)
    while not offered:
        status = await editor.request_plain("foreword/status", {})
        state = status["engine"]["state"]
        if state == "failed":
            raise TargetError(f"the engine failed: {status['engine']['reason']}")
        if state != "ready":
            await asyncio.sleep(POLL_S)
            continue
        if was_ready:
            raise TargetError(f"nothing was offered: {status['lastCompletion']}")
        was_ready = True
        watched.ready()
        offered = await editor.inline_completions(uri, line, column + 1)
    return time.monotonic()


def folder(root: Path) -> Path:
    """The repository with the file cut. Raises ArchiveError, TargetError."""
    repository = unpack(HTTPX, root)
    file = repository / FILE
    kept, found, _ = file.read_text().partition(FROM)
    if not found:
        raise TargetError(f"{FILE} does not hold the line that is typed")
    file.write_text(kept)
    return repository


@asynccontextmanager
async def _nothing_running(home: Path) -> AsyncGenerator[dict[str, str]]:
    """The environment of a server that has neither engine nor index; what it starts is ended."""
    for name in ("run", "cache"):
        (home / name).mkdir(mode=0o700, parents=True)
    environment = {
        "XDG_RUNTIME_DIR": str(home / "run"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "FOREWORD_MODELS": str(models_folder()),
        "FOREWORD_KERNELS": str(kernels_folder()),
    }
    try:
        yield environment
    finally:
        await asyncio.to_thread(_stop_engine, {**os.environ, **environment})
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


def _stop_engine(environment: dict[str, str]) -> None:
    """Raises TargetError."""
    stop = [str(Path(sys.executable).with_name("foreword")), "engine", "stop"]
    try:
        subprocess.run(stop, env=environment, capture_output=True, timeout=STOP_TIMEOUT_S, check=True)
    except subprocess.SubprocessError as failed:
        raise TargetError(f"the engine that was started cold did not stop: {failed}") from failed
