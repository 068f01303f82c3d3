"""A commit as its author's editor saw it: files opened, hunks typed character by character, saves, pauses, other files
looked at. The same commit gives the same events, and an event knows nothing of those after it."""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec

from benchmarks.context.history import Change, Commit

KEY_S = 0.12
"""Between two keys of somebody who types 100 words a minute."""
THOUGHT_S = 0.6
"""Before one word in so many that somebody thinks about."""
THOUGHTS = 4
LINE_S = 0.8
"""After a new line was begun."""
HUNK_S = 3.0
"""Until the next place in the same file is found."""
FILE_S = 10.0
"""Until the next file is; and how long another one is looked at."""
COMMIT_S = 120.0
"""Between two commits: tests run, a message is written."""

LOOKS = 3
"""Before one visit in so many another file is looked at."""
HUNKS_OF_VISIT = 3
"""So many are typed before the next file of the commit has its turn."""
MOST_TYPED_LINES = 150
"""A longer hunk is pasted: nobody typed it where it stands now."""
LARGEST_TYPED_BYTES = 200_000
"""Of a file. A larger one is written by a tool."""

_KEYS = re.compile(r"\r?\n[ \t]*|.", re.DOTALL)
"""What one key brings: editors indent the line that they begin."""


class Opened(msgspec.Struct, frozen=True):
    """A file is shown, to be edited or only read."""

    path: str
    then_s: float = 0.0
    """The pause after it, as in all events."""


class Edited(msgspec.Struct, frozen=True):
    """Characters `start` to `end` of the document become `text`; the cursor stands behind it."""

    path: str
    start: int
    end: int
    text: str
    then_s: float = KEY_S
    typed: bool = True
    """False where something was removed or pasted."""


class Saved(msgspec.Struct, frozen=True):
    path: str
    then_s: float = 0.0


class Written(msgspec.Struct, frozen=True):
    """A tool, not the editor, writes a file or removes it."""

    path: str
    content: bytes | None
    then_s: float = 0.0


class Committed(msgspec.Struct, frozen=True):
    commit: Commit
    then_s: float = COMMIT_S


Event = Opened | Edited | Saved | Written | Committed


def replay(commit: Commit, others: Sequence[str] = ()) -> Iterator[Event]:
    """Its events in order; of `others`, paths that are there already, one is looked at now and then."""
    typed = [change for change in commit.changes if _is_typed(change)]
    for number, visit in enumerate(_visits([_Typing(change) for change in typed])):
        path = visit[0].path
        if others and _drawn(commit.message, path, number) % LOOKS == 0:
            yield Opened(others[_drawn(path, number, commit.message) % len(others)], FILE_S)
        yield Opened(path, FILE_S)
        for hunk in visit:
            yield from hunk.edits()
        yield Saved(path, HUNK_S)
    for change in commit.changes:
        if change not in typed:
            yield Written(change.path, change.new)
    yield Committed(commit)


def _is_typed(change: Change) -> bool:
    return change.new is not None and all(
        side is None or (len(side) <= LARGEST_TYPED_BYTES and is_text(side))
        for side in (change.old, change.new)
    )


def is_text(content: bytes) -> bool:
    """Whether an editor would show it."""
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _drawn(*of: object) -> int:
    return zlib.crc32(repr(of).encode())


# ---------------------------------------------------------------- places and keys


class _Hunk(msgspec.Struct):
    """One place of a file: `removed` gives way to `new` at `start` of the text as it was before the commit."""

    typing: _Typing
    start: int
    removed: str
    new: str

    @property
    def path(self) -> str:
        return self.typing.path

    def edits(self) -> Iterator[Edited]:
        at = self.start + self.typing.moved
        self.typing.moved += len(self.new) - len(self.removed)
        if self.removed:
            yield Edited(self.path, at, at + len(self.removed), "", LINE_S, typed=False)
        if not self.new:
            return
        if self.new.count("\n") > MOST_TYPED_LINES:
            yield Edited(self.path, at, at, self.new, HUNK_S, typed=False)
            return
        keys = _KEYS.findall(self.new)
        for number, key in enumerate(keys):
            following = keys[number + 1] if number + 1 < len(keys) else ""
            yield Edited(self.path, at, at, key, _pause_s(self.path, at, key, following))
            at += len(key)


class _Typing:
    """The places of one file from top to bottom, and by how much what was typed so far has moved what follows."""

    def __init__(self, change: Change) -> None:
        self.path = change.path
        self.moved = 0
        old, new = (change.old or b"").decode(), (change.new or b"").decode()
        self.hunks = [_Hunk(self, *place) for place in _places(old, new)]
        if not self.hunks:  # an empty file that is new
            self.hunks = [_Hunk(self, 0, "", "")]


def _visits(files: Sequence[_Typing]) -> Iterator[list[_Hunk]]:
    """A few hunks of one file, then of the next, and back, as somebody goes from code to its callers and tests."""
    of_files = [
        [file.hunks[at : at + HUNKS_OF_VISIT] for at in range(0, len(file.hunks), HUNKS_OF_VISIT)]
        for file in files
    ]
    for turn in zip_longest(*of_files):
        for visit in turn:
            if visit:
                yield visit


def _places(old: str, new: str) -> Iterator[tuple[int, str, str]]:
    """(start, removed, new) in the order of the text; applied to `old` they make `new`."""
    old_lines, new_lines = old.splitlines(keepends=True), new.splitlines(keepends=True)
    starts = [0]
    for line in old_lines:
        starts.append(starts[-1] + len(line))
    matcher = difflib.SequenceMatcher(None, old_lines, new_lines, autojunk=False)
    for kind, start, end, first, last in matcher.get_opcodes():
        if kind == "equal":
            continue
        if end - start == last - first:
            for line in range(end - start):
                found = _changed(starts[start + line], old_lines[start + line], new_lines[first + line], old)
                if found is not None:
                    yield found
        else:
            found = _changed(
                starts[start], "".join(old_lines[start:end]), "".join(new_lines[first:last]), old
            )
            if found is not None:
                yield found


def _changed(at: int, removed: str, new: str, old: str) -> tuple[int, str, str] | None:
    """Without what both begin and end with. Whole new lines are typed behind the line before them, as editors do it:
    else what follows would stand behind the cursor."""
    if removed == new:
        return None
    same = 0
    while same < min(len(removed), len(new)) and removed[same] == new[same]:
        same += 1
    at, removed, new = at + same, removed[same:], new[same:]
    same = 0
    while same < min(len(removed), len(new)) and removed[-1 - same] == new[-1 - same]:
        same += 1
    if same:
        removed, new = removed[:-same], new[:-same]
    if not removed and new.endswith("\n") and at > 0 and old[at - 1] == "\n" and "\r" not in new:
        return at - 1, "", "\n" + new[:-1]
    return at, removed, new


def _pause_s(path: str, at: int, key: str, following: str) -> float:
    if not following:
        return LINE_S
    if key[-1].isspace() and "\n" in key:
        return KEY_S if "\n" in following else LINE_S
    begins_word = (following.isalnum() or following == "_") and not (key.isalnum() or key == "_")
    return THOUGHT_S if begins_word and _drawn(path, at, key) % THOUGHTS == 0 else KEY_S
