"""Suggestions that a client can be given without asking the model: what was typed continues an earlier
one."""

from __future__ import annotations

import msgspec

from lsp.documents import Snapshot


class Suggestion(msgspec.Struct, frozen=True):
    """A suggestion and the text that it was made for."""

    before: str
    after: str
    text: str
    replaced: int


def remembered(snapshot: Snapshot, offset: int, text: str, replaced: int) -> Suggestion:
    return Suggestion(snapshot.text[:offset], snapshot.text[offset:], text, replaced)


def rest_of(suggestion: Suggestion, snapshot: Snapshot, offset: int) -> Suggestion | None:
    """What is left of `suggestion` when all that changed since is that its beginning was typed; else None."""
    before, after = snapshot.text[:offset], snapshot.text[offset:]
    if after != suggestion.after or not before.startswith(suggestion.before):
        return None
    typed = before[len(suggestion.before) :]
    left = suggestion.text[len(typed) :]
    if not suggestion.text.startswith(typed) or not left.strip():
        return None
    return Suggestion(before, after, left, suggestion.replaced)


class Selected(msgspec.Struct, frozen=True):
    """The document as if the item selected in the client's suggestion list had been accepted."""

    snapshot: Snapshot
    offset: int
    start: int
    """Where the item's text begins, in both documents."""


def accepted(snapshot: Snapshot, offset: int, start: int, end: int, text: str) -> Selected | str:
    """The selected item (it replaces `start` to `end` by `text`) put in, or why a completion cannot extend
    it."""
    if not start <= offset <= end:
        return "the selected item is not at the cursor"
    if "\n" in snapshot.text[start:end]:
        return "the selected item reaches over a line's end"
    changed = snapshot.text[:start] + text + snapshot.text[end:]
    return Selected(msgspec.structs.replace(snapshot, text=changed), start + len(text), start)
