"""What every command shares on a terminal: output, progress on stderr, errors as one sentence, exit codes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

EXIT_FAILED = 1
"""Something did not work; stderr says what and what to do."""
EXIT_USAGE = 2
"""As typer has it."""
EXIT_EMPTY = 3
"""It worked and there is nothing to show; stderr says why."""
EXIT_INTERRUPTED = 130
"""As a shell reports SIGINT."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
STEP = 1024

LEAST_BAR, LONGEST_BAR = 10, 40
ROOM_FOR_BAR, ROOM_FOR_RATES = 80, 64
"""Columns that a row takes with the shortest bar, and without one; a narrower terminal gets what it has room for."""

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
    return Place(absolute(file), int(line) - 1, int(rest) - 1)


def absolute(path: str | Path) -> Path:
    """The path from the root, without `..`; links stay as the user wrote them."""
    return Path(os.path.abspath(path))  # noqa: PTH100 — pathlib would follow links or keep `..`


REPOSITORY_MARKS = (".git", ".hg")
PROJECT_MARKS = ("pyproject.toml", "package.json", "go.mod", "Cargo.toml", "pom.xml", "CMakeLists.txt")


def root_of(file: Path) -> Path:
    """The folder that counts as the file's repository: the nearest one above it that is a repository, else the
    nearest with a project's file, else its own folder. Never a folder merely because one stands in it: that may
    be a home folder with everything below."""
    for marks in (REPOSITORY_MARKS, PROJECT_MARKS):
        for folder in file.parents:
            if any((folder / mark).exists() for mark in marks):
                return folder
    return file.parent


def size(count: float) -> str:
    """Bytes as a person reads them: `1.4 GiB`."""
    for unit in UNITS[:-1]:
        if count < STEP:
            return f"{count:.0f} {unit}" if unit == UNITS[0] else f"{count:.1f} {unit}"
        count /= STEP
    return f"{count:.1f} {UNITS[-1]}"


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
        err.print("[dim]interrupted[/]")
        raise typer.Exit(EXIT_INTERRUPTED) from None


class Report(Protocol):
    def __call__(self, stage: str, done: int, total: int) -> None: ...


class Rate(ProgressColumn):
    """How many a second; empty until that is known, and where nothing is counted."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields["unit"]
        return Text(f"{speed:,.0f} {unit}/s" if speed and unit else "", style="progress.data.speed")


class Left(TimeRemainingColumn):
    """Time left; empty where nobody can know."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total and task.speed and not task.finished else Text("")


def _columns(width: int) -> list[ProgressColumn]:
    """What a terminal of this width has room for."""
    figures: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        TextColumn("{task.fields[amount]}", table_column=Column(no_wrap=True)),
    ]
    if width < ROOM_FOR_RATES:
        return [*figures, Left(compact=True)]
    if width >= ROOM_FOR_BAR:
        figures.insert(1, BarColumn(bar_width=min(width - ROOM_FOR_BAR + LEAST_BAR, LONGEST_BAR)))
    return [*figures, Rate(table_column=Column(no_wrap=True)), Left(compact=True), TimeElapsedColumn()]


@contextmanager
def progress(enabled: bool = True, units: Mapping[str, str] | None = None) -> Generator[Report]:
    """A bar on stderr, one row a stage; on a pipe only each stage's name, once. Yields report(stage, done, total).
    `units` names what a stage counts; of those, the rate is shown and the time left."""
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
    with Progress(*_columns(err.width), console=err, transient=True) as bars:
        rows: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            unit = (units or {}).get(stage, "")
            if stage not in rows:
                for row in rows.values():
                    bars.stop_task(row)
                    bars.update(row, total=1, completed=1)  # a later stage: the ones before are over
                rows[stage] = bars.add_task(stage, total=None, amount="", unit=unit)
            amount = f"{done:,} of {total:,} {unit}".rstrip() if total > 1 else ""
            bars.update(rows[stage], completed=done, total=total or None, amount=amount)

        yield report
