"""`foreword bench …`: the figures of this project, side by side with its baselines, measured on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from lsp.terminal import EXIT_FAILED, absolute, err, fail, out, print_json, run

DEFAULT_MODEL = "qwen2.5-coder-0.5b"
LEAST_RUNS = 5
"""A median of fewer says little on a machine that does other things too."""

app = typer.Typer(
    help="Measure this project on this machine, side by side with its baselines.", no_args_is_help=True
)


@app.callback()
def bench() -> None:
    pass


@app.command("engine")
def bench_engine(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")
    ] = False,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each row; the median counts.")] = LEAST_RUNS,
    quick: Annotated[
        bool, typer.Option("--quick", help="One run of small sizes, ours alone: to see that it works.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="Only rows or figures with this in their names; repeatable.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave a baseline out: stock, llamacpp; or `stock,llamacpp`.")
    ] = None,
    model: Annotated[str, typer.Option(help="Full or short name of a model that runs here.")] = DEFAULT_MODEL,
    save: Annotated[Path | None, typer.Option(help="Write the JSON document here too.")] = None,
) -> None:
    """The embedded engine beside SGLang's stock path and llama.cpp, interleaved, with medians and spread.

    Exits with 1 when something that was asked for could not be measured; the rest is shown all the same.
    """
    from benchmarks.engine.report import show
    from benchmarks.engine.run import BASELINES, EXPECTED, NAMED_FIGURES, Options
    from benchmarks.engine.run import run as measure

    left_out = _split(without)
    unknown = [name for name in left_out if name not in BASELINES]
    if unknown:
        raise typer.BadParameter(f"--without takes {' and '.join(BASELINES)}, not {', '.join(unknown)}")
    options = Options(model, runs, quick, only=_split(only), without=left_out)
    document = run(measure(options, _say), EXPECTED)
    if save is not None:
        try:
            absolute(save).write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        except OSError as error:
            err.print(f"[bold red]foreword:[/] {save} could not be written: {error.strerror}")
    if as_json:
        print_json(document)
    else:
        show(document, NAMED_FIGURES, out)
    if document.problems:
        told = [f"{problem.target}, {problem.what}: {problem.reason}" for problem in document.problems]
        fail("\n".join(["not everything could be measured", *told]), EXIT_FAILED)


def _split(given: list[str] | None) -> tuple[str, ...]:
    return tuple(name for each in given or [] for name in each.split(",") if name)


def _say(line: str) -> None:
    err.print(f"[dim]{escape(line)}[/]")
