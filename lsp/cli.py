"""The `foreword` command: every subcommand's arguments and help; the work is done in `lsp/commands/`.

Heavy modules are imported inside the commands, so that `foreword lsp` starts in a fraction of a second.
"""

from __future__ import annotations

from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from lsp.commands.bench import app as bench_app
from lsp.terminal import absolute, parse_place

app = typer.Typer(
    name="foreword",
    help="Code completion that has read your repository.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing to show.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
engine_app = typer.Typer(
    help="The engine host: the model that every editor of this user shares.", no_args_is_help=True
)
app.add_typer(engine_app, name="engine")
app.add_typer(bench_app, name="bench")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
Model = Annotated[
    str | None,
    typer.Option(help="Model by full or short name; without it the machine's memory and devices decide."),
]
Window = Annotated[
    int,
    typer.Option(
        min=0, help="Tokens that the model reads at most; 0 is its own window. More than that is YaRN."
    ),
]
Where = Annotated[
    str, typer.Argument(metavar="FILE:LINE:COL", help="The cursor, counted from 1, COL in characters.")
]
Folder = Annotated[Path, typer.Argument(help="The repository.", exists=True, file_okay=False)]
Budget = Annotated[
    int | None,
    typer.Option(min=0, help="Tokens of repository context; without it what a completion here would take."),
]


SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        envvar="FOREWORD_SETTINGS",
        help="A JSON file with the settings of an editor: the endpoints in it are looked at too.",
        dir_okay=False,
    ),
]


class GroupedBy(StrEnum):
    LANGUAGE = "language"
    MODEL = "model"
    DAY = "day"
    KIND = "kind"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"foreword {version('foreword')}")
        raise typer.Exit


