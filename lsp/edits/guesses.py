"""Where a text belongs that does not stand in a file as it was written: what models do to lines that they copy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lsp.edits.indents import Reindent, Uneven
from lsp.edits.lines import Edit, bare
from lsp.edits.merging import Unclear, merged
from lsp.edits.numbered import NUMBERED, unnumbered
from lsp.edits.placed import How, Misfit, Placed, misfit, places_of, several
from lsp.edits.similar import LEAST_SCORE, is_clear, nearest

LEAST_CHARS = 12
"""Without white space: a shorter text that is not there as written could be meant for too much."""

_DOTS = re.compile(r"^\s*(?:#|//|--|/\*|<!--)?\s*(?:\.\.\.|…)(?:\s*(?:\*/|-->)|\s+\S.*)?\s*$")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_LEFT_OUT = "dots stand for lines that were left out"


def loose(lines: Sequence[str], written: Sequence[str], replacement: Sequence[str]) -> Placed | Misfit:
    found = _whitespace(lines, written, replacement, "whitespace")
    for stripped in () if found else _stripped(written, replacement):
        found = found or _whitespace(lines, *stripped, "stripped")
    if not found:
        found = _in_pieces(lines, written, replacement)
    return found or _similar(lines, written, replacement)


def _whitespace(
    lines: Sequence[str], written: Sequence[str], replacement: Sequence[str], how: How
) -> Placed | Misfit | None:
    """None where the text does not stand there, whatever its white space."""
    written, replacement = _without_blank_edges(written, replacement)
    wanted = [bare(line) for line in written]
    if not any(wanted):
        return Misfit("nothing but blank lines is to be replaced: they could be any")
    bares = [bare(line) for line in lines]
    places = places_of(bares, wanted)
    if not places:
        return None
    if len(places) > 1:
        return several(lines, places, len(wanted))
    start = places[0]
    there = lines[start : start + len(written)]
    if sum(map(len, wanted)) < LEAST_CHARS and list(there) != list(written):
        return misfit(
            "the text stands there with other white space only, and is too short to be sure", lines, written
        )
    try:
        edits = merged(there, start, written, replacement, Reindent(written, there, lines))
    except Uneven:
        return misfit("the text stands there, but indented otherwise in itself", lines, written)
    return Placed(start, start + len(written), tuple(edits), how)


def _without_blank_edges(
    written: Sequence[str], replacement: Sequence[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Without the blank lines that both begin and end with."""
    while written and replacement and not written[0].strip() and not replacement[0].strip():
        written, replacement = written[1:], replacement[1:]
    while written and replacement and not written[-1].strip() and not replacement[-1].strip():
        written, replacement = written[:-1], replacement[:-1]
    return written, replacement


def _stripped(
    written: Sequence[str], replacement: Sequence[str]
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Both without what was copied along with the text or put around it."""
    if len(written) > 2 and _FENCE.match(written[0]) and written[-1].strip() in ("```", "~~~"):
        fenced = (
            len(replacement) > 1
            and _FENCE.match(replacement[0])
            and replacement[-1].strip() in ("```", "~~~")
        )
        written, replacement = written[1:-1], replacement[1:-1] if fenced else replacement
        yield written, replacement
    if all(NUMBERED.match(line) for line in written if line.strip()):
        said = [line for line in replacement if line.strip()]
        if not any(NUMBERED.match(line) for line in said) or all(NUMBERED.match(line) for line in said):
            yield unnumbered(written), unnumbered(replacement)


def _in_pieces(
    lines: Sequence[str], written: Sequence[str], replacement: Sequence[str]
) -> Placed | Misfit | None:
    """Where dots stand for lines that were left out, in both at the same places."""
    if not any(_DOTS.match(line) for line in written):
        return None
    old, new = _pieces(written), _pieces(replacement)
    if len(old) != len(new):
        return misfit(f"{_LEFT_OUT}, and not in the replacement too", lines, written)
    edits: list[Edit] = []
    start = end = -1
    for piece, replaced in zip(old, new, strict=True):
        if not any(line.strip() for line in piece):
            if any(line.strip() for line in replaced):
                return misfit(f"{_LEFT_OUT}, and new ones are put among them", lines, written)
            continue
        found = _whitespace(lines, piece, replaced, "stripped")
        if not isinstance(found, Placed) or found.start < end:
            return misfit(
                f"{_LEFT_OUT}, and what is around them fits not once",
                lines,
                written,
            )
        edits += found.edits
        start, end = found.start if start < 0 else start, found.end
    return Placed(start, end, tuple(edits), "stripped") if edits else None


def _pieces(lines: Sequence[str]) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    for line in lines:
        if _DOTS.match(line):
            pieces.append([])
        else:
            pieces[-1].append(line)
    return pieces


def _similar(lines: Sequence[str], written: Sequence[str], replacement: Sequence[str]) -> Placed | Misfit:
    written, replacement = _without_blank_edges(written, replacement)
    near = nearest(lines, written)
    absent = "the text stands nowhere in the file"
    if not near or near[0].score < LEAST_SCORE or sum(len(bare(line)) for line in written) < LEAST_CHARS:
        return misfit(absent, lines, written)
    if not is_clear(near):
        return misfit(f"{absent}, and two places are nearly as near", lines, written)
    best = near[0]
    there = lines[best.start : best.end]
    try:
        pairs = _same_lines(written, there)
        edits = merged(there, best.start, written, replacement, Reindent(*pairs, lines))
    except (Uneven, Unclear):
        return misfit(f"{absent}, and the nearest differs just where it is to change", lines, written)
    return Placed(best.start, best.end, tuple(edits), "similar")


def _same_lines(written: Sequence[str], there: Sequence[str]) -> tuple[list[str], list[str]]:
    """Lines of both that are the same but for white space, or stand at the same place of as many."""
    if len(written) == len(there):
        return list(written), list(there)
    by_bare = {bare(line): line for line in there}
    both = [(line, by_bare[bare(line)]) for line in written if bare(line) in by_bare]
    return [one for one, _ in both], [other for _, other in both]
