"""What the index is compared with: aider's repository map, ctags and sentence-transformers, each in a process of its
own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.targets import Say, TargetError, end
from benchmarks.venvs import PinnedVenv, ensure_venv
from engine.tied import tied

AIDER, CTAGS, STOCK = "aider", "ctags", "stock"
AIDER_VERSION = "0.86.2"
AIDER_VENV = PinnedVenv(
    name="aider",
    version=AIDER_VERSION,
    requirements=Path(__file__).with_name("aider-requirements.txt"),
    ready_variable="FOREWORD_BENCH_AIDER_VENV",
    leave_out="--without aider",
)
AIDER_CHILD = Path(__file__).with_name("aider_child.py")
STOCK_CHILD = Path(__file__).with_name("stock_child.py")
TIMEOUT_S = 600.0
LAST_LINES = 6
"""Of what a child said before it failed."""


class Mapped(msgspec.Struct, frozen=True):
    """One map of aider's."""

    seconds: float
    cpu_seconds: float
    characters: int
    warnings: list[str]
    process_s: float = 0.0
    """From the start of the process to its end."""


class Aider:
    """aider's RepoMap in its venv; each map is made by a new process with an empty cache."""

    def __init__(self, python: Path) -> None:
        self._python = python

    @classmethod
    async def ready(cls, say: Say) -> Aider:
        """Raises TargetError."""
        return cls(await ensure_venv(AIDER_VENV, say))

    @property
    def settings(self) -> str:
        return (
            f"aider-chat {AIDER_VERSION}: RepoMap of all tracked files, 1,024 tokens (times 8 without a chat), counted "
            "as characters / 4; imports not counted, cache empty"
        )

    async def first_map(self, root: Path, files: Sequence[str]) -> Mapped:
        """Raises TargetError."""
        argv = [str(self._python), "-I", str(AIDER_CHILD), str(root)]
        began = time.perf_counter()
        said = await output(argv, "\n".join(files).encode(), AIDER)
        try:
            mapped = msgspec.json.decode(said.rstrip().rpartition(b"\n")[2], type=Mapped)
        except msgspec.DecodeError as wrong:
            raise TargetError(f"aider did not tell its time but {said[-200:]!r}") from wrong
        if not mapped.characters:
            raise TargetError(f"aider made an empty map of {root}: {'; '.join(mapped.warnings)}")
        return msgspec.structs.replace(mapped, process_s=time.perf_counter() - began)


class Ctags:
    """universal-ctags of this machine."""

    def __init__(self, program: str, version: str) -> None:
        self._program = program
        self.settings = f"{version}: ctags -R, definitions only, process start included"

    @classmethod
    async def ready(cls) -> Ctags:
        """Raises TargetError."""
        program = shutil.which("ctags")
        if program is None:
            raise TargetError(
                "ctags is not on this machine and is not measured. Install it (Debian: apt install universal-ctags; "
                "macOS: brew install universal-ctags), or leave it out with --without ctags."
            )
        said = (await output([program, "--version"], b"", CTAGS)).decode(errors="replace")
        if "Universal Ctags" not in said:
            raise TargetError(
                f"{program} is no Universal Ctags, so its time would not compare. Install that (Debian: apt install "
                "universal-ctags), or leave it out with --without ctags."
            )
        return cls(program, said.partition(",")[0].strip())

    async def tags(self, root: Path, target: Path) -> float:
        """Seconds for all tags of `root`, written into `target`. Raises TargetError."""
        began = time.perf_counter()
        await output([self._program, "-R", "-f", str(target), "."], b"", CTAGS, root)
        seconds = time.perf_counter() - began
        if not target.exists() or not target.stat().st_size:
            raise TargetError(f"ctags wrote no tags of {root}")
        return seconds


class Stock:
    """A process of our own Python in which sentence-transformers embeds as it comes: fp32, its own batches."""

    def __init__(self, process: asyncio.subprocess.Process, versions: str, threads: int) -> None:
        self._process = process
        self.settings = f"{versions}, fp32, batches of 32, {threads} thread{'s' if threads > 1 else ''}"

    @classmethod
    @asynccontextmanager
    async def running(cls, model: Path, threads: int, log: Path) -> AsyncGenerator[Stock]:
        """The model is loaded and warm. Raises TargetError."""
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        with log.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                *tied([sys.executable, "-I", str(STOCK_CHILD), str(model), str(threads)]),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                env=environment,
                limit=_MOST_ANSWER_BYTES,
            )
        try:
            told = await _line(process, log)
            yield cls(process, told["versions"], threads)
        finally:
            await end(process)

    async def embed(self, texts: Sequence[str], log: Path) -> float:
        """Seconds for all texts. Raises TargetError."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(list(texts)) + b"\n")
        await self._process.stdin.drain()
        return (await _line(self._process, log))["seconds"]


_MOST_ANSWER_BYTES = 1 << 20


async def _line(process: asyncio.subprocess.Process, log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise TargetError(f"sentence-transformers did not answer within {TIMEOUT_S:.0f} s") from None
    if not line:
        last = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        raise TargetError("sentence-transformers ended: " + " / ".join(last))
    return msgspec.json.decode(line)


async def output(
    argv: list[str],
    given: bytes,
    name: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """What a program prints. Raises TargetError where it fails or takes too long."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=environment,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said, complained = await process.communicate(given)
    except TimeoutError:
        raise TargetError(f"{name} took longer than {TIMEOUT_S:.0f} s") from None
    finally:
        await end(process)
    if process.returncode != 0:
        last = complained.decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        raise TargetError(f"{name} ended with {process.returncode}: " + " / ".join(last))
    return said
