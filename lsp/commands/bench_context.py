"""`foreword bench context`: whether packs show what a line needs, and how long they take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsp.commands.measured import Json, Save, deliver, say, split
from lsp.terminal import absolute, run

BUDGETS = "1024,4096,8192"


def bench_context(
    as_json: Json = False,
    repo: Annotated[
        list[Path] | None,
        typer.Option(help="A Python repository, instead of the development ones; repeatable."),
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(help="Cases as JSON lines, instead of those cut here.")
    ] = None,
    budgets: Annotated[str, typer.Option(help="Tokens, with commas between them.")] = BUDGETS,
    count: Annotated[int, typer.Option(min=1, help="Cases of each kind and repository, at most.")] = 40,
    vectors: Annotated[bool, typer.Option(help="With an embedder, which takes minutes more.")] = True,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few cases of one repository, to see that it works.")
    ] = False,
    save: Save = None,
) -> None:
    """Lines are cut out of real repositories before anything is indexed; the packs for them are then looked at.

    Exits with 1 when something that was asked for could not be measured; the rest is shown all the same.
    """
    from benchmarks.context.run import EXPECTED, NAMED_FIGURES, Options
    from benchmarks.context.run import run as measure

    try:
        wanted = tuple(int(number) for number in split([budgets]))
    except ValueError:
        raise typer.BadParameter(f"--budgets takes numbers of tokens, not {budgets}") from None
    options = Options(
        repositories=tuple(absolute(path) for path in repo or ()),
        budgets=wanted,
        cases=count,
        cases_file=absolute(cases) if cases is not None else None,
        quick=quick,
        vectors=vectors,
    )
    document = run(measure(options, say), EXPECTED)
    deliver(document, NAMED_FIGURES, save, as_json=as_json)
