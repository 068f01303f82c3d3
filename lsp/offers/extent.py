"""How many lines a completion may have, beside what the syntax at its place allows: one behind an item that is
selected in the client's list, and one where a longer suggestion was just passed over."""

from __future__ import annotations

import msgspec

from lsp.documents import Snapshot
from lsp.offers.suggestions import Suggestion
from lsp.trimming.blocks import opens_block


def passed_over(suggestion: Suggestion, snapshot: Snapshot, offset: int) -> str | None:
    """The text above the line on which a suggestion of several lines was offered, where something else was typed
    on that line since; None when that is not what has happened."""
    before = snapshot.text[:offset]
    if "\n" not in suggestion.text or not before.startswith(suggestion.before):
        return None
    typed = before[len(suggestion.before) :]
    if "\n" in typed or suggestion.text.startswith(typed):
        return None
    return _above(suggestion.before)


def most_lines(wanted: int, above: str | None, snapshot: Snapshot, offset: int, *, selected: bool) -> int:
    """The longest completion at this place, of at most `wanted` lines. `above` is what `passed_over` said last:
    it counts as long as the cursor is on that line, and until the line opens a block of its own."""
    if selected:
        return 1
    before = snapshot.text[:offset]
    passed = above is not None and _above(before) == above
    return 1 if passed and not opens_block(before[len(_above(before)) :]) else wanted


def within(suggestion: Suggestion, lines: int) -> Suggestion | None:
    """The suggestion cut to so many lines; None when they are blank."""
    text = "\n".join(suggestion.text.split("\n")[:lines]).rstrip("\r")
    return msgspec.structs.replace(suggestion, text=text) if text.strip() else None


def _above(before: str) -> str:
    return before[: before.rfind("\n") + 1]
