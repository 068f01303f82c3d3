"""`foreword bench index`: the index beside aider's repository map, ctags and stock sentence-transformers."""

from __future__ import annotations

from typing import Annotated

import typer

from lsp.commands.measured import LEAST_RUNS, Json, Only, Runs, Save, deliver, left_out, say, split
from lsp.terminal import run


def bench_index(
    as_json: Json = False,
    runs: Runs = LEAST_RUNS,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="One run of a small made repository, to see that it works."),
    ] = False,
    only: Only = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Leave out: aider, ctags, stock, or the engine host that idles along; repeatable."),
    ] = None,
    save: Save = None,
) -> None:
    """The index beside aider's repository map, ctags and stock sentence-transformers, interleaved.

    It works in folders of its own and never touches the user's store. Exits with 1 when something that was asked
    for could not be measured; the rest is shown all the same.
    """
    from benchmarks.index.run import EXPECTED, LEFT_OUT, NAMED_FIGURES, Options
    from benchmarks.index.run import run as measure

    options = Options(runs, quick, only=split(only), without=left_out(without, LEFT_OUT))
    document = run(measure(options, say), EXPECTED)
    deliver(document, NAMED_FIGURES, save, as_json=as_json)
