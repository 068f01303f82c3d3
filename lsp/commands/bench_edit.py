"""`foreword bench edit`: whether edits that are written as blocks are applied as they are meant, and nowhere else."""

from __future__ import annotations

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
    save: Save = None,
) -> None:
    """True changes of release histories in eight languages are written as blocks, read again and applied; then anchors
    are given faults, and it is counted where they land. No model takes part in this.

    Exits with 1 when something that was asked for could not be measured; the rest is shown all the same.
    """
    from benchmarks.edit.histories import LANGUAGES
    from benchmarks.edit.run import EXPECTED, NAMED_FIGURES, Options
    from benchmarks.edit.run import run as measure

    wanted = split(language) or LANGUAGES
    unknown = [name for name in wanted if name not in LANGUAGES]
    if unknown:
        raise typer.BadParameter(f"--language takes {', '.join(LANGUAGES)}, not {', '.join(unknown)}")
    document = run(measure(Options(quick, wanted), say), EXPECTED)
    deliver(document, NAMED_FIGURES, save, as_json=as_json)
