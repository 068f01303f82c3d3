"""From the first key at a place of a file to ghost text, model and index ready and nothing of the prompt cached: where
the cursor had rested there, so that the place was read ahead, and where the file was typed in at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.client import Editor
from benchmarks.engine.hosted import Hosted
from benchmarks.figures import Figure, ratio, summary
from benchmarks.lsp.opening import FILE, TYPED, folder
from benchmarks.lsp.ours_side import READY_TIMEOUT_S, ready
from benchmarks.targets import Say, TargetError

TIMES, QUICK_TIMES = 5, 1
LOOK_S = 0.2
"""How often it is looked whether the place is read."""


class Rested(msgspec.Struct):
    """Seconds of each time, in pairs."""

    read_s: list[float]
    """Until the place was read: so long the cursor has to rest."""
    rested_s: list[float]
    at_once_s: list[float]


async def rested(
    host: Hosted, environment: dict[str, str], scratch: Path, say: Say, *, quick: bool
) -> Rested:
    """`environment`: of a server that finds this host. Raises TargetError, ArchiveError."""
    found = Rested([], [], [])
    times = QUICK_TIMES if quick else TIMES
    root = await asyncio.to_thread(folder, scratch / "rested")
    say(f"typing in a file {times} times where the cursor rested, and as often at once")
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            await _first_key(host, environment, root, None)  # the folder is indexed and its names are counted
            for _ in range(times):
                found.at_once_s.append(await _first_key(host, environment, root, None))
                found.rested_s.append(await _first_key(host, environment, root, found.read_s))
    except TimeoutError as late:
        raise TargetError(f"nothing was offered within {READY_TIMEOUT_S:.0f} s") from late
    return found


def figures(found: Rested) -> Iterator[Figure]:
    told = "from the first key in a file to text; model and index ready, the prompt not cached"
    yield summary("key_to_ghost_rested_s", found.rested_s, "s", f"{told}; the cursor had rested there")
    yield summary("key_to_ghost_at_once_s", found.at_once_s, "s", f"{told}; typed in at once")
    yield ratio("rested_over_at_once", found.rested_s, found.at_once_s, "the same place typed in at once")
    yield summary(
        "rest_to_read_s", found.read_s, "s", "until the place was read, after the client told of it"
    )


async def _first_key(
    host: Hosted, environment: dict[str, str], root: Path, read_s: list[float] | None
) -> float:
    """Seconds to text, from a server of its own. With `read_s` the cursor rests before; how long until the place was
    read is added there. Raises TargetError."""
    text = (root / FILE).read_text() + TYPED[:-1]
    line, column = text.count("\n"), len(TYPED) - 1
    editor = Editor()
    await editor.start(root, {"model": host.profile.short}, environment)
    try:
        await ready(editor)
        await host.forget()
        uri = editor.open(root / FILE, text, "python")
        if read_s is not None:
            read_s.append(await _rest(editor, uri, line, column))
        began = time.monotonic()
        editor.type(uri, line, column, TYPED[-1])
        if not await editor.inline_completions(uri, line, column + 1):
            status = await editor.request_plain("foreword/status", {})
            raise TargetError(f"nothing was offered: {status['lastEmptyReason']}")
        return time.monotonic() - began
    finally:
        await editor.stop()


async def _rest(editor: Editor, uri: str, line: int, column: int) -> float:
    """Seconds until the place was read. Raises TargetError."""
    began = time.monotonic()
    editor.rests(uri, line, column)
    while True:
        told = (await editor.request_plain("foreword/status", {}))["readAhead"]
        if told["tokens"]:
            return time.monotonic() - began
        if told["reason"]:
            raise TargetError(f"the place was not read ahead: {told['reason']}")
        await asyncio.sleep(LOOK_S)
