"""`foreword edit --apply --check … --repair`: the edit on disk, what the user's check says of it, and one more turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.endpoints.faults import EngineRequestError
from lsp.edits.applying import FileChange
from lsp.edits.checking import Checked, argv_of, check
from lsp.edits.on_disk import NotWritten, OnDisk, write_all
from lsp.edits.reading import CannotEdit
from lsp.edits.repairing import Failure, over, repaired
from lsp.edits.running import Outcome
from lsp.links.engines import Engine
from lsp.settings import Settings
from lsp.terminal import EXIT_USAGE, fail


class Attempt(msgspec.Struct, frozen=True):
    outcome: Outcome
    """Of the last turn whose changes stand."""
    changes: Sequence[FileChange]
    """From what was there before the first one."""
    written: bool = False
    checks: tuple[Checked, ...] = ()
    repaired: bool = False
    no_repair: str = ""
    """Why there was none, where one was asked for and needed."""


def with_check(settings: Settings, line: str) -> Settings:
    """The command of the command line comes before that of a file of settings."""
    if not line:
        return settings
    try:
        argv = argv_of(line)
    except ValueError as wrong:
        fail(f"--check cannot be split into arguments: {wrong}", EXIT_USAGE)
    edit = msgspec.structs.replace(settings.edit, check=argv)
    return msgspec.structs.replace(settings, edit=edit)


async def attempted(
    outcome: Outcome, root: Path, engine: Engine, settings: Settings, *, repair: bool
) -> Attempt:
    """Writes the edit, checks it, and has it written anew where that failed and was asked for. Raises NotWritten where
    nothing was changed."""
    assert outcome.applied is not None
    changes = outcome.applied.changes
    write_all(root, changes)
    edit = settings.edit
    if not edit.check:
        return Attempt(outcome, changes, True)
    first = await check(edit.check, root, edit.check_s)
    if first.passed or not repair:
        return Attempt(outcome, changes, True, (first,))
    failure = Failure((), f"{first.command}: {first.told}", first.tail)
    try:
        again = await repaired(outcome, failure, OnDisk(root), engine, lambda step, event: None)
        if again.applied is None:
            return Attempt(outcome, changes, True, (first,), no_repair=again.why)
        write_all(root, again.applied.changes)
    except (CannotEdit, EngineRequestError, NotWritten) as refused:
        return Attempt(outcome, changes, True, (first,), no_repair=str(refused))
    second = await check(edit.check, root, edit.check_s)
    return Attempt(again, over(changes, again.applied.changes), True, (first, second), repaired=True)
