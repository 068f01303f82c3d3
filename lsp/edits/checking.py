"""A command that the user has configured, run after an edit: bounded in time and output, and ended with its children.

Nothing of a repository decides what is run: where the command may come from says `lsp.settings`."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from engine.tied import tied

KEPT_BYTES = 65_536
"""Of the output, its end: the rest is read and thrown away, so that a program that prints without end is not stopped
by it."""

TAIL_LINES, TAIL_CHARS = 40, 4_000
"""What is told of the output, and what a model reads of it."""

GRACE_S = 1.0
"""Between the signal that asks a command to end and the one that ends it."""

PIPE_S = 1.0
"""How long the end of the output is waited for when the command has ended: a child that it left may hold it."""

CHUNK_BYTES = 65_536

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Checked(msgspec.Struct, frozen=True):
    """What a check said."""

    command: str
    passed: bool
    told: str
    """In a few words: `exit status 1`."""
    tail: str
    """The last lines of what it printed on stdout and stderr, without control characters."""
    seconds: float

    @property
    def claim(self) -> str:
        return "check passed" if self.passed else f"check failed: {self.told}"


def argv_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """A list of arguments as it is; a line split as a shell would, and given to none. Raises ValueError."""
    return tuple(shlex.split(given)) if isinstance(given, str) else tuple(given)


async def check(
    argv: Sequence[str], root: Path, limit_s: float, *, clock: Callable[[], float] = time.monotonic
) -> Checked:
    """Runs the command in the root. Cancelling this ends it and all that it has started."""
    command, started = shlex.join(argv), clock()
    program = _program(argv[0], root)
    if program is None:
        return Checked(command, False, f"there is no command {argv[0]}", "", 0.0)
    end, start = os.pipe()  # our own: asyncio's is waited for as long as any child has it
    output = os.fdopen(end, "rb", buffering=0)
    try:
        process = await asyncio.create_subprocess_exec(
            *tied([program, *argv[1:]]),
            cwd=root,
            env=_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=start,
            stderr=start,
            start_new_session=True,
        )
    except OSError as failed:
        output.close()
        return Checked(command, False, f"it could not be started: {failed.strerror or failed}", "", 0.0)
    finally:
        os.close(start)
    kept = bytearray()
    reading = asyncio.create_task(_read(output, kept))
    told = f"it was ended after {limit_s:g} s"
    try:
        async with asyncio.timeout(limit_s):
            status = await process.wait()
        told = f"exit status {status}" if status >= 0 else f"ended by {signal.Signals(-status).name}"
        await asyncio.wait([reading], timeout=PIPE_S)
    except TimeoutError:
        status = None
    finally:
        reading.cancel()
        await _end(process)
    return Checked(command, status == 0, told, tail_of(bytes(kept)), clock() - started)


def tail_of(output: bytes) -> str:
    """Its last lines as text for people, models and messages."""
    text = _ESCAPE.sub("", output.decode("utf-8", "replace")).replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.rstrip() for line in _CONTROL.sub("", text).split("\n")]
    said = "\n".join(line for line in lines if line)
    end = "\n".join(said.split("\n")[-TAIL_LINES:])
    return end if len(end) <= TAIL_CHARS else f"…{end[1 - TAIL_CHARS :]}"


async def _read(output: IO[bytes], kept: bytearray) -> None:
    stream = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stream)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, output)
    try:
        while chunk := await stream.read(CHUNK_BYTES):
            kept += chunk
            del kept[:-KEPT_BYTES]
    finally:
        transport.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """All of its process group: first asked, then ended. What it has left running when it ended by itself goes too."""
    try:
        if process.returncode is None:
            _signal(process.pid, signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await process.wait()
    finally:
        _signal(process.pid, signal.SIGKILL)
    await process.wait()


def _signal(group: int, which: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, which)


def _program(name: str, root: Path) -> str | None:
    """By its path from the root, or looked for where PATH says; a folder of PATH that is not absolute would be one of
    wherever this process happens to run."""
    if os.sep in name:
        path = root / name
        return str(path) if os.access(path, os.X_OK) and path.is_file() else None
    folders = [each for each in os.environ.get("PATH", "").split(os.pathsep) if Path(each).is_absolute()]
    return shutil.which(name, path=os.pathsep.join(folders))


def _environment() -> dict[str, str]:
    """The user's, without what is ours (a key among it), and with the wish for plain text."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("FOREWORD_")}
    return own | {"NO_COLOR": "1", "TERM": "dumb"}
