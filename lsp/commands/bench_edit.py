"""`foreword bench edit`: whether edits that are written as blocks are applied as they are meant, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsp.commands.measured import Json, Save, deliver, say, split
from lsp.terminal import run


def bench_edit(
    as_json: Json = False,
    language: Annotated[
        list[str] | None, typer.Option(help="Only histories in these languages; repeatable.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few steps of each history, to see that it works.")
    ] = False,
    answers: Annotated[
        int | None, typer.Option(min=0, help="Changes that a model is asked for; 0 leaves the model out.")
    ] = None,
    repo: Annotated[
        Path | None,
        typer.Option(
            help="A git repository whose commits are asked for, instead of releases.", file_okay=False
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model by full or short name.")] = None,
    url: Annotated[str | None, typer.Option(help="An OpenAI-compatible server that answers instead.")] = None,
    key: Annotated[str, typer.Option(envvar="FOREWORD_API_KEY", help="Its key.")] = "",
    settings: Annotated[
        Path | None,
        typer.Option(
            envvar="FOREWORD_SETTINGS", help="A JSON file with an editor's settings.", dir_okay=False
        ),
    ] = None,
    save: Save = None,
) -> None:
    """True changes of release histories in eight languages are written as blocks, read again and applied; then anchors
    are given faults, and it is counted where they land. No model takes part in this. Then a model is asked for true
    changes, under the grammar and without.

    Exits with 1 when something that was asked for could not be measured; the rest is shown all the same.
    """
    from benchmarks.edit.histories import LANGUAGES
    from benchmarks.edit.run import EXPECTED, NAMED_FIGURES, Options
    from benchmarks.edit.run import run as measure

    wanted = split(language) or LANGUAGES
    unknown = [name for name in wanted if name not in LANGUAGES]
    if unknown:
        raise typer.BadParameter(f"--language takes {', '.join(LANGUAGES)}, not {', '.join(unknown)}")
    from benchmarks.edit.asking import ANSWERS, QUICK_ANSWERS, Asking
    from benchmarks.edit.asking import NAMED_FIGURES as OF_A_MODEL
    from lsp.commands.edit import settings_of

    count = answers if answers is not None else QUICK_ANSWERS if quick else ANSWERS
    asking = Asking(count, repo, settings_of(settings, model, url, key), wanted) if count else None
    document = run(measure(Options(quick, wanted, asking), say), EXPECTED)
    deliver(document, (*NAMED_FIGURES, *OF_A_MODEL), save, as_json=as_json)
