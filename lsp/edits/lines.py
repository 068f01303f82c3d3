"""Texts as lines with their ends, as the protocol counts them (LSP 3.17, "Text Documents")."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

import msgspec

SURE_PAIRS = 1_000_000
"""Of elements that are compared with each other: a second at worst. Beyond that, frequent ones align nothing."""

MOST_PAIRS = 100_000_000
"""Beyond that all between the first difference and the last one counts as one."""

_LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
_SPACE = re.compile(r"\s+")


class Text(msgspec.Struct, frozen=True):
    """Each line has its end in `ends`; the last one's is empty where the text has no final line end."""

    lines: tuple[str, ...]
    ends: tuple[str, ...]

    @property
    def ends_itself(self) -> bool:
        """Whether there is a final line end, or nothing at all."""
        return not self.ends or bool(self.ends[-1])


class Edit(msgspec.Struct, frozen=True):
    """Lines `start` to `end` (from 0, without the last) of a text are replaced by `lines`."""

    start: int
    end: int
    lines: tuple[str, ...]


def split(text: str) -> Text:
    found = _LINE.findall(text)
    if found and found[-1] == ("", ""):  # at the very end, behind the last line end
        found.pop()
    return Text(tuple(line for line, _ in found), tuple(end for _, end in found))


def joined(text: Text) -> str:
    return "".join(line + end for line, end in zip(text.lines, text.ends, strict=True))


def bare(line: str) -> str:
    """A line without any white space: what two lines have in common that differ in that alone."""
    return _SPACE.sub("", line)


def indent_of(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def edited(text: Text, edits: Iterable[Edit], final_newline: bool | None = None) -> Text:
    """The text after edits that do not overlap, in any order. Lines that stay keep their ends, new ones get that of
    the line they take the place of, or else of the one before. `final_newline` says whether the text is to end in a
    line end; None leaves it as it was."""
    lines, ends = list(text.lines), list(text.ends)
    usual = next((end for end in text.ends if end), "\n")
    had_final = text.ends_itself
    for edit in sorted(edits, key=lambda each: (each.start, each.end), reverse=True):
        replaced = [end or usual for end in ends[edit.start : edit.end]]
        before = (ends[edit.start - 1] if edit.start else "") or usual
        fill = replaced[-1] if replaced else before
        new_ends = [replaced[at] if at < len(replaced) else fill for at in range(len(edit.lines))]
        lines[edit.start : edit.end] = edit.lines
        ends[edit.start : edit.end] = new_ends
    wanted = had_final if final_newline is None else final_newline
    ends = [end or usual for end in ends]
    if ends and not wanted:
        ends[-1] = ""
    return Text(tuple(lines), tuple(ends))


def differing(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int, int, int]]:
    """Runs of `old` (start, end) and what stands in their place in `new` (start, end). What both begin with is never in
    one, then what both end with: what is put between two lines is found between these."""
    most = min(len(old), len(new))
    same = next((at for at in range(most) if old[at] != new[at]), most)
    below = next((at for at in range(most - same) if old[-1 - at] != new[-1 - at]), most - same)
    middle, other = old[same : len(old) - below], new[same : len(new) - below]
    size = len(middle) * len(other)
    if size > MOST_PAIRS:
        return [(same, len(old) - below, same, len(new) - below)]
    matcher = difflib.SequenceMatcher(None, middle, other, autojunk=size > SURE_PAIRS)
    return [
        (same + start, same + end, same + first, same + last)
        for kind, start, end, first, last in matcher.get_opcodes()
        if kind != "equal"
    ]
