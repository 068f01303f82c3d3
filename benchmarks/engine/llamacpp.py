"""llama.cpp as a target: one child process per setting that is best at some row, in the precision and with the
threads, attention and batch sizes that `llamacpp_screening` found."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import os
import re
import struct
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.engine.rows import Row
from benchmarks.engine.targets import Reading, megabytes
from benchmarks.targets import Say, TargetError, end
from engine.paths import cache_folder
from engine.tied import tied

CHILD = Path(__file__).with_name("llamacpp_child.py")
HEAD = struct.Struct(">I")
ANSWER_TIMEOUT_S = 900.0
"""A cold prompt of 6K tokens on one thread of a busy machine takes minutes."""
CONTEXT_TOKENS = 8192
DEFAULT_BATCH = (2048, 512)
"""llama.cpp's own n_batch and n_ubatch."""
LLAMA_VIM_BATCH = (1024, 1024)
"""What llama.vim recommends, by llama-server's presets `--fim-qwen-…-default` (llama.cpp, common/arg.cpp). Its
`--cache-reuse 256` shifts runs of at least 256 cached tokens; no row of ours moves that many, so it changes nothing."""
MADE_HERE = ("Q8_0", "BF16")
"""Precisions that llama.cpp itself makes of the pinned file."""
PRECISION = re.compile(r"[qQ]\d_\w+$")
"""How the name of a model file ends."""
PERPLEXITY_THREADS = 2
TOLD_LINES = 6
"""Of what a child said last: the end of a traceback, or a failed assertion of ggml."""


class Cell(msgspec.Struct, frozen=True):
    """One way to run llama.cpp."""

    precision: str
    flash: bool
    threads: int
    batch: tuple[int, int] = DEFAULT_BATCH

    @property
    def name(self) -> str:
        flash = "on" if self.flash else "off"
        style = "llama.vim's" if self.batch == LLAMA_VIM_BATCH else "default"
        return (
            f"llama.cpp {self.precision}, flash attention {flash}, threads {self.threads}, "
            f"{style} batch {self.batch[0]}/{self.batch[1]}"
        )


def cells(precisions: tuple[str, ...], threads: tuple[int, ...]) -> list[Cell]:
    """Every precision, with and without flash attention, with each number of threads."""
    return [Cell(*each) for each in product(precisions, (True, False), threads)]


