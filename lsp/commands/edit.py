"""`foreword edit`: an instruction becomes a unified diff, or with `--apply` changed files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from engine.editing.blocks import Begun, Event, Growing
from engine.endpoints.edit_route import EditScope
from indexer.client import IndexClient
from lsp.commands.cursor import EXPECTED, engine_of
from lsp.commands.repository import open_root
from lsp.edits.diffs import unified
from lsp.edits.on_disk import NotWritten, OnDisk, write_all
from lsp.edits.reading import CannotEdit
from lsp.edits.running import Outcome, run
from lsp.edits.searching import likeliest
from lsp.edits.task import Task
from lsp.links.engines import Engine
from lsp.links.roles import EditEngines
from lsp.settings import EngineSettings, Settings, read_settings
from lsp.terminal import EXIT_EMPTY, Report, err, fail, out, print_json, progress, root_of
from lsp.terminal import run as run_command


def run_edit(
    instruction: str,
    files: Sequence[Path],
    *,
    apply: bool,
    model: str | None,
    url: str | None,
    key: str,
    settings_file: Path | None,
    as_json: bool,
) -> None:
    root = root_of(files[0]) if files else root_of(Path.cwd() / "x")
    paths = [_below(root, file) for file in files]
    settings = settings_of(settings_file, model, url, key)

    async def write() -> Outcome:
        async with AsyncExitStack() as held:
            with progress(not as_json) as report:
                engine = await editor_of(settings, len(paths), report, held)
                client, _ = await open_root(root, report)
                held.push_async_callback(client.close)
            return await _asked(instruction, paths, root, engine, client, settings, shown=not as_json)

    outcome = run_command(write(), (*EXPECTED, CannotEdit))
    if outcome.applied is not None and apply:
        try:
            write_all(root, outcome.applied.changes)
        except NotWritten as failed:
            fail(str(failed))
    _tell(outcome, applied=apply, as_json=as_json)


def _tell(outcome: Outcome, *, applied: bool, as_json: bool) -> None:
    diff = unified(outcome.applied.changes) if outcome.applied else ""
    for note in outcome.notes:
        err.print(f"[yellow]{escape(note)}[/]")
    if as_json:
        print_json(_document(outcome, diff, applied=applied))
    elif diff:
        out.print(Text(diff), end="")
        figures = outcome.figures
        done = "written" if applied else "not written: --apply does that"
        told = f"{figures.model}, {figures.total_s:.1f} s, {figures.prompt_tokens:,} tokens read"
        err.print(f"[dim]{told}; what is changed parses; {done}[/]")
    if not diff:
        fail(outcome.why or "nothing would change", EXIT_EMPTY)


def _document(outcome: Outcome, diff: str, *, applied: bool) -> dict[str, Any]:
    changes = outcome.applied.changes if outcome.applied else ()
    return {
        "diff": diff,
        "applied": applied and bool(changes),
        "files": [
            {
                "path": each.path,
                "new_path": each.new_path,
                "created": each.before is None,
                "deleted": each.after is None,
            }
            for each in changes
        ],
        "refusals": [{"path": each.path, "reason": each.reason} for each in outcome.refusals],
        "notes": list(outcome.notes),
        "figures": msgspec.to_builtins(outcome.figures),
    }


async def _asked(
    instruction: str,
    paths: list[str],
    root: Path,
    engine: Engine,
    client: IndexClient,
    settings: Settings,
    *,
    shown: bool,
) -> Outcome:
    """With the block under way on stderr while it is written, where that is a terminal."""
    task = Task(instruction=instruction, paths=paths, whole_files=True)
    task = await likeliest(task, str(root), client, engine)
    with Live(console=err, auto_refresh=False, transient=True, screen=False) as live:
        under_way = ""

        def tell(event: Event) -> None:
            nonlocal under_way
            if isinstance(event, Begun):
                under_way = f"{event.kind} {event.path}"
            lines = f", {event.lines} lines" if isinstance(event, Growing) else ""
            if shown and err.is_terminal:
                live.update(Text(f"{under_way}{lines}", style="green"), refresh=True)

        return await run(task, OnDisk(root), engine, client, tell, budget_tokens=settings.budget_tokens)


async def editor_of(settings: Settings, files: int, report: Report, held: AsyncExitStack) -> Engine:
    """Who writes edits by the settings, which may be another than who writes completions."""
    edits = EditEngines(settings, lambda engine: None)
    scope = EditScope(max(1, files), 0, 0)
    editor = await edits.editor(scope, None)
    if editor is None:
        engine = await engine_of(settings, report)
        held.push_async_callback(engine.endpoint.close)
        return engine
    for made in edits.take_all():
        held.push_async_callback(made.endpoint.close)
    return editor.engine


def settings_of(file: Path | None, model: str | None, url: str | None, key: str) -> Settings:
    if url:
        return Settings(engine=EngineSettings(kind="openai", url=url, key=key, model=model or ""))
    if file is None:
        return Settings(model=model or "auto")
    try:
        read = read_settings(msgspec.json.decode(file.read_bytes()))
    except (OSError, msgspec.DecodeError) as failed:
        fail(f"the settings in {file} cannot be read: {failed}")
    for complaint in read.complaints:
        err.print(f"[yellow]{escape(complaint)}[/]")
    return read.settings


def _below(root: Path, file: Path) -> str:
    if not file.is_relative_to(root):
        fail(f"{file} is not below {root}, where the first file's repository is")
    if not file.is_file():
        fail(f"{file} is no file; what is to be made says the instruction")
    return file.relative_to(root).as_posix()
