"""What comes out: one JSON document, or tables for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.engine.figures import Figure
from benchmarks.engine.runner import Problem


class Document(msgspec.Struct, frozen=True):
    """What `foreword bench … --json` prints."""

    machine: dict[str, Any]
    figures: list[Figure]
    problems: list[Problem] = []
    """What was to be measured and could not be; a figure of it is missing above, never made up."""


def show(document: Document, named: Sequence[str], console: Console) -> None:
    """The figures that the project is held to first, then everything else, then what could not be measured."""
    by_name = {figure.name: figure for figure in document.figures}
    first = [by_name[name] for name in named if name in by_name]
    console.print(_table("The figures that count", first))
    console.print(_table("All others", [each for each in document.figures if each.name not in named]))
    for name, value in document.machine.items():
        console.print(f"[dim]{escape(name)}: {escape(str(value))}[/]")
    for problem in document.problems:
        console.print(
            f"[bold red]not measured:[/] {escape(problem.target)}, {escape(problem.what)}: {escape(problem.reason)}"
        )


def _table(title: str, figures: Sequence[Figure]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True, min_width=max((len(each.name) for each in figures), default=0))
    for column in ("median", "min", "max"):
        table.add_column(column, justify="right")
    table.add_column("unit")
    table.add_column("n", justify="right")
    table.add_column("against, or with", overflow="fold", ratio=1)
    for figure in figures:
        numbers = (_number(figure.value), _number(figure.min), _number(figure.max))
        table.add_row(figure.name, *numbers, figure.unit, str(figure.n), escape(figure.against))
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
