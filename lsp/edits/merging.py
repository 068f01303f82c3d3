"""What a replacement does to lines that are not quite those that the model meant to replace.

Only what differs between the lines that it wrote down and their replacement is changed. What it copied wrongly and
did not mean to change stays as the file has it; a line that it changes must have been copied so well that both can be
told apart, token for token."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from lsp.edits.indents import Reindent
from lsp.edits.lines import Edit, bare, differing

_PIECE = re.compile(r"\w+|\s+|[^\w\s]")


class Unclear(Exception):
    """The file differs from what the model wrote just where it changes something."""


def merged(
    there: Sequence[str], start: int, written: Sequence[str], replacement: Sequence[str], reindent: Reindent
) -> list[Edit]:
    """The edits of a file's lines `there`, which begin at `start`. Raises Unclear, Uneven."""
    ends = _alignment(written, there)
    found: list[Edit] = []
    for first, last, new_first, new_last in differing(written, replacement):
        new = replacement[new_first:new_last]
        old = written[first:last]
        file_first, file_last = ends.get(first), ends.get(last)
        if file_first is None or file_last is None:
            raise Unclear
        real = there[file_first:file_last]
        if [bare(line) for line in old] == [bare(line) for line in real]:
            new = [reindent.line(line) for line in new]
        elif len(old) == len(real) == len(new):
            new = [_line_merged(*three, reindent) for three in zip(old, real, new, strict=True)]
        else:
            raise Unclear
        found.append(Edit(start + file_first, start + file_last, tuple(new)))
    return found


def _alignment(written: Sequence[str], there: Sequence[str]) -> dict[int, int]:
    """Boundaries between lines of one in the other, where they can be told."""
    if len(written) == len(there):
        return {at: at for at in range(len(there) + 1)}
    known = {0: 0, len(written): len(there)}
    matcher = difflib.SequenceMatcher(None, [*map(bare, written)], [*map(bare, there)], autojunk=False)
    for start, other, size in matcher.get_matching_blocks():
        known.update({start + at: other + at for at in range(size + 1) if size})
    return known


def _line_merged(written: str, there: str, new: str, reindent: Reindent) -> str:
    """`there` with what `new` changes in `written`. Raises Unclear where both differ at one place."""
    if bare(written) == bare(there):
        return reindent.line(new)
    if bare(written) == bare(new):
        return there
    if bare(there) == bare(new):
        return there
    base, ours, theirs = (_PIECE.findall(line) for line in (written, there, reindent.line(new)))
    mine, other = _changes(base, ours), _changes(base, theirs)
    merged = [*base]
    taken = dict.fromkeys([*mine, *other])
    for one in mine:
        for two in other:
            if one != two and one[0] <= two[1] and two[0] <= one[1]:
                raise Unclear
    for first, last, pieces in sorted(taken, reverse=True):
        merged[first:last] = pieces
    return "".join(merged)


def _changes(base: Sequence[str], other: Sequence[str]) -> list[tuple[int, int, tuple[str, ...]]]:
    return [(first, last, tuple(other[start:end])) for first, last, start, end in differing(base, other)]
