"""All changes of an edit as one `WorkspaceEdit`: versions, operations on files and questions to the user where the
client knows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from lsprotocol import types

from lsp.documents import Encoding, units
from lsp.edits.applying import FileChange
from lsp.edits.lines import split

ANNOTATION = "foreword"

Operation = types.TextDocumentEdit | types.CreateFile | types.RenameFile | types.DeleteFile


class Client(msgspec.Struct, frozen=True):
    """What a client can do with a `WorkspaceEdit`."""

    encoding: Encoding = "utf-16"
    versions: bool = False
    """`documentChanges`."""
    create: bool = False
    rename: bool = False
    delete: bool = False
    confirms: bool = False
    """`changeAnnotationSupport`."""
    whole: bool = False
    """Whether it takes back what it did when a part fails."""


class Transaction(msgspec.Struct, frozen=True):
    edit: types.WorkspaceEdit
    asks: bool
    """Whether the user is to confirm it."""
    notes: tuple[str, ...] = ()
    """What the client cannot promise."""


class NoTransaction(Exception):
    """The client cannot do this; the message says what and what to do."""


def client_of(capabilities: types.ClientCapabilities, encoding: Encoding) -> Client:
    workspace = capabilities.workspace
    can = workspace.workspace_edit if workspace is not None else None
    if can is None:
        return Client(encoding)
    operations = set(can.resource_operations or ())
    kinds = types.ResourceOperationKind
    return Client(
        encoding,
        bool(can.document_changes),
        kinds.Create in operations,
        kinds.Rename in operations,
        kinds.Delete in operations,
        bool(can.document_changes) and can.change_annotation_support is not None,
        can.failure_handling in (types.FailureHandlingKind.Transactional, types.FailureHandlingKind.Undo),
    )


def transaction(
    changes: Sequence[FileChange], uri_of: Callable[[str], str], client: Client, label: str
) -> Transaction:
    """`uri_of` gives the URI of a path that no document is open for. Raises NoTransaction."""
    _check(changes, client)
    plain = len(changes) == 1 and _is_plain(changes[0])
    asks = client.confirms and not plain
    notes: list[str] = []
    if not plain and not client.confirms:
        notes.append(
            "this editor does not ask before it changes several files, or a place that may not be meant"
        )
    if len(changes) > 1 and not client.whole:
        notes.append("this editor does not promise to take back what it did when a part fails")
    if not client.versions:
        notes.append(
            "this editor takes edits without versions, so it cannot refuse them for documents that moved on"
        )
        edits = {_uri(change, uri_of): text_edits(change, client.encoding) for change in changes}
        return Transaction(types.WorkspaceEdit(changes=edits), False, tuple(notes))
    mark = ANNOTATION if asks else None
    order = sorted(changes, key=lambda change: (_rank(change), change.path))
    done: list[Operation] = [
        operation for change in order for operation in _operations(change, uri_of, client.encoding, mark)
    ]
    annotations = {ANNOTATION: types.ChangeAnnotation(label, needs_confirmation=True)} if asks else None
    return Transaction(
        types.WorkspaceEdit(document_changes=done, change_annotations=annotations), asks, tuple(notes)
    )


def text_edits(change: FileChange, encoding: Encoding) -> list[types.TextEdit]:
    """From the text that was there to the one that comes of it: the lines that differ, and no others."""
    assert change.before is not None and change.after is not None
    old, new = split(change.before.text), split(change.after)
    old_lines = [line + end for line, end in zip(old.lines, old.ends, strict=True)]
    new_lines = [line + end for line, end in zip(new.lines, new.ends, strict=True)]
    count = len(old_lines)
    wanted = count + sum(len(edit.lines) - (edit.end - edit.start) for edit in change.edits)
    new_lines += [""] * (wanted - len(new_lines))  # a last line that is empty and has no end cannot be seen

    def position(line: int) -> types.Position:
        if line < count or old.ends_itself:
            return types.Position(line, 0)
        return types.Position(count - 1, units(old.lines[-1], encoding))

    return [
        types.TextEdit(types.Range(position(start), position(end)), "".join(new_lines[first:last]))
        for start, end, first, last in _different(change, old_lines, new_lines)
    ]


def _different(change: FileChange, old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int, int, int]]:
    """Runs of lines that differ, between them lines that do not: the edits, and lines whose end is another."""
    runs: list[tuple[int, int, int, int]] = []

    def add(start: int, end: int, first: int, last: int) -> None:
        if runs and runs[-1][1] == start and runs[-1][3] == first:
            start, _, first, _ = runs.pop()
        runs.append((start, end, first, last))

    at = there = 0
    for edit in [*change.edits, None]:
        until = edit.start if edit is not None else len(old)
        for _ in range(at, until):
            if old[at] != new[there]:
                add(at, at + 1, there, there + 1)
            at, there = at + 1, there + 1
        if edit is not None:
            if old[at : edit.end] != new[there : there + len(edit.lines)]:
                add(at, edit.end, there, there + len(edit.lines))
            at, there = edit.end, there + len(edit.lines)
    return runs


def _operations(
    change: FileChange, uri_of: Callable[[str], str], encoding: Encoding, mark: str | None
) -> list[Operation]:
    uri = _uri(change, uri_of)
    if change.after is None:
        return [types.DeleteFile(uri, annotation_id=mark)]
    start = types.Position(0, 0)
    if change.before is None:
        made = types.CreateFile(uri, options=types.CreateFileOptions(overwrite=False), annotation_id=mark)
        text = types.TextEdit(types.Range(start, start), change.after)
        return [made, _edit(uri, None, [text], mark)] if change.after else [made]
    found: list[Operation] = []
    if edits := text_edits(change, encoding):
        found.append(_edit(uri, change.before.version, edits, mark))
    if change.new_path != change.path:
        options = types.RenameFileOptions(overwrite=False)
        found.append(types.RenameFile(uri, uri_of(change.new_path), options=options, annotation_id=mark))
    return found


def _edit(
    uri: str, version: int | None, edits: Sequence[types.TextEdit], mark: str | None
) -> types.TextDocumentEdit:
    document = types.OptionalVersionedTextDocumentIdentifier(uri, version)
    if mark is None:
        return types.TextDocumentEdit(document, list(edits))
    return types.TextDocumentEdit(
        document, [types.AnnotatedTextEdit(mark, edit.range, edit.new_text) for edit in edits]
    )


def _uri(change: FileChange, uri_of: Callable[[str], str]) -> str:
    return change.before.uri if change.before is not None and change.before.uri else uri_of(change.path)


def _rank(change: FileChange) -> int:
    """Edits first, then files that are made, then new names, what goes last: nothing that fails late loses a text."""
    if change.after is None:
        return 3
    if change.before is None:
        return 1
    return 2 if change.new_path != change.path else 0


def _is_plain(change: FileChange) -> bool:
    """One document that is open and stays where it is, changed where it was meant for sure: one undo step takes it
    back."""
    if change.guessed:
        return False
    there = change.before is not None and change.before.version is not None
    return there and change.after is not None and change.path == change.new_path


def _check(changes: Sequence[FileChange], client: Client) -> None:
    wanted = {
        "create": any(change.before is None for change in changes),
        "delete": any(change.after is None for change in changes),
        "rename": any(change.path != change.new_path for change in changes),
    }
    able = {"create": client.create, "delete": client.delete, "rename": client.rename}
    missing = [
        name for name, is_wanted in wanted.items() if is_wanted and not (able[name] and client.versions)
    ]
    if missing:
        raise NoTransaction(
            f"this editor cannot {' or '.join(missing)} files by an edit of a server; nothing was changed. "
            "`foreword edit --apply` on the command line can"
        )
