"""llama.vim's method at llama-server, as a side that keys are typed to."""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from benchmarks.context.replay import Edited, Event, Opened, Saved, Written
from benchmarks.lsp.keystrokes import Run
from benchmarks.lsp.llamavim import (
    MAX_LINE_SUFFIX,
    N_PREDICT,
    N_PREFIX,
    N_SUFFIX,
    PICK_DISTANCE_LINES,
    RETRY_S,
    RING_CHUNK_LINES,
    RING_SCOPE,
    T_MAX_FIRST_MS,
    T_MAX_PREDICT_MS,
    T_MAX_PROMPT_MS,
    Cache,
    Context,
    Lines,
    Ring,
    context_at,
    shown_of,
)
from benchmarks.lsp.playing import Played, Screen
from benchmarks.targets import TargetError, end
from engine.tied import tied

BATCH = ("--batch-size", "1024", "--ubatch-size", "1024", "--ctx-size", "0", "--cache-reuse", "256")
"""What llama.vim recommends, by llama-server's presets `--fim-qwen-…-default` (llama.cpp, common/arg.cpp)."""
START_TIMEOUT_S = 120.0
REQUEST_TIMEOUT_S = 120.0
POLL_S = 0.1
LOG_LINES = 6
SEED = 0
FAR = -9999


