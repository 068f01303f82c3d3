"""The server's own time on an inline completion while somebody types fast in a long file, beside a bare pygls server.

The engine is a script that answers at once, since its time is taken off anyway; what is typed is what it has offered,
so that most answers are remembered or joined, as when people type along.
"""

from __future__ import annotations

import asyncio
import re
import sys
import textwrap
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.archives import NETWORKX, unpack
from benchmarks.client import Editor
from benchmarks.index.service import NO_EMBEDDER, Home
from benchmarks.lsp.ours_side import Blocked, blocked_of, ready
from benchmarks.lsp.scripted_engine import ScriptedEngine
from benchmarks.targets import Say, TargetError

LINES = 5_000
"""Of the file that is typed in."""
EDITS_PER_S = 20
SECONDS, QUICK_SECONDS = 40.0, 10.0
WARM_KEYS = 20
"""At first, which do not count: modules are imported, the index opens the document."""
ANSWER_TIMEOUT_S = 10.0
FOLDER, FILE, TYPED = "networkx/algorithms", "long.py", "networkx/algorithms/planarity.py"
"""The file is made of the modules of a folder, one behind the other; another one is typed in the middle of it."""
FROM = "    def lr_planarity(self):"
"""From here on: statements, not a licence or a title."""
DOCSTRING_END = '"""\n'
KEYS = re.compile(r"\n[ \t]*|.")
"""What one key brings: editors indent the line that they begin."""


class Answered(msgspec.Struct, frozen=True):
    """One request that came back with text."""

    sent: float
    """By the machine's monotonic clock."""
    came: float

    @property
    def seconds(self) -> float:
        return self.came - self.sent


class Overhead(msgspec.Struct):
    """What was measured."""

    own_s: list[float]
    """Of each answer, without what the index, the engine and a pause took."""
    with_engine_s: list[float]
    """The same with what the scripted engine took, HTTP on both sides included."""
    echo_s: list[float]
    blocked: Blocked
    asked: int
    """Requests at the engine."""


Span = tuple[float, float]


def own_time_s(answered: Answered, waits: Sequence[Span]) -> float:
    """Without the times that others took, which may overlap."""
    taken, until = 0.0, answered.sent
    for start, end in sorted(waits):
        first, last = max(start, until), min(end, answered.came)
        if last > first:
            taken += last - first
            until = last
    return answered.seconds - taken


class Typist:
    """One server with the long file open, and somebody who types in the middle of it."""

    def __init__(self, editor: Editor, file: Path, text: str, line: int) -> None:
        self.answered: list[Answered] = []
        self._editor, self._line, self._character = editor, line, 0
        self._uri = editor.open(file, text, "python")
        self._tasks: set[asyncio.Task[None]] = set()

    def key(self, key: str) -> None:
        self._editor.type(self._uri, self._line, self._character, key)
        rest = key.rpartition("\n")[2]
        self._line += key.count("\n")
        self._character = len(rest) if "\n" in key else self._character + len(key)
        task = asyncio.create_task(self._ask())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self) -> None:
        sent = time.monotonic()
        if await self._editor.inline_completions(self._uri, self._line, self._character):
            self.answered.append(Answered(sent, time.monotonic()))

    async def done(self) -> None:
        """Until all is answered. Raises TargetError."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await asyncio.gather(*self._tasks)
        except TimeoutError:
            raise TargetError(f"a request was not answered within {ANSWER_TIMEOUT_S:.0f} s") from None


async def overhead(scratch: Path, say: Say, *, quick: bool) -> Overhead:
    """Raises TargetError, ArchiveError."""
    root = await asyncio.to_thread(unpack, NETWORKX, scratch / "overhead")
    text, line, typed = _texts(root)
    file = root / FOLDER / FILE
    file.write_text(text)
    say(f"typing {EDITS_PER_S} keys a second in {LINES} lines, beside a bare pygls server")
    async with (
        ScriptedEngine(typed).running() as engine,
        _server(root, engine, scratch) as ours,
        _echo(root) as bare,
    ):
        await ready(ours)
        mine, echo = Typist(ours, file, text, line), Typist(bare, file, text, line)
        keys = KEYS.findall(typed)
        for key in keys[:WARM_KEYS]:
            mine.key(key)
            echo.key(key)
            await asyncio.sleep(1 / EDITS_PER_S)
        await asyncio.gather(mine.done(), echo.done())
        mine.answered.clear()
        echo.answered.clear()
        await ours.request_plain("foreword/measured", {})
        count = int((QUICK_SECONDS if quick else SECONDS) * EDITS_PER_S)
        await _type(keys[WARM_KEYS : WARM_KEYS + count], mine, echo)
        told = await ours.request_plain("foreword/measured", {})
    return _found(told, mine, echo)


async def _type(keys: Sequence[str], mine: Typist, echo: Typist) -> None:
    """Each key to one server, and half an interval later to the other."""
    due = time.monotonic()
    for key in keys:
        for typist in (mine, echo):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            typist.key(key)
            due += 0.5 / EDITS_PER_S
    await asyncio.gather(mine.done(), echo.done())


def _found(told: dict[str, Any], mine: Typist, echo: Typist) -> Overhead:
    waits = [(each["kind"], (each["start"], each["end"])) for each in told["waits"]]
    all_waits = [span for _, span in waits]
    but_engine = [span for kind, span in waits if kind != "engine"]
    return Overhead(
        [own_time_s(each, all_waits) for each in mine.answered],
        [own_time_s(each, but_engine) for each in mine.answered],
        [each.seconds for each in echo.answered],
        blocked_of(told),
        len(told["asked"]),
    )


def _texts(root: Path) -> tuple[str, int, str]:
    """The long file, the line before which something is typed, and what."""
    whole = (root / TYPED).read_text()
    method = textwrap.dedent(whole[whole.index(FROM) :].partition("\n\n\n")[0])
    head, _, rest = method.partition("\n")
    typed = f"{head}\n{rest.partition(DOCSTRING_END)[2]}"
    lines: list[str] = []
    for module in sorted((root / FOLDER).glob("*.py")):
        if module != root / TYPED:
            lines += module.read_text().splitlines()
    if len(lines) < LINES:
        raise TargetError(f"{root / FOLDER} has only {len(lines)} lines")
    (root / TYPED).unlink()
    middle = next(at for at in range(LINES // 2, LINES) if lines[at].startswith("def "))
    return "\n".join(lines[:LINES]) + "\n", middle, typed


@asynccontextmanager
async def _server(root: Path, engine: ScriptedEngine, scratch: Path) -> AsyncGenerator[Editor]:
    home = Home(scratch / "overhead-home", {**NO_EMBEDDER, "FOREWORD_DEBUG": "1"})
    options = {"engine": {"kind": "openai", "url": engine.url, "model": "qwen2.5-coder-0.5b"}}
    editor = Editor()
    await editor.start(root, options, home.environment)
    try:
        yield editor
    finally:
        await editor.stop()


@asynccontextmanager
async def _echo(root: Path) -> AsyncGenerator[Editor]:
    editor = Editor(command=(sys.executable, "-m", "benchmarks.lsp.echo_server"))
    await editor.start(root)
    try:
        yield editor
    finally:
        await editor.stop()
