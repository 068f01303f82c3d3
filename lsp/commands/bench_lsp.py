"""`foreword bench lsp`: the server's own time, what trimming is worth, and keys typed beside llama.vim's method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsp.commands.measured import Json, Save, deliver, left_out, say, split
from lsp.terminal import absolute, run


def bench_lsp(
    as_json: Json = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Some seconds of each part, to see that it works: 3 minutes.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these parts: overhead, opening, resting, trimmed, trace. The first needs no model."
        ),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out of the trace: llamavim, debounced; repeatable.")
    ] = None,
    repo: Annotated[
        Path | None,
        typer.Option(help="A clone whose last commits are typed, instead of the release history."),
    ] = None,
    save: Save = None,
) -> None:
    """Keys of real histories are typed at human speed to the server and, with the same weights, to llama.vim's method.

    llama.cpp's server is built once, over the libraries of `foreword bench engine`. It all takes 30 to 45 minutes, most
    of it in real time: let the machine rest meanwhile.

    Exits with 1 when something that was asked for could not be measured; the rest is shown all the same.
    """
    from benchmarks.lsp.run import EXPECTED, LEFT_OUT, NAMED_FIGURES, PARTS, Options
    from benchmarks.lsp.run import run as measure

    parts = split(only)
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise typer.BadParameter(f"--only takes {', '.join(PARTS)}, not {', '.join(unknown)}")
    options = Options(quick, parts, left_out(without, LEFT_OUT), absolute(repo) if repo is not None else None)
    document = run(measure(options, say), EXPECTED)
    deliver(document, NAMED_FIGURES, save, as_json=as_json)