class LlamaServer:
    """llama.cpp's server with one model file."""

    def __init__(self, program: Path, model: Path, threads: int, scratch: Path) -> None:
        self.settings = f"llama-server {model.name}, threads {threads}, {' '.join(BATCH)}"
        self._model, self._program, self._threads = model, program, threads
        self._log = scratch / "llama-server.log"
        self._process: asyncio.subprocess.Process | None = None
        self.http = httpx.AsyncClient(timeout=REQUEST_TIMEOUT_S)

    async def start(self) -> None:
        """Raises TargetError."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        argv = [
            str(self._program),
            "--model",
            str(self._model),
            "--host",
            "127.0.0.1",
            "--port",
            port,
            *BATCH,
        ]
        argv += ["--threads", str(self._threads)]
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tied(argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.http.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        with suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT_S):
                while self._process.returncode is None:
                    with suppress(httpx.HTTPError):
                        if (await self.http.get("/health")).is_success:
                            return
                    await asyncio.sleep(POLL_S)
        last = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        raise TargetError("\n".join(["llama.cpp: its server did not come up. It said last:", *last]))

    async def infill(self, body: dict[str, Any]) -> dict[str, Any]:
        """Raises TargetError."""
        try:
            answer = await self.http.post("/infill", json=body)
        except httpx.HTTPError as failed:
            raise TargetError(f"llama.cpp: /infill failed: {type(failed).__name__} {failed}") from failed
        if not answer.is_success:
            raise TargetError(
                f"llama.cpp: /infill was answered with {answer.status_code}: {answer.text[:300]}"
            )
        return answer.json()

    async def close(self) -> None:
        await self.http.aclose()
        if self._process is not None:
            await end(self._process)


class LlamaVim:
    """One editor with the plug-in. Nothing of it knows what is typed later."""

    name = "llamavim"

    def __init__(self, server: LlamaServer, root: Path) -> None:
        self._server, self._root = server, root
        self._texts: dict[str, str] = {}
        self._saved: dict[str, str] = {}
        self._path, self._cursor = "", 0
        self._cache, self._ring = Cache(), Ring(random.Random(SEED))
        self._job: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._screen: Screen | None = None
        self._hint: list[str] | None = None
        """What is on screen; empty where it was found to say nothing, None where nothing was found."""
        self._indent = 0
        self._picked_y = FAR
        self._tokens = self._asked = 0
        self._asked_at: list[float] = []
        self._failed: TargetError | None = None

    # ------------------------------------------------------------ between runs

    async def carry_out(self, event: Event) -> None:
        match event:
            case Opened(path=path):
                self._enter(path)
            case Edited(path=path, start=start, end=last, text=text):
                self._enter(path)
                self._edit(start, last, text)
            case Saved(path=path):
                self._saved[path] = self._texts[path]
                self._pick_around()
            case Written(path=path):
                self._texts.pop(path, None)
            case _:
                pass

    def _enter(self, path: str) -> None:
        if path == self._path:
            return
        if self._path:
            self._pick_around()
        if path not in self._texts:
            file = self._root / path
            self._texts[path] = self._saved[path] = file.read_bytes().decode() if file.exists() else ""
        self._path, self._cursor = path, 0
        self._pick_around()

    def _edit(self, start: int, last: int, text: str) -> None:
        whole = self._texts[self._path]
        self._texts[self._path] = whole[:start] + text + whole[last:]
        self._cursor = start + len(text)

    def _pick_around(self) -> None:
        """On entering, leaving and writing a buffer: only of what is saved."""
        if self._texts.get(self._path) == self._saved.get(self._path):
            self._ring.pick(self._around(), self._path, evict=True)

    def _around(self) -> Lines:
        lines, _, y = self._here()
        half = RING_CHUNK_LINES // 2
        return lines[max(0, y - half) : y + half + 1]

    def _here(self) -> tuple[Lines, int, int]:
        """The lines, column and line of the cursor."""
        text = self._texts[self._path]
        before = text[: self._cursor]
        return text.split("\n"), len(before) - (before.rfind("\n") + 1), before.count("\n")

    # ------------------------------------------------------------ a run

    async def begin(self, run: Run, screen: Screen) -> tuple[str, str]:
        self._enter(run.path)
        self._cursor, self._screen = run.start, screen
        self._tokens = self._asked = 0
        self._asked_at = []
        while self._ring.take_one():  # in the pause before a run it has the time for all that wait
            await self._server.infill(
                {
                    **{"id_slot": 0, "input_prefix": "", "input_suffix": "", "prompt": "", "n_predict": 0},
                    **{"input_extra": self._extra(), "temperature": 0.0, "samplers": []},
                    **{"stream": False, "cache_prompt": True, "t_max_prompt_ms": 1, "t_max_predict_ms": 1},
                }
            )
        self._moved()
        text = self._texts[run.path]
        return text[: run.start], text[run.start :]

    def type(self, number: int, text: str) -> None:
        self._edit(self._cursor, self._cursor, text)
        self._moved()
        self._fim(None)

    async def end(self, played: Played, screen: Screen) -> None:
        self._screen = None
        if self._retry is not None:
            self._retry.cancel()
        while self._job is not None:
            await asyncio.wait({self._job})
        if self._failed is not None:
            raise self._failed
        played.tokens, played.asked = self._tokens, self._asked
        for number, shown_at in enumerate(screen.shown_at):
            began = screen.key_times[number]
            played.without_engine[number] = not any(began <= at <= shown_at for at in self._asked_at)

    # ------------------------------------------------------------ the plug-in

    def _moved(self) -> None:
        """`on_move`."""
        self._hint = None
        self._try_hint()

    def _try_hint(self) -> None:
        """`fim_try_hint`: shows what the cache has for this place, and then asks for what follows it."""
        if self._screen is None:
            return
        lines, x, y = self._here()
        answer = self._cache.left_at(context_at(lines, x, y))
        if answer is None:
            return
        self._hint = shown_of(answer, lines, x, y)
        if self._hint:
            self._screen.show(self._screen.number, "\n".join(self._hint))
        self._fim((x, y, self._hint or [""]))

    def _fim(self, ahead: tuple[int, int, list[str]] | None) -> None:
        """`fim`, for the cursor or, `ahead`, for when what is shown there has been accepted."""
        if self._job is not None:
            if self._retry is not None:
                self._retry.cancel()
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._tried_again, ahead)
            return
        lines, x, y = self._here()
        shown: list[str] = []
        if ahead is not None:
            x, y, shown = ahead
            if y >= len(lines):
                return
        context = context_at(lines, x, y, shown, self._indent)
        if len(context.line_suffix) > MAX_LINE_SUFFIX:
            return
        if any(self._cache.get(place) is not None for place in context.places):
            return
        self._indent = context.indent
        self._ring.make_room(self._around())
        self._job = asyncio.create_task(self._request(context, first=ahead is None))
        if abs(y - self._picked_y) > PICK_DISTANCE_LINES:
            above = lines[max(0, y - RING_SCOPE) : max(1, y - N_PREFIX + 1)]
            below = lines[min(len(lines) - 1, y + N_SUFFIX) : y + N_SUFFIX + RING_CHUNK_LINES + 1]
            self._ring.pick(above, self._path, evict=False)
            self._ring.pick(below, self._path, evict=False)
            self._picked_y = y

    def _tried_again(self, ahead: tuple[int, int, list[str]] | None) -> None:
        self._retry = None
        if self._screen is not None:
            self._fim(ahead)

    async def _request(self, context: Context, *, first: bool) -> None:
        self._asked += 1
        self._asked_at.append(asyncio.get_running_loop().time())
        body: dict[str, Any] = {
            "id_slot": 0,
            "input_prefix": context.prefix,
            "input_suffix": context.suffix,
            "input_extra": self._extra(),
            "prompt": context.middle,
            "n_predict": N_PREDICT,
            "stop": [],
            "n_indent": context.indent,
            "top_k": 40,
            "top_p": 0.90,
            "samplers": ["top_k", "top_p", "infill"],
            "stream": False,
            "cache_prompt": True,
            "t_max_prompt_ms": T_MAX_PROMPT_MS,
            "t_max_predict_ms": T_MAX_FIRST_MS if first else T_MAX_PREDICT_MS,
        }
        try:
            answer = await self._server.infill(body)
        except TargetError as failed:
            self._failed, self._job = failed, None
            return
        self._tokens += int(answer["timings"]["predicted_n"])
        self._cache.add(context.places, str(answer["content"]))
        if not self._hint:
            self._try_hint()
        self._job = None

    def _extra(self) -> list[dict[str, str]]:
        return [{"text": each.text, "filename": each.path} for each in self._ring.chunks]
