"""What comes out: one JSON document, or tables for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.results import Problem

ROOM_FOR_AGAINST = 120
"""Columns of a terminal from which on what a figure is compared with stands beside it, and not below the tables."""


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
    wide = console.width >= ROOM_FOR_AGAINST
    console.print(_table("The figures that count", first, wide))
    console.print(_table("All others", [each for each in document.figures if each.name not in named], wide))
    for figure in () if wide else document.figures:
        if figure.against:
            console.print(f"[bold]{figure.name}[/] {escape(figure.against)}")
    for name, value in document.machine.items():
        console.print(f"[dim]{escape(name)}: {escape(str(value))}[/]")
    for problem in document.problems:
        console.print(
            f"[bold red]not measured:[/] {escape(problem.target)}, {escape(problem.what)}: {escape(problem.reason)}"
        )


def _table(title: str, figures: Sequence[Figure], wide: bool) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True, min_width=max((len(each.name) for each in figures), default=0))
    for column in ("value", "min", "max"):
        table.add_column(column, justify="right")
    table.add_column("unit")
    table.add_column("n", justify="right")
    if wide:
        table.add_column("against, or with", overflow="fold", ratio=1)
    for figure in figures:
        numbers = (_number(figure.value), _number(figure.min), _number(figure.max))
        told = [escape(figure.against)] if wide else []
        table.add_row(figure.name, *numbers, figure.unit, str(figure.n), *told)
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
