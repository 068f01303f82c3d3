"""Runs of lines: merging, subtracting, and the heads of definitions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from indexer.messages import Definition
from indexer.parsing.lines import trim_span

HEADER_LINES = 24
"""No signature is longer, nor what stands in a class above its first function."""

CONTAINERS = frozenset(
    {"class", "interface", "struct", "trait", "enum", "impl", "module", "namespace", "object"}
)
CONSTRUCTORS = frozenset({"__init__", "constructor", "__new__", "new"})

_OPENERS = (":", "{", ";", ")", "=")
"""How the last line of a signature ends, in one language or another."""

Span = tuple[int, int]


def merged(spans: Sequence[Span], lines: Sequence[str]) -> list[Span]:
    """Disjoint spans in order; two with nothing but blank lines between them become one."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and (start <= found[-1][1] or not any(line.strip() for line in lines[found[-1][1] : start])):
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def without(span: Span, taken: Sequence[Span], lines: Sequence[str]) -> list[Span]:
    """The parts of `span` that `taken` does not cover, each from a non-blank line to a non-blank line."""
    pieces = [span]
    for start, end in taken:
        pieces = [
            part
            for first, last in pieces
            for part in ((first, min(last, start)), (max(first, end), last))
            if part[0] < part[1]
        ]
    trimmed = (trim_span(lines, first, last) for first, last in pieces)
    return [piece for piece in trimmed if piece[0] < piece[1]]


def inside(span: Span, outer: Span) -> bool:
    return outer[0] <= span[0] and span[1] <= outer[1]


def signature(definition: Definition, lines: Sequence[str]) -> Span:
    """Decorators and signature, up to the line that opens the body."""
    last = min(definition.end_line, definition.start_line + HEADER_LINES, len(lines))
    end = min(definition.start_line + 1, last)
    while end < last and (
        lines[end - 1].lstrip().startswith("@") or not lines[end - 1].rstrip().endswith(_OPENERS)
    ):
        end += 1
    return trim_span(lines, definition.start_line, end)


def head(definition: Definition, lines: Sequence[str]) -> Span:
    """Of a class: everything above its first function that is no longer than a header may be."""
    last = min(definition.end_line, definition.start_line + HEADER_LINES, len(lines))
    end = signature(definition, lines)[1]
    while end < last and not _MEMBER.match(lines[end]):
        end += 1
    return trim_span(lines, definition.start_line, end)


_MEMBER = re.compile(
    r"\s*(?:@|(?:async\s+)?def\b|fn\b|pub\b|func\b|(?:public|private|protected|static)\b|\w+\(.*\{)"
)
