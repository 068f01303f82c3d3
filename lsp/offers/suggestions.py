"""A suggestion at its place, and what is left of it when some of it was typed."""

from __future__ import annotations

import msgspec

from lsp.documents import Snapshot, line_ending

CLOSER_OF = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'", "`": "`"}
"""What editors put behind the cursor when the first of a pair is typed."""

MAX_CLOSERS = 4
"""That an editor has put there at a time; nobody opens more brackets on the way through one suggestion."""


class Suggestion(msgspec.Struct, frozen=True):
    """A suggestion and the text that it was made for."""

    before: str
    after: str
    text: str
    replaced: int
    asked: bool = False
    """The engine was needed for it."""
    chance: float | None = None
    """That its first line is right, as the model sees it; None where that is not known."""

    def is_of(self, seen: Suggestion) -> bool:
        """Whether it leads to the same text as another one that was shown, of which something is left: more or less of
        it may be typed by now."""
        whole, other = self.before + self.text, seen.before + seen.text
        is_left = len(self.before) < len(other)
        return is_left and (whole.startswith(other) or other.startswith(whole))


def remembered(snapshot: Snapshot, offset: int, text: str, replaced: int) -> Suggestion:
    return Suggestion(snapshot.text[:offset], snapshot.text[offset:], text, replaced)


class Left(msgspec.Struct, frozen=True):
    """What is left of a text; it replaces `closers` characters behind the cursor that the editor put there."""

    text: str
    closers: int = 0


def plain(text: str) -> str:
    """With line breaks of one kind: in a file of mixed ones a typed break and a suggested one may differ."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def left_of(text: str, typed: str, closers: str = "") -> Left | None:
    """What is left of `text` when its beginning was typed and the editor closed what that opened; None when something
    else was typed, or when it would say nothing any more. All three texts are `plain`."""
    if not text.startswith(typed):
        return None
    left = text[len(typed) :]
    if not left.strip() or not are_closed(typed, closers) or not _in_order(closers, left):
        return None
    return Left(left, len(closers))


def are_closed(typed: str, closers: str) -> bool:
    """Whether `closers` close what `typed` opens: an editor puts nothing else behind the cursor by itself."""
    return _in_order(closers, _closing(typed))


def closers_between(now: str, then: str) -> str | None:
    """What editors put before the text after the cursor since it was `then`; None where it is another text."""
    put = now[: len(now) - len(then)] if len(now) >= len(then) else ""
    return put if are_closers(put) and now[len(put) :] == then else None


def typed_between(text: str, before: str, after: str) -> list[str]:
    """What may have been typed since a whole text was `before` and `after`, the cursor being between them: all that
    stands there, or that without what the editor put behind the cursor. Nothing where it changed elsewhere."""
    if len(text) < len(before) + len(after) or not text.startswith(before) or not text.endswith(after):
        return []
    between = plain(text[len(before) : len(text) - len(after)])
    ends = range(len(between), max(0, len(between) - MAX_CLOSERS) - 1, -1)
    return [between[:end] for end in ends if are_closers(between[end:])]


def are_closers(text: str) -> bool:
    return len(text) <= MAX_CLOSERS and all(mark in CLOSER_OF.values() for mark in text)


def like_lines_of(snapshot: Snapshot, text: str) -> str:
    """A `plain` text with the document's own line ends."""
    return text.replace("\n", line_ending(snapshot.text)) if "\n" in text else text


def _closing(typed: str) -> str:
    """What closes all that `typed` leaves open, the innermost first."""
    open_: list[str] = []
    for mark in typed:
        if open_ and mark == open_[-1]:
            open_.pop()
        elif mark in CLOSER_OF and (not open_ or open_[-1] not in "\"'`"):
            open_.append(CLOSER_OF[mark])
    return "".join(reversed(open_))


def _in_order(marks: str, text: str) -> bool:
    """Whether these characters stand in `text` in this order."""
    rest = iter(text)
    return all(mark in rest for mark in marks)


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
