"""An edit of a document that has moved on: put where its lines are now, if that is one place and still the same.

The lines that an edit replaces are looked for with lines around them, as few as make them the only ones of their kind
in the text that was sent. They have to be in the newer text just once, in the order in which they were; else nobody
can say what the edit would do there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import msgspec

from lsp.edits.applying import FileChange
from lsp.edits.files import SourceFile
from lsp.edits.lines import Edit, edited, joined, split
from lsp.edits.soundness import checked

LEAST_CONTEXT_LINES = 2
"""On each side: one alone may be a blank line, or a brace."""

MOST_CONTEXT_LINES = 60
"""On each side. Where so many do not tell a place from another, the file is made of copies."""


def rebased(change: FileChange, now: SourceFile) -> FileChange | str:
    """The same change of the document as it is now, or why there is none. For changes of files that are there."""
    if change.before is None or change.before.text == now.text:
        return msgspec.structs.replace(change, before=now if change.before is not None else None)
    if change.after is None:
        return f"{change.path} was changed since it was to be deleted"
    sent, current = split(change.before.text), split(now.text)
    finder = _Finder(sent.lines, current.lines)
    moved: list[Edit] = []
    for edit in change.edits:
        start = finder.place(edit)
        if start is None or (moved and start < moved[-1].end):
            lines = (
                f"line {edit.start + 1}"
                if edit.end - edit.start < 2
                else f"lines {edit.start + 1} to {edit.end}"
            )
            return f"{change.path} was changed around {lines}, where it was to be edited"
        moved.append(Edit(start, start + edit.end - edit.start, edit.lines))
    ended = split(change.after).ends_itself
    after = joined(edited(current, moved, None if ended == sent.ends_itself else ended))
    verdict = checked(change.new_path, now, after, moved)
    if verdict.error is not None:
        return f"{change.path} was changed, and {verdict.error}"
    return FileChange(change.path, change.new_path, now, after, tuple(moved), change.guessed)


class Stale(Exception):
    """Files have moved on where they were to be edited; nothing of the edit may be applied. The message says which."""


def all_rebased(
    changes: Sequence[FileChange], now: Callable[[str], SourceFile | None]
) -> tuple[FileChange, ...]:
    """All changes of the files as they are now; `now` gives None for a path where nothing is. Raises Stale where one
    of them has no place any more: then none is applied."""
    found: list[FileChange] = []
    reasons: list[str] = []
    for change in changes:
        moved: FileChange | str = change
        current = now(change.path)
        if change.before is None and current is not None:
            moved = f"{change.path} was created meanwhile"
        elif change.new_path != change.path and now(change.new_path) is not None:
            moved = f"{change.new_path} was created meanwhile"
        elif change.before is not None and current is None:
            moved = f"{change.path} is gone"
        elif current is not None:
            moved = rebased(change, current)
        if isinstance(moved, str):
            reasons.append(moved)
        else:
            found.append(moved)
    if reasons:
        raise Stale("; ".join(reasons))
    return tuple(found)


class _Finder:
    def __init__(self, sent: Sequence[str], current: Sequence[str]) -> None:
        self._sent, self._current = sent, current
        self._in_sent, self._in_current = _places(sent), _places(current)

    def place(self, edit: Edit) -> int | None:
        """The line of the newer text that the edit begins at; None where it cannot be told."""
        if self._has_new_copies(edit):
            return None
        for above, below in _contexts():
            start, end = max(0, edit.start - above), min(len(self._sent), edit.end + below)
            region = self._sent[start:end]
            if not region:
                return 0 if not self._current else None
            if self._count(self._sent, self._in_sent, region) > 1:
                if start == 0 and end == len(self._sent):
                    return None
                continue
            found = self._first_two(self._current, self._in_current, region)
            if found:  # there several times: more lines would only guess which of them it was
                return found[0] + edit.start - start if len(found) == 1 else None
        return None

    def _has_new_copies(self, edit: Edit) -> bool:
        """Whether what was there once, with a line on each side, is there several times now."""
        region = self._sent[max(0, edit.start - 1) : edit.end + 1]
        return (
            bool(region)
            and self._count(self._sent, self._in_sent, region) == 1
            and self._count(self._current, self._in_current, region) > 1
        )

    def _count(self, lines: Sequence[str], places: dict[str, list[int]], region: Sequence[str]) -> int:
        return len(self._first_two(lines, places, region))

    def _first_two(
        self, lines: Sequence[str], places: dict[str, list[int]], region: Sequence[str]
    ) -> list[int]:
        """Where the region begins, at most twice."""
        rarest = min(range(len(region)), key=lambda at: len(places.get(region[at], ())))
        found: list[int] = []
        for at in places.get(region[rarest], ()):
            start = at - rarest
            if start >= 0 and lines[start : start + len(region)] == region:
                found.append(start)
                if len(found) > 1:
                    break
        return found


def _contexts() -> Iterator[tuple[int, int]]:
    """How many lines above and below, the fewest first: a change on one side leaves those on the other."""
    for size in range(LEAST_CONTEXT_LINES, MOST_CONTEXT_LINES + 1):
        yield size, size
        if size > LEAST_CONTEXT_LINES:
            yield size, LEAST_CONTEXT_LINES
            yield LEAST_CONTEXT_LINES, size


def _places(lines: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for at, line in enumerate(lines):
        found[line].append(at)
    return dict(found)
