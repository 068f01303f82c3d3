"""True changes of files in the block format: what a model would write that copies without a fault."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import msgspec

from engine.editing.blocks import Block, Create, Delete, Lines, Replace, Search
from lsp.edits.lines import Edit, Text, differing, split

MOST_CONTEXT_LINES = 400
"""On each side of a hunk; what is not unique with so many is changed by number alone."""


class FilePair(msgspec.Struct, frozen=True):
    """One file before and after a change; None where it is not there."""

    path: str
    old: str | None
    new: str | None


class Uncut(Exception):
    """The change cannot be told by whole lines and one line end, as blocks do."""


@functools.lru_cache(maxsize=4_096)
def hunks(old: Text, new: Text) -> tuple[Edit, ...]:
    """What leads from one text's lines to the other's."""
    return tuple(
        Edit(start, end, new.lines[first:last]) for start, end, first, last in differing(old.lines, new.lines)
    )


def by_search(pair: FilePair) -> list[Block]:
    """Every hunk with a line around it, and as many more as make it the only place. Raises Uncut."""
    if pair.old is None or pair.new is None:
        return _whole(pair)
    old, new = split(pair.old), split(pair.new)
    _check(old, new)
    found: list[Block] = []
    changed = list(hunks(old, new))
    if old.ends_itself != new.ends_itself and (not changed or changed[-1].end < len(old.lines)):
        changed.append(Edit(len(old.lines), len(old.lines), ()))  # only the final line end changes there
    for first, last, group in _groups(old.lines, changed):
        lines = _replaced(old.lines, first, last, group)
        at_end = last == len(old.lines)
        before = _text(old.lines[first:last], old.ends_itself or not at_end)
        found.append(Replace(pair.path, Search(before), _text(lines, new.ends_itself or not at_end)))
    return found


def by_number(pair: FilePair, *, copied: bool = False) -> list[Block]:
    """Every hunk by its lines' numbers, with a copy of them or without. Raises Uncut."""
    if pair.old is None or pair.new is None:
        return _whole(pair)
    old, new = split(pair.old), split(pair.new)
    _check(old, new)
    if old.ends_itself != new.ends_itself:
        return by_search(pair)
    return [
        Replace(
            pair.path,
            Lines(hunk.start + 1, hunk.end, _text(old.lines[hunk.start : hunk.end], True) if copied else ""),
            _text(hunk.lines, True),
        )
        for hunk in hunks(old, new)
    ]


def _whole(pair: FilePair) -> list[Block]:
    if pair.new is None:
        return [Delete(pair.path)]
    if "\r" in pair.new:
        raise Uncut(f"{pair.path} is made with other line ends than answers have")
    return [Create(pair.path, pair.new)]


def _check(old: Text, new: Text) -> None:
    ends = {end for end in (*old.ends, *new.ends) if end}
    if len(ends) > 1:
        raise Uncut("line ends are mixed, or change")
    if old.lines == new.lines and old.ends_itself == new.ends_itself:
        raise Uncut("nothing changes")


def _text(lines: Sequence[str], ended: bool) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return text if ended else text[:-1]


def _replaced(lines: Sequence[str], first: int, last: int, group: Sequence[Edit]) -> list[str]:
    found = list(lines[first:last])
    for hunk in reversed(group):
        found[hunk.start - first : hunk.end - first] = hunk.lines
    return found


def _groups(lines: Sequence[str], found: Sequence[Edit]) -> list[tuple[int, int, list[Edit]]]:
    """Hunks with the lines around them that make their place unique; those that come to overlap as one."""
    groups: list[tuple[int, int, list[Edit]]] = []
    for hunk in found:
        first, last = _unique(lines, hunk)
        if groups and first < groups[-1][1]:
            before, end, group = groups.pop()
            groups.append((before, max(end, last), [*group, hunk]))
        else:
            groups.append((first, last, [hunk]))
    return groups


def _unique(lines: Sequence[str], hunk: Edit) -> tuple[int, int]:
    for size in range(1, MOST_CONTEXT_LINES):
        first, last = max(0, hunk.start - size), min(len(lines), hunk.end + size)
        wanted = tuple(lines[first:last])
        starts = [at for at, line in enumerate(lines) if wanted and line == wanted[0]]
        if sum(tuple(lines[at : at + len(wanted)]) == wanted for at in starts) <= 1:
            return first, last
    raise Uncut("no place of its own")
