"""Puts an edit into the client's documents as one transaction, and looks at what has come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from lsp.edits.applying import FileChange
from lsp.edits.compared import Compared, compared
from lsp.edits.files import SourceFile
from lsp.edits.files import read as read_file
from lsp.edits.open_files import OpenFiles
from lsp.edits.reading import CannotEdit
from lsp.edits.rebase import rebased
from lsp.edits.transaction import NoTransaction, Transaction, client_of, transaction

if TYPE_CHECKING:
    from lsp.session import ForewordServer

SETTLED_S = 2.0
"""A client tells of changed documents before or soon after it answers: Neovim gathers them for 0.15 s."""

LOOK_AGAIN_S = 0.05

DECLINED = "declined"
"""The `failureReason` of our own editors where the user wants none of it: nobody has to be told."""


async def ready(
    server: ForewordServer, changes: Sequence[FileChange], root: Path, label: str
) -> tuple[Transaction, list[FileChange]]:
    """The transaction of the documents as they are now, and what it changes. Raises CannotEdit where one has changed
    too much, or the client cannot do it."""
    current: list[FileChange] = []
    place = OpenFiles(root, server.documents)
    for change in changes:
        if (change.before is None or change.path != change.new_path) and await place.is_there(
            change.new_path
        ):
            # clients that may not overwrite it put the text before the one that is there
            raise CannotEdit(f"{change.new_path} was created meanwhile; nothing is changed")
        if change.before is None:
            current.append(change)
            continue
        now = await place.read(change.path)
        if isinstance(now, str):
            raise CannotEdit(now)
        moved = await asyncio.to_thread(rebased, change, now)
        if isinstance(moved, str):
            raise CannotEdit(moved)
        current.append(moved)
    client = client_of(server.client_capabilities, server.documents.encoding)
    try:
        return transaction(current, lambda path: (root / path).as_uri(), client, label), current
    except NoTransaction as cannot:
        raise CannotEdit(str(cannot)) from cannot


async def put(
    server: ForewordServer, edit: Transaction, changes: Sequence[FileChange], root: Path, label: str
) -> Compared:
    """What has come of it: clients answer `applied` also where the user declined. Raises CannotEdit where the client
    refuses it."""
    parameters = types.ApplyWorkspaceEditParams(edit=edit.edit, label=label)
    try:
        answer = await server.workspace_apply_edit_async(parameters)
    except JsonRpcException as failed:
        raise CannotEdit(f"the editor did not take the edit: {failed}") from failed
    if not answer.applied and answer.failure_reason == DECLINED:
        return Compared("declined", tuple((each.path, "declined") for each in changes))
    if not answer.applied:
        raise CannotEdit(
            f"the editor did not apply the edit{f': {answer.failure_reason}' if answer.failure_reason else ''}"
        )
    result = await asyncio.to_thread(_compared, server, changes, root)
    for _ in range(int(SETTLED_S / LOOK_AGAIN_S)):
        if result.state == "applied":
            break
        await asyncio.sleep(LOOK_AGAIN_S)
        result = await asyncio.to_thread(_compared, server, changes, root)
    return result


def _compared(server: ForewordServer, changes: Sequence[FileChange], root: Path) -> Compared:
    def now(path: str) -> str | None:
        snapshot = server.documents.get((root / path).as_uri())
        if snapshot is not None:
            return snapshot.text
        stored = read_file(root, path)
        return stored.text if isinstance(stored, SourceFile) else None

    return compared(changes, now)
