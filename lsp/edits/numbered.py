"""Where a replacement belongs that names its lines by number: the numbers of the text that was sent, held against what
the model copied of these lines and what it was shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.editing.blocks import Lines
from lsp.edits.indents import Reindent
from lsp.edits.lines import Text, bare, split
from lsp.edits.merging import merged
from lsp.edits.placed import Misfit, Placed, misfit, places_of
from lsp.edits.similar import is_clear, nearest

NUMBERED = re.compile(r"^\s*(\d{1,7})(?:\||\s?[|:│]\s?)")
"""What models copy along with lines that were shown with their numbers. Behind the bar that they are shown with
(`blocks.numbered`) begins the line itself, blanks and all."""


def unnumbered(lines: Sequence[str]) -> list[str]:
    return [NUMBERED.sub("", line) for line in lines]


def by_number(
    file: Text, anchor: Lines, replacement: str, shown: Sequence[tuple[int, int]] | None
) -> Placed | Misfit:
    new = split(replacement)
    count = len(file.lines)
    start, end = anchor.first - 1, anchor.last
    named = (
        f"lines {anchor.first} to {anchor.last}"
        if anchor.last >= anchor.first
        else f"after line {anchor.last}"
    )
    if not 0 <= start <= end <= count:
        return Misfit(f"{named} are named, and the file has {count}")
    if shown is not None and not _were_shown(start + 1, end, count, shown):
        return Misfit(f"{named} are named, which were not among those that were shown")
    copied = split(anchor.text)
    final = None
    if copied.lines:
        if not _are_these(file.lines, start, end, copied.lines):
            return misfit(f"{named} are named, but others were copied", file.lines, unnumbered(copied.lines))
        final = None if copied.ends_itself == new.ends_itself else new.ends_itself
    elif new.lines and not new.ends_itself:
        final = False
    around = file.lines[max(0, start - 1) : end + 1]
    lines = list(new.lines)
    if _has_numbers_from(anchor.first, lines) and not any(map(NUMBERED.match, around)):
        lines = unnumbered(lines)
    edits = merged(file.lines[start:end], start, file.lines[start:end], lines, Reindent((), ()))
    return Placed(start, end, tuple(edits), "numbered", final if end == count else None)


def _has_numbers_from(first: int, lines: Sequence[str]) -> bool:
    """Whether lines were written with the numbers that they were shown with: one after the other, as no text of the
    file's own would have them."""
    said = [found[1] if (found := NUMBERED.match(line)) else "" for line in lines]
    return bool(said) and said == [str(first + at) for at in range(len(said))]


def _were_shown(first: int, last: int, count: int, shown: Sequence[tuple[int, int]]) -> bool:
    if last < first:  # between two lines: one of both is enough
        return any(low <= first <= high or low <= last <= high for low, high in shown) or not count
    return any(low <= first and last <= high for low, high in shown)


def _are_these(lines: Sequence[str], start: int, end: int, copied: Sequence[str]) -> bool:
    """Whether a copy is one of these lines: the same, or the same but for white space and nowhere else as it is, or
    nearer to them than to any others."""
    there = tuple(lines[start:end])
    for written in (tuple(copied), tuple(unnumbered(copied))):
        if there == written:
            return True
        if places_of(lines, written):
            return False
        if [bare(line) for line in there] == [bare(line) for line in written]:
            return True
        near = nearest(lines, written)
        if near and (near[0].start, near[0].end) == (start, end) and is_clear(near):
            return True
    return False
