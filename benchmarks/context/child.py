"""A baseline in a process of its own Python, which answers each JSON line with another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.targets import TargetError, end
from engine.tied import tied

TIMEOUT_S = 600.0
"""The first answer about a repository may need all of it read."""
MOST_ANSWER_BYTES = 16 << 20
LAST_LINES = 6
"""Of what a child said before it failed."""

Count = Callable[[str], int]


class Child:
    """One running child."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self._name, self._process, self._log = name, process, log

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, name: str, python: Path, script: Path, root: Path, files: Sequence[str], log: Path
    ) -> AsyncGenerator[Child]:
        """It has read `root`, as far as it does that ahead. Raises TargetError."""
        with log.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                *tied([str(python), "-I", str(script), str(root)]),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=sink,
                limit=MOST_ANSWER_BYTES,
            )
        child = cls(name, process, log)
        try:
            await child.ask({"files": list(files)})
            yield child
        finally:
            if process.stdin is not None:
                process.stdin.close()  # then it puts away what it made
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), LEAVE_TIMEOUT_S)
            await end(process)

    async def ask(self, question: dict[str, Any], count: Count | None = None) -> dict[str, Any]:
        """One answer; what the child asks back meanwhile, tokens of a text, `count` tells it. Raises TargetError."""
        await self._write(question)
        while True:
            told = await self._line()
            if count is None or "count" not in told:
                return told
            await self._write(count(told["count"]))

    async def _write(self, what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(what) + b"\n")
        with contextlib.suppress(ConnectionError):  # the answer that does not come tells more
            await self._process.stdin.drain()

    async def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise TargetError(f"{self._name} did not answer within {TIMEOUT_S:.0f} s") from None
        if not line:
            last = self._log.read_text(errors="replace").splitlines()[-LAST_LINES:]
            raise TargetError(f"{self._name} ended: " + " / ".join(last))
        try:
            return msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as wrong:
            raise TargetError(f"{self._name} answered {line[:200]!r}") from wrong


LEAVE_TIMEOUT_S = 10.0
