"""`foreword lsp` as a side that keys are typed to: asked at each key, as the server leaves it to itself when to ask the
model; and the same server under a client that only debounces."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.client import Editor
from benchmarks.context.history import commit_all
from benchmarks.context.replay import Committed, Edited, Event, Opened, Saved, Written
from benchmarks.lsp.keystrokes import Run
from benchmarks.lsp.playing import Played, Screen
from benchmarks.targets import TargetError
from lsp.documents import Snapshot, position_at

STALE_S = 0.05
"""An answer that comes so long after the next key was sent was given when the server had that key: it takes a
millisecond to get there."""
DEBOUNCE_S = 0.2
"""What Neovim's `vim.lsp.inline_completion` waits after a key before it asks."""
READY_TIMEOUT_S = 300.0
ANSWER_TIMEOUT_S = 30.0
LANGUAGES = {".py": "python", ".ts": "typescript", ".go": "go", ".md": "markdown"}


class Blocked(msgspec.Struct, frozen=True):
    """The longest time for which the server's event loop did not come round, see `lsp.watchdog`."""

    seconds: float
    latest_s: float
    """With the time in which other processes had all processors; of another moment, where that was longer."""
    cpu_s: float
    collected_s: float
    stack: tuple[str, ...]


class Ours:
    """Asks at every key, and sees the answer as long as no other key has come."""

    name = "foreword"

    def __init__(self, editor: Editor, root: Path) -> None:
        self.blocked: list[Blocked] = []
        """By run."""
        self._editor, self._root = editor, root
        self._documents: dict[str, Snapshot] = {}
        self._path, self._cursor = "", 0
        self._screen: Screen | None = None
        self._waiting: set[asyncio.Task[None]] = set()
        self._stale = 0

    # ------------------------------------------------------------ between runs

    async def carry_out(self, event: Event) -> None:
        match event:
            case Opened(path=path):
                self._open(path)
            case Edited(path=path, start=start, end=last, text=text):
                self._edit(path, start, last, text)
            case Saved(path=path):
                self._save(path)
            case Written(path=path, content=content):
                self._write(path, content)
            case Committed(commit=commit):
                await asyncio.to_thread(commit_all, self._root, commit)

    def _open(self, path: str) -> None:
        if path in self._documents:
            return
        file = self._root / path
        text = file.read_bytes().decode() if file.exists() else ""
        language = LANGUAGES.get(file.suffix, "plaintext")
        uri = self._editor.open(file, text, language)
        self._documents[path] = Snapshot(uri, str(file), language, 1, text)

    def _edit(self, path: str, start: int, last: int, text: str) -> None:
        self._open(path)
        snapshot = self._documents[path]
        first, second = (position_at(snapshot.text, each, "utf-16") for each in (start, last))
        self._editor.change(snapshot.uri, first, second, text)
        whole = snapshot.text[:start] + text + snapshot.text[last:]
        self._documents[path] = msgspec.structs.replace(snapshot, text=whole, version=snapshot.version + 1)

    def _save(self, path: str) -> None:
        snapshot = self._documents[path]
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(snapshot.text.encode())
        self._editor.save(snapshot.uri)

    def _write(self, path: str, content: bytes | None) -> None:
        file = self._root / path
        snapshot = self._documents.pop(path, None)
        if snapshot is not None:
            self._editor.close(snapshot.uri)
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    # ------------------------------------------------------------ a run

    async def begin(self, run: Run, screen: Screen) -> tuple[str, str]:
        self._open(run.path)
        self._path, self._cursor, self._screen, self._stale = run.path, run.start, screen, 0
        await self._measured()  # what was before does not count
        text = self._documents[run.path].text
        return text[: run.start], text[run.start :]

    def type(self, number: int, text: str) -> None:
        self._edit(self._path, self._cursor, self._cursor, text)
        self._cursor += len(text)
        self._spawn(self._ask(number))

    async def end(self, played: Played, screen: Screen) -> None:
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=ANSWER_TIMEOUT_S)
        told = await self._measured()
        asked = told["asked"]
        played.tokens = sum(each["tokens"] for each in asked)
        played.ahead = sum(each["tokens"] for each in asked if each["ahead"])
        played.asked, played.stale = len(asked), self._stale
        starts = [each["start"] for each in asked if not each["ahead"]]
        for number, shown_at in enumerate(screen.shown_at):
            began = screen.key_times[number]
            played.without_engine[number] = not any(began <= at <= shown_at for at in starts)
        self.blocked.append(blocked_of(told))

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _ask(self, number: int) -> None:
        """For this key, as an editor that shows one suggestion would."""
        screen, snapshot = self._screen, self._documents[self._path]
        assert screen is not None, "keys come within a run"
        line, character = position_at(snapshot.text, self._cursor, "utf-16")
        offered = await self._editor.inline_completions(snapshot.uri, line, character)
        if offered:
            self._shown(number, offered[0])

    def _shown(self, number: int, text: str) -> None:
        screen = self._screen
        if screen is None:
            return
        if number != screen.number and time.monotonic() - screen.key_times[number + 1] > STALE_S:
            self._stale += 1
        screen.show(number, text)

    async def _measured(self) -> dict[str, Any]:
        return await self._editor.request_plain("foreword/measured", {})


class Debounced(Ours):
    """Asks the same server's model when nothing was typed for a while, for all anew each time: nothing is remembered,
    joined or asked ahead."""

    name = "debounced"

    def type(self, number: int, text: str) -> None:
        for task in self._waiting:
            task.cancel()
        super().type(number, text)

    async def _ask(self, number: int) -> None:
        await asyncio.sleep(DEBOUNCE_S)
        snapshot = self._documents[self._path]
        line, character = position_at(snapshot.text, self._cursor, "utf-16")
        place = {"textDocument": {"uri": snapshot.uri}, "position": {"line": line, "character": character}}
        # what was sent is answered, wanted or not: the next request ends it in the server
        answer = await asyncio.shield(self._editor.request_plain("foreword/completion", place))
        if answer["text"]:
            self._shown(number, answer["text"])


def blocked_of(told: dict[str, Any]) -> Blocked:
    """Of an answer of `foreword/measured`."""
    worst = told["blocked"]
    return Blocked(
        worst["seconds"], told["latestS"], worst["cpuS"], worst["collectedS"], tuple(worst["stack"])
    )


async def ready(editor: Editor) -> dict[str, Any]:
    """Until model and index can answer. Raises TargetError."""
    try:
        status = await editor.until(_is_ready, lambda _: None, READY_TIMEOUT_S)
    except TimeoutError as late:
        raise TargetError(f"foreword lsp: {late}") from late
    if status["engine"]["state"] == "failed":
        raise TargetError(f"foreword lsp: the engine failed: {status['engine']['reason']}")
    return status


def _is_ready(status: dict[str, Any]) -> bool:
    engine, index = status["engine"], status["index"]
    roots = index.get("roots") or []
    indexed = index["state"] == "off" or (bool(roots) and all(root["state"] == "ready" for root in roots))
    return engine["state"] == "failed" or (engine["state"] == "ready" and indexed)
