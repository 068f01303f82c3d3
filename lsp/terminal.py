"""What every command shares on a terminal: output, progress on stderr, errors as one sentence, exit codes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

EXIT_FAILED = 1
"""Something did not work; stderr says what and what to do."""
EXIT_USAGE = 2
"""The command was called wrongly (typer's own code)."""
EXIT_EMPTY = 3
"""It worked and there is nothing to show; stderr says why."""

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

T = TypeVar("T")


class Place(msgspec.Struct, frozen=True):
    """A cursor given on the command line; `line` and `character` are 0-based here."""

    file: Path
    line: int
    character: int


def parse_place(text: str) -> Place:
    """`FILE:LINE:COL`, 1-based, COL in characters. Raises typer.BadParameter."""
    file, _, rest = text.rpartition(":")
    file, _, line = file.rpartition(":")
    if not (file and line.isdecimal() and rest.isdecimal() and int(line) > 0 and int(rest) > 0):
        raise typer.BadParameter(f"{text!r} is not FILE:LINE:COL with LINE and COL counted from 1")
    return Place(Path(file).absolute(), int(line) - 1, int(rest) - 1)


def root_of(file: Path) -> Path:
    """The folder that counts as the file's repository: the nearest one above it with a `.git`, else the current
    folder when the file lies below it, else the file's own folder."""
    for folder in file.parents:
        if (folder / ".git").exists():
            return folder
    here = Path.cwd()
    return here if file.is_relative_to(here) else file.parent


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """Ends the command with one sentence on stderr."""
    err.print(f"[bold red]foreword:[/] {_escape(message)}")
    raise typer.Exit(code)


def _escape(message: str) -> str:
    return message.replace("[", r"\[")


def run(work: Coroutine[Any, Any, T], expected: tuple[type[Exception], ...]) -> T:
    """Runs a command's coroutine; its expected errors end the command with their message."""
    try:
        return asyncio.run(work)
    except expected as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None  # as a shell reports SIGINT


class Report(Protocol):
    def __call__(self, stage: str, done: int, total: int) -> None: ...


@contextmanager
def progress(enabled: bool = True) -> Generator[Report]:
    """A bar on stderr, one row a stage; on a pipe only each stage's name, once. Yields report(stage, done, total)."""
    if not enabled:
        yield lambda stage, done, total: None
        return
    if not err.is_terminal:
        seen: set[str] = set()

        def report_line(stage: str, done: int, total: int) -> None:
            if stage not in seen:
                seen.add(stage)
                err.print(stage)

        yield report_line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as bars:
        rows: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in rows:
                rows[stage] = bars.add_task(stage, total=total)
            bars.update(rows[stage], completed=done, total=total or None)

        yield report
