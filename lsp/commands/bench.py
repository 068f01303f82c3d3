"""`foreword bench …`: the figures of this project, side by side with its baselines, measured on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from lsp.commands.bench_context import bench_context
from lsp.commands.bench_edit import bench_edit
from lsp.commands.bench_index import bench_index
from lsp.commands.bench_lsp import bench_lsp
from lsp.commands.measured import LEAST_RUNS, Json, Only, Runs, Save, deliver, left_out, say, split
from lsp.terminal import run

DEFAULT_MODEL = "qwen2.5-coder-0.5b"

app = typer.Typer(
    help="Measure this project on this machine, side by side with its baselines.", no_args_is_help=True
)
app.command("index")(bench_index)
app.command("context")(bench_context)
app.command("edit")(bench_edit)
app.command("lsp")(bench_lsp)


@app.callback()
def bench() -> None:
    pass


@app.command("engine")
def bench_engine(
    as_json: Json = False,
    runs: Runs = LEAST_RUNS,
    quick: Annotated[
        bool, typer.Option("--quick", help="One run of small sizes, ours alone: to see that it works.")
    ] = False,
    only: Only = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave a baseline out: stock, llamacpp; or `stock,llamacpp`.")
    ] = None,
    model: Annotated[str, typer.Option(help="Full or short name of a model that runs here.")] = DEFAULT_MODEL,
    save: Save = None,
) -> None:
    """The embedded engine beside SGLang's stock path and llama.cpp, interleaved, with medians and spread.

    Exits with 1 when something that was asked for could not be measured; the rest is shown all the same.
    """
    from benchmarks.engine.run import BASELINES, EXPECTED, NAMED_FIGURES, Options
    from benchmarks.engine.run import run as measure

    options = Options(model, runs, quick, only=split(only), without=left_out(without, BASELINES))
    document = run(measure(options, say), EXPECTED)
    deliver(document, NAMED_FIGURES, save, as_json=as_json)
