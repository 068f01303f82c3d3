"""What all `foreword bench …` commands share: their options' form, progress, and how a document is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.markup import escape

from lsp.terminal import EXIT_FAILED, absolute, err, fail, out, print_json

if TYPE_CHECKING:
    from benchmarks.report import Document

LEAST_RUNS = 5
"""A median of fewer says little on a machine that does other things too."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
Runs = Annotated[int, typer.Option(min=1, help="Runs of each row; the median counts.")]
Only = Annotated[
    list[str] | None, typer.Option(help="Only rows or figures with this in their names; repeatable.")
]
Save = Annotated[Path | None, typer.Option(help="Write the JSON document here too.")]


def split(given: list[str] | None) -> tuple[str, ...]:
    """The values of an option that may be repeated or hold several, with commas between them."""
    return tuple(name for each in given or [] for name in each.split(",") if name)


def left_out(given: list[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """What `--without` says. Raises typer.BadParameter."""
    names = split(given)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(f"--without takes {', '.join(known)}, not {', '.join(unknown)}")
    return names


def say(line: str) -> None:
    """One line of progress."""
    err.print(f"[dim]{escape(line)}[/]")


def deliver(document: Document, named: Sequence[str], save: Path | None, *, as_json: bool) -> None:
    """Writes and shows it; ends the command with 1 where something that was asked for could not be measured."""
    from benchmarks.report import show

    if save is not None:
        try:
            absolute(save).write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        except OSError as error:
            err.print(f"[bold red]foreword:[/] {save} could not be written: {error.strerror}")
    if as_json:
        print_json(document)
    else:
        show(document, named, out)
    if document.problems:
        told = [f"{problem.target}, {problem.what}: {problem.reason}" for problem in document.problems]
        fail("\n".join(["not everything could be measured", *told]), EXIT_FAILED)