class Child:
    """One child process with one model and context."""

    def __init__(self, python: Path, scratch: Path) -> None:
        """What it prints goes into a file of its own in `scratch`."""
        self._python = python
        self._scratch = scratch
        self._log: Path | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        descriptor, name = tempfile.mkstemp(".log", "llamacpp-", self._scratch)
        self._log = Path(name)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *tied([str(self._python), "-I", str(CHILD)]),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Raises TargetError where llama.cpp refuses, dies or does not answer in time."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise TargetError("llama.cpp: its process is not running")
        body = json.dumps({"op": op, **arguments}).encode()
        try:
            process.stdin.write(HEAD.pack(len(body)) + body)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await process.stdin.drain()
                (length,) = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
                answer: dict[str, Any] = json.loads(await process.stdout.readexactly(length))
        except TimeoutError as error:
            raise TargetError(
                f"llama.cpp: no answer to `{op}` within {ANSWER_TIMEOUT_S:.0f} s{self._said()}"
            ) from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            code = await process.wait()
            raise TargetError(
                f"llama.cpp: its process ended with code {code} during `{op}`{self._said()}"
            ) from error
        if "error" in answer:
            raise TargetError(f"llama.cpp: `{op}` failed: {answer['error']}{self._said()}")
        return answer

    def _said(self) -> str:
        """Its last words, to follow what became of it; empty where it said nothing."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log is not None else []
        return "\n".join([". It said last:", *lines[-TOLD_LINES:]]) if lines else ""

    async def close(self) -> None:
        if self._process is not None:
            await end(self._process)
            self._process = None


class ModelFiles:
    """The same weights in each precision: the pinned file, and what llama.cpp itself makes of it."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._folder = cache_folder() / "bench"
        named = PRECISION.search(source.stem)
        self.precisions = (named.group().upper() if named else source.stem, *MADE_HERE)

    def path(self, precision: str) -> Path:
        if precision == self.precisions[0]:
            return self.source
        return self._folder / f"{self.source.stem}-as-{precision.lower()}.gguf"

    async def ensure(self, child: Child, threads: int, say: Say) -> None:
        """Ours serves the same file, brought to bfloat16: so BF16 made from it is the same model."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for precision in MADE_HERE:
            target = self.path(precision)
            if target.exists():
                continue
            say(f"llama.cpp: writing the model as {precision}")
            partial = target.with_suffix(".partial")
            await child.ask(
                "quantize",
                source=str(self.source),
                target=str(partial),
                kind=precision.lower(),
                threads=threads,
            )
            partial.replace(target)


class LlamaCpp:
    """The best cell of every row; children are started at their first row and live until the end."""

    name = "llamacpp"

    def __init__(self, python: Path, files: ModelFiles, scratch: Path, cores: int) -> None:
        self.python = python
        self.files = files
        self.scratch = scratch
        self.cores = cores
        self.best: dict[str, Cell] = {}
        """By row; filled by the screening."""
        self._children: dict[Cell, Child] = {}
        self._memory: dict[str, tuple[float, float]] = {}

    def settings(self, row: str) -> str:
        return self.cell(row).name

    def cell(self, row: str) -> Cell:
        cell = self.best.get(row)
        if cell is None:
            raise TargetError(f"llama.cpp: no setting was found for {row}")
        return cell

    def state_file(self, flash: bool) -> Path:
        """Keys and values of the common base. One for each way of attention, since they lie differently in memory;
        which precision computed them does not change what reading on from them costs."""
        return self.scratch / f"llamacpp-base-{'flash' if flash else 'plain'}.state"

    async def child(self, cell: Cell, *, sequences: int = 1) -> Child:
        """The child that runs `cell`, started where there is none yet."""
        if cell not in self._children:
            child = Child(self.python, self.scratch)
            self._children[cell] = child
            await child.start()
            await open_cell(child, self.files, cell, sequences)
        return self._children[cell]

    async def prepare(self, row: Row) -> None:
        cell = self.cell(row.name)
        child = await self.child(cell)
        if row.base:
            state = self.state_file(cell.flash)
            if state.exists():
                await child.ask("restore", path=str(state))
            await child.ask("read", ids=row.base)

    async def run(self, row: Row, ids: list[int]) -> Reading:
        child = await self.child(self.cell(row.name))
        if row.cold:
            await child.ask("clear")
        if row.decoded == 1:
            answer = await child.ask("read", ids=ids)
            return Reading(answer["seconds"], None, answer["reused"])
        answer = await child.ask("decode", ids=ids, tokens=row.decoded)
        return Reading(answer["seconds"], answer["seconds_per_token"], 0)

    async def pair(self, bases: list[list[int]], news: list[list[int]], tokens: int, row: str) -> float:
        """Seconds until two prompts that were cached have gone on together; in the cell of `row`."""
        child = Child(self.python, self.scratch)
        try:
            await child.start()
            await open_cell(child, self.files, self.cell(row), sequences=2)
            answer = await child.ask("pair", bases=bases, news=news, tokens=tokens)
        finally:
            await child.close()
        return float(answer["seconds"])

    async def perplexity(self, windows: list[list[int]]) -> dict[str, float]:
        """By precision. It is the same in every run, and takes minutes: kept in the cache once computed."""
        kept = cache_folder() / "bench" / "llamacpp-perplexity.json"
        known: dict[str, float] = {}
        if kept.exists():
            with contextlib.suppress(msgspec.DecodeError):  # damaged: computed anew and replaced
                known = msgspec.json.decode(kept.read_bytes(), type=dict[str, float])
        text = hashlib.sha256(json.dumps(windows).encode()).hexdigest()
        found: dict[str, float] = {}
        for precision in self.files.precisions:
            file = self.files.path(precision)
            key = f"{file.name} {file.stat().st_size} {text}"
            if key not in known:
                known[key] = await self._perplexity(precision, windows)
                kept.write_bytes(msgspec.json.encode(known))
            found[f"llama.cpp {precision}"] = known[key]
        return found

    async def _perplexity(self, precision: str, windows: list[list[int]]) -> float:
        child = Child(self.python, self.scratch)
        cell = Cell(precision, True, min(PERPLEXITY_THREADS, self.cores))
        try:
            await child.start()
            await open_cell(child, self.files, cell)
            total, count = 0.0, 0
            for ids in windows:
                answer = await child.ask("perplexity", windows=[ids])
                total, count = total + answer["nll"], count + answer["count"]
        finally:
            await child.close()
        return math.exp(total / count)

    def memory(self) -> dict[str, tuple[float, float]]:
        return {
            cell.name: megabytes(child.pid) for cell, child in self._children.items() if child.pid is not None
        }

    async def close(self) -> None:
        for child in self._children.values():
            await child.close()
        self._children.clear()


async def open_cell(child: Child, files: ModelFiles, cell: Cell, sequences: int = 1) -> None:
    await child.ask(
        "open",
        file=str(files.path(cell.precision)),
        threads=cell.threads,
        flash=cell.flash,
        batch=cell.batch[0],
        ubatch=cell.batch[1],
        context=CONTEXT_TOKENS,
        sequences=sequences,
    )
