"""`foreword edit`: an instruction becomes a unified diff, or with `--apply` changed files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from engine.endpoints.edit_route import EditScope
from indexer.client import IndexClient
from lsp.commands.cursor import EXPECTED, engine_of
from lsp.commands.edit_checked import Attempt, attempted, with_check
from lsp.commands.edit_plan import PlanShown, plan_line, tell_plan
from lsp.commands.repository import open_root
from lsp.edits.candidates import Candidates
from lsp.edits.diffs import unified
from lsp.edits.on_disk import NotWritten, OnDisk
from lsp.edits.planning import Ground, Made
from lsp.edits.reading import CannotEdit
from lsp.edits.running import Outcome, run
from lsp.edits.searching import likeliest
from lsp.edits.spanning import kept, made_plan, spanning, spread
from lsp.edits.task import Task, WhenPlanned
from lsp.links.engines import Engine
from lsp.links.roles import EditEngines
from lsp.settings import EngineSettings, Settings, read_settings
from lsp.terminal import (
    EXIT_EMPTY,
    EXIT_FAILED,
    EXIT_USAGE,
    Report,
    err,
    fail,
    out,
    print_json,
    progress,
    root_of,
)
from lsp.terminal import run as run_command


def run_edit(
    instruction: str,
    files: Sequence[Path],
    *,
    apply: bool,
    part: bool,
    plan_only: bool,
    plan: bool | None,
    model: str | None,
    url: str | None,
    key: str,
    settings_file: Path | None,
    as_json: bool,
    check_line: str = "",
    repair: bool = False,
) -> None:
    """`part`: what there is of an edit is written also where a file of its plan has failed; `plan`: whether it is
    planned first, None where several files may change."""
    root = root_of(files[0]) if files else root_of(Path.cwd() / "x")
    paths = [_below(root, file) for file in files]
    settings = with_check(settings_of(settings_file, model, url, key), check_line)
    if repair and not settings.edit.check:
        fail("--repair needs a check that can fail: --check, or edit.check in --settings", EXIT_USAGE)

    when: WhenPlanned = "always" if plan or plan_only else "where several" if plan is None else "no"
    task = Task(instruction=instruction, paths=paths, whole_files=True, plan=when)

    async def write() -> Attempt | tuple[Ground, Made]:
        async with AsyncExitStack() as held:
            with progress(not as_json) as report:
                client, _ = await open_root(root, report)
                held.push_async_callback(client.close)
                found = await spread(task, OnDisk(root), client)
                files = len(found.files) if found is not None else len(paths)
                engine = await editor_of(settings, files, report, held)
            found = kept(task, found, engine)
            outcome = await _asked(
                task, found, root, engine, client, settings, plan_only=plan_only, shown=not as_json
            )
            if not isinstance(outcome, Outcome):
                return outcome
            if outcome.applied is None or not apply or (outcome.missing and not part):
                return Attempt(outcome, outcome.applied.changes if outcome.applied else ())
            return await attempted(outcome, root, engine, settings, repair=repair)

    attempt = run_command(write(), (*EXPECTED, CannotEdit, NotWritten))
    if not isinstance(attempt, Attempt):
        tell_plan(*attempt, as_json=as_json)
        return
    outcome = attempt.outcome
    _tell(attempt, as_json=as_json)
    if outcome.missing and not attempt.written:
        fail(f"a part of the plan failed; nothing is written{' without --part' if apply else ''}", EXIT_EMPTY)
    if attempt.checks and not attempt.checks[-1].passed:
        raise typer.Exit(EXIT_FAILED)


def _tell(attempt: Attempt, *, as_json: bool) -> None:
    outcome, applied = attempt.outcome, attempt.written
    for missing in outcome.missing:
        err.print(f"[red]missing: {escape(missing)}[/]")
    diff = unified(attempt.changes)
    for note in outcome.notes:
        err.print(f"[yellow]{escape(note)}[/]")
    for number, each in enumerate(attempt.checks):
        after = ", after the repair" if number else ""
        err.print(
            f"[{'green' if each.passed else 'red'}]{escape(each.command)}: {escape(each.claim)}[/]{after}"
        )
        if not each.passed and each.tail:
            err.print(Text(each.tail, style="dim"))
    if attempt.no_repair:
        err.print(f"[yellow]no repair: {escape(attempt.no_repair)}[/]")
    if as_json:
        print_json(_document(attempt, diff, applied=applied))
    elif diff:
        out.print(Text(diff), end="")
        figures = outcome.figures
        done = (
            "written" if applied else f"not written: --apply {'--part ' if outcome.missing else ''}does that"
        )
        told = f"{figures.model}, {figures.total_s:.1f} s, {figures.prompt_tokens:,} tokens read"
        err.print(f"[dim]{told}; what is changed parses; {done}[/]")
    if not diff and not attempt.checks:
        fail(outcome.why or "nothing would change", EXIT_EMPTY)


def _document(attempt: Attempt, diff: str, *, applied: bool) -> dict[str, Any]:
    outcome, changes = attempt.outcome, attempt.changes
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
        "plan": [plan_line(each) for each in outcome.steps],
        "missing": list(outcome.missing),
        "checks": [msgspec.to_builtins(each) for each in attempt.checks],
        "repaired": attempt.repaired,
        "no_repair": attempt.no_repair,
        "figures": msgspec.to_builtins(outcome.figures),
    }


async def _asked(
    task: Task,
    found: Candidates | None,
    root: Path,
    engine: Engine,
    client: IndexClient,
    settings: Settings,
    *,
    plan_only: bool,
    shown: bool,
) -> Outcome | tuple[Ground, Made]:
    """With the block under way on stderr while it is written, where that is a terminal, and the plan in any case."""
    place, budget = OnDisk(root), settings.budget_tokens
    with Live(console=err, auto_refresh=False, transient=True, screen=False) as live:
        watch = PlanShown(live, shown=shown, plan_only=plan_only)
        if found is not None and plan_only:
            return await made_plan(task, found, place, engine, client, watch, budget_tokens=budget)
        if found is not None:
            return await spanning(task, found, place, engine, client, watch, budget_tokens=budget)
        task = await likeliest(task, str(root), client, engine)
        return await run(
            task, place, engine, client, lambda event: watch.event(0, event), budget_tokens=budget
        )


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
