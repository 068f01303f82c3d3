"""The ways to show a candidate, from one line to all of it, and what share of its worth each has."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from indexer.packing.evidence import Candidate
from indexer.packing.spans import CONTAINERS, Span, head, signature
from indexer.parsing.lines import trim_span

DESCRIBED_LINES = 16
"""Signature and documentation; a longer one is shown without its documentation."""

_QUOTES = ('"""', "'''")


class Worth(msgspec.Struct, frozen=True):
    """Shares of what the whole is worth, of a definition because the line may name it (`named`) or because its lines
    are like those that are being written (`like`)."""

    named: float
    like: float


LINE = Worth(0.62, 0.1)
SIGNATURE = Worth(0.8, 0.2)
DESCRIBED = Worth(0.9, 0.35)
NEAR = Worth(0.9, 0.85)
WHOLE = Worth(1.0, 1.0)


class Version(msgspec.Struct, frozen=True):
    span: Span
    worth: Worth


def versions_of(candidate: Candidate, lines: Sequence[str]) -> list[Version]:
    """Ever more of it; each holds the one before it."""
    whole = trim_span(lines, candidate.start_line, candidate.end_line)
    own = candidate.definition
    if whole[0] >= whole[1]:
        return []
    if own is None:
        near = trim_span(lines, *(candidate.near or whole))
        return _growing(
            [Version(near, NEAR), Version(whole, WHOLE)] if near[0] < near[1] else [Version(whole, WHOLE)]
        )
    line = own.name_line if whole[0] <= own.name_line < whole[1] else whole[0]
    ways = [Version((line, line + 1), LINE)]
    opened = signature(own, lines)
    ways.append(Version((min(line, opened[0]), max(line + 1, opened[1])), SIGNATURE))
    described = head(own, lines) if own.kind in CONTAINERS else _described(opened, whole, lines)
    if described[1] - described[0] <= DESCRIBED_LINES:
        ways.append(Version((min(line, described[0]), max(line + 1, described[1])), DESCRIBED))
    ways.append(Version(whole, WHOLE))
    return _growing(ways)


def _described(opened: Span, whole: Span, lines: Sequence[str]) -> Span:
    """A signature with the documentation below it (Python's; others stand above and belong to the definition)."""
    start = opened[1]
    if start < whole[1] and (quotes := next((each for each in _QUOTES if each in lines[start]), "")):
        last = start
        if lines[start].count(quotes) < 2:
            last = next((at for at in range(start + 1, whole[1]) if quotes in lines[at]), whole[1])
        return opened[0], min(last + 1, whole[1])
    return opened


def _growing(ways: Sequence[Version]) -> list[Version]:
    """Of those with the same lines the one that is worth most; each within the next."""
    found: list[Version] = []
    for way in ways:
        if found and way.span[0] <= found[-1].span[0] and way.span[1] >= found[-1].span[1]:
            if way.span == found[-1].span:
                found.pop()
            found.append(way)
        elif not found:
            found.append(way)
    return found
