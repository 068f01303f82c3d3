"""`foreword bench context`: whether packs show what a line needs, what the model makes of them, and how long they
take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lsp.commands.measured import Json, Save, deliver, say, split
from lsp.terminal import absolute, run

BUDGETS = "1024,4096,8192"


def bench_context(
    as_json: Json = False,
    repo: Annotated[
        list[Path] | None,
        typer.Option(
            help="A repository, or for the simulation a clone, instead of the development ones; repeatable."
        ),
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(help="Cases as JSON lines, instead of those cut here.")
    ] = None,
    budgets: Annotated[str, typer.Option(help="Tokens, with commas between them.")] = BUDGETS,
    count: Annotated[int, typer.Option(min=1, help="Cases of each kind and repository, at most.")] = 40,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these parts: shown, quality, curve, simulation, base. The model is asked in some of them."
        ),
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help="Only these: none, bm25, aider, foreword.")
    ] = None,
    kinds: Annotated[
        list[str] | None, typer.Option(help="Only these cases: import, noimport, member, random.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Keep the model's answers here, and ask only for what is not there yet."),
    ] = None,
    vectors: Annotated[bool, typer.Option(help="With an embedder, which takes minutes more.")] = True,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few cases of one repository, to see that it works.")
    ] = False,
    save: Save = None,
) -> None:
    """Lines are cut out of real repositories before anything is indexed; packs for them are then looked at and read.

    The whole takes hours: the model reads some 5,000 tokens for each of 320 cases and four methods. --results makes
    that something one can stop and go on with.

    Exits with 1 when something that was asked for could not be measured; the rest is shown all the same.
    """
    from benchmarks.context.given import METHODS
    from benchmarks.context.run import EXPECTED, KINDS, NAMED_FIGURES, PARTS, Options
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
        parts=_of("--only", only, PARTS),
        methods=_of("--methods", methods, METHODS),
        kinds=_of("--kinds", kinds, KINDS),
        results=absolute(results) if results is not None else None,
    )
    document = run(measure(options, say), EXPECTED)
    deliver(document, NAMED_FIGURES, save, as_json=as_json)


def _of(option: str, given: list[str] | None, known: tuple[Any, ...]) -> tuple[Any, ...]:
    """What an option names. Raises typer.BadParameter."""
    names = split(given)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(f"{option} takes {', '.join(known)}, not {', '.join(unknown)}")
    return names