@app.callback()
def foreword(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    pass


@app.command("lsp")
def language_server() -> None:
    """The language server on stdio, for an editor to start."""
    from lsp.server import run

    raise typer.Exit(run())


@app.command()
def index(
    folder: Annotated[Path | None, typer.Argument(help="The repository.", show_default=".")] = None,
    vectors: Annotated[bool, typer.Option(help="Also wait until every chunk has its vector.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove what is stored of this folder instead; see --all.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="With --forget: of every folder.")] = False,
    as_json: Json = False,
) -> None:
    """Index a repository now and print what was found, or forget it."""
    from lsp.commands.repository import run_forget, run_index

    if everything and (folder is not None or not forget):
        raise typer.BadParameter("--all goes with --forget and without a folder")
    root = absolute(folder or Path())
    if forget:
        run_forget(None if everything else root, as_json=as_json)
        return
    if not root.is_dir():
        raise typer.BadParameter(f"{root} is no folder")
    run_index(root, wait_vectors=vectors, as_json=as_json)


@app.command()
def search(
    query: str,
    folder: Annotated[
        Path, typer.Option("--dir", help="The repository.", exists=True, file_okay=False)
    ] = Path(),
    limit: Annotated[int, typer.Option(min=1, max=100)] = 10,
    as_json: Json = False,
) -> None:
    """Search a repository by words, symbols and meaning."""
    from lsp.commands.repository import run_search

    run_search(query, absolute(folder), limit=limit, as_json=as_json)


@app.command()
def context(
    where: Where,
    budget: Budget = None,
    model: Model = None,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write a page that shows the window in proportion, each part opening to its text; - is stdout.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """What the model would read before it writes at this cursor, why each part is there, and whether the engine
    has it cached. Starts no engine."""
    from lsp.commands.context import run_context

    if as_json and html == "-":
        raise typer.BadParameter("--json and --html - would both write to stdout; name a file for the page")
    run_context(parse_place(where), budget=budget, model=model, as_json=as_json, html=html)


@app.command()
def complete(
    where: Where,
    no_context: Annotated[
        bool, typer.Option("--no-context", help="Read nothing but the file itself.")
    ] = False,
    prompt_tokens: Annotated[
        int | None, typer.Option(min=256, help="Tokens of the whole prompt; without it the engine decides.")
    ] = None,
    model: Model = None,
    url: Annotated[
        str | None, typer.Option(help="An OpenAI-compatible server instead of the embedded engine.")
    ] = None,
    key: Annotated[str, typer.Option(envvar="FOREWORD_API_KEY", help="Its key.")] = "",
    as_json: Json = False,
) -> None:
    """One completion at this cursor, streamed as it is written."""
    from lsp.commands.cursor import run_complete

    run_complete(
        parse_place(where),
        with_context=not no_context,
        prompt_tokens=prompt_tokens,
        model=model,
        url=url,
        key=key,
        as_json=as_json,
    )


@app.command()
def stats(
    days: Annotated[int, typer.Option(min=1, help="So many, today included.")] = 28,
    by: Annotated[GroupedBy, typer.Option(help="What rows are told apart by.")] = GroupedBy.LANGUAGE,
    forget: Annotated[bool, typer.Option("--forget", help="Remove all that was counted instead.")] = False,
    as_json: Json = False,
) -> None:
    """What became of suggestions: shown, accepted, kept. Counted on this machine, sent nowhere, without any text."""
    from lsp.commands.stats import run_forget, run_stats

    if forget:
        run_forget(as_json=as_json)
    else:
        run_stats(days, by.value, as_json=as_json)


@app.command()
def mcp(
    folders: Annotated[
        list[Path] | None,
        typer.Option(
            "--dir",
            help="A repository that may be asked about; may be given several times. Without it, this folder.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
) -> None:
    """The index for agents: a server of the Model Context Protocol on stdio, for an agent to start."""
    from lsp.commands.mcp import run_mcp

    run_mcp(folders or [])


@app.command()
def edit(
    instruction: Annotated[
        str, typer.Option("--message", "-m", metavar="TEXT", help="What is to be changed, in your own words.")
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE …]", help="Files that may be changed; without one, search finds them."),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the changes, all or none, besides printing them.")
    ] = False,
    part: Annotated[
        bool,
        typer.Option(
            "--part", help="With --apply: write them also where another file of the plan has failed."
        ),
    ] = False,
    check: Annotated[
        str,
        typer.Option(
            metavar="COMMAND", help="With --apply: run this afterwards, in the repository and by no shell."
        ),
    ] = "",
    repair: Annotated[
        bool, typer.Option("--repair", help="Where the check fails, have the edit written anew, once.")
    ] = False,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Print which files would be changed, and stop there.")
    ] = False,
    no_plan: Annotated[
        bool, typer.Option("--no-plan", help="Ask for all files at once, without a plan of them.")
    ] = False,
    model: Model = None,
    url: Annotated[
        str | None, typer.Option(help="An OpenAI-compatible server instead of the embedded engine.")
    ] = None,
    key: Annotated[str, typer.Option(envvar="FOREWORD_API_KEY", help="Its key.")] = "",
    settings: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """An edit of files by an instruction, as a unified diff. What does not parse or fit is refused, with the reason."""
    from lsp.commands.edit import run_edit

    if not instruction.strip():
        raise typer.BadParameter("the instruction is empty", param_hint="-m")
    if (check or repair) and not apply:
        raise typer.BadParameter("what is not written cannot be checked; add --apply", param_hint="--check")
    run_edit(
        instruction,
        [absolute(file) for file in files or ()],
        apply=apply,
        part=part,
        plan_only=plan_only,
        plan=False if no_plan else None,
        model=model,
        url=url,
        key=key,
        settings_file=settings,
        as_json=as_json,
        check_line=check,
        repair=repair,
    )


@app.command()
def doctor(settings: SettingsFile = None, as_json: Json = False) -> None:
    """What is wrong with this machine or set-up, and the remedy."""
    from lsp.commands.doctor import run_doctor

    run_doctor(settings, as_json=as_json)


@engine_app.command("start")
def engine_start(model: Model = None, window: Window = 0, as_json: Json = False) -> None:
    """Start the engine host, if it is not running, and wait until it answers."""
    from lsp.commands.engine import run_start

    run_start(model, window, as_json=as_json)


@engine_app.command("stop")
def engine_stop(model: Model = None, as_json: Json = False) -> None:
    """Let running requests finish and end the host; without --model, every host of this user."""
    from lsp.commands.engine import run_stop

    run_stop(model, as_json=as_json)


@engine_app.command("status")
def engine_status(settings: SettingsFile = None, as_json: Json = False) -> None:
    """Model and why it was chosen, device, memory, cache hit rate, requests."""
    from lsp.commands.engine import run_status

    run_status(settings, as_json=as_json)


def main() -> None:
    """The console script. What stdout does not take, a full disk or a closed pipe, ends it with status 1."""
    import errno
    import os
    import sys

    try:
        try:
            app()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
        if error.filename is not None or error.errno not in (errno.EPIPE, *full):
            raise
        if error.errno != errno.EPIPE:
            print(f"foreword: the output could not be written: {error.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more on its way out
        raise SystemExit(1) from None
