"""What is found where a replacement is looked for: its place, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from lsp.edits.lines import Edit
from lsp.edits.similar import nearest

How = Literal["exact", "whitespace", "stripped", "similar", "numbered"]

CONTEXT_LINES = 2
"""Around a near place, of what a model is shown of it."""

MANY_STARTS = 500
"""Of lines that are the first one of a text: each costs a comparison of all of it."""

NEAREST = 3
"""Places that a model is shown."""


class Nearest(msgspec.Struct, frozen=True):
    """Lines that may have been meant: `first` to `last`, from 1, both included."""

    first: int
    last: int
    text: str
    """With some lines around them."""
    text_first: int
    """The number of the text's first line."""
    score: float


class Misfit(msgspec.Struct, frozen=True):
    """A replacement that belongs nowhere, or to several places."""

    reason: str
    nearest: tuple[Nearest, ...] = ()


class Placed(msgspec.Struct, frozen=True):
    """The place of a replacement, and what changes there."""

    start: int
    end: int
    """Lines that the anchor names, from 0, without the last."""
    edits: tuple[Edit, ...]
    how: How
    final_newline: bool | None = None
    """Whether the file is to end in a line end, where the replacement is about that."""


def places_of(lines: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where all of `wanted` begins."""
    wanted, lines = tuple(wanted), tuple(lines)
    if lines.count(wanted[0]) > MANY_STARTS:
        return _places_of_repeated(lines, wanted)
    found: list[int] = []
    at = -1
    while True:
        try:
            at = lines.index(wanted[0], at + 1)
        except ValueError:
            return found
        if lines[at : at + len(wanted)] == wanted:
            found.append(at)


def _places_of_repeated(lines: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The same by Knuth, Morris and Pratt: in one pass, however often the first lines repeat themselves."""
    falls_back = [0] * len(wanted)
    matched = 0
    for at in range(1, len(wanted)):
        while matched and wanted[at] != wanted[matched]:
            matched = falls_back[matched - 1]
        matched += wanted[at] == wanted[matched]
        falls_back[at] = matched
    found: list[int] = []
    matched = 0
    for at, line in enumerate(lines):
        while matched and line != wanted[matched]:
            matched = falls_back[matched - 1]
        matched += line == wanted[matched]
        if matched == len(wanted):
            found.append(at - len(wanted) + 1)
            matched = falls_back[matched - 1]
    return found


def several(lines: Sequence[str], places: Sequence[int], size: int) -> Misfit:
    told = ", ".join(str(at + 1) for at in places[:5]) + (", …" if len(places) > 5 else "")
    shown = tuple(_shown(lines, at, at + size, 1.0) for at in places[:NEAREST])
    return Misfit(
        f"the text stands in the file {len(places)} times, from lines {told}: more lines are needed", shown
    )


def misfit(reason: str, lines: Sequence[str], written: Sequence[str]) -> Misfit:
    return Misfit(
        reason, tuple(_shown(lines, near.start, near.end, near.score) for near in nearest(lines, written))
    )


def _shown(lines: Sequence[str], start: int, end: int, score: float) -> Nearest:
    first = max(0, start - CONTEXT_LINES)
    text = "".join(f"{line}\n" for line in lines[first : end + CONTEXT_LINES])
    return Nearest(start + 1, end, text, first + 1, round(score, 3))
