"""Cuts a text into chunks along its definitions: the units that search finds.

Every definition is a chunk. What encloses other definitions (a class, a long function) is cut around them:
its head up to the first of them, and the lines between them, carry its name. Short functions stay whole even
if they enclose others, which then are chunks of their own as well. Lines between definitions, and texts
without any, are cut at blank lines. Every line with a letter or digit is in some chunk."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from indexer.parsing.languages import has_grammar
from indexer.parsing.lines import split_lines, trim_span
from indexer.parsing.tags import FUNCTION_KINDS, Tag


class Chunk(msgspec.Struct, frozen=True):
    """A run of whole lines."""

    start_line: int
    end_line: int
    """Exclusive."""
    text: str
    """As `lines.segment_text` gives it."""
    symbol: str = ""
    """Name of the definition that it is or belongs to; empty between definitions."""
    kind: str = "text"
    """Kind of that definition; else `code`, or `text` in languages without a grammar."""
    definition: int | None = None
    """Index into `definitions`, of the first chunk of each."""


MAX_LINES = 60
"""About 600 tokens: what an embedding model of 512 still sees most of, and what a person sees at once."""

MIN_LINES = 12
"""A cut leaves at least this much before it, unless the text is shorter."""

_COMMENT_LEADS = ("#", "//", "/*", "*", "--", ";;")
"""How lines of comments above a definition begin, in languages with and without a grammar."""


class _Span(msgspec.Struct):
    """A definition with what lies within it, as lines."""

    start: int
    end: int
    tag: Tag | None
    index: int | None
    inner: list[_Span]


def chunks(text: str, definitions: Sequence[Tag], language: str | None) -> list[Chunk]:
    """The chunks of a text, in its order. `definitions` are those that `tags` found in the same text."""
    lines = split_lines(text)
    result: list[Chunk] = []
    pending = [_nest(lines, definitions)]
    between = "code" if definitions or has_grammar(language) else "text"
    while pending:
        span = pending.pop()
        pending.extend(span.inner)
        for number, (start, end) in enumerate(_pieces(lines, span)):
            result.append(
                Chunk(
                    start_line=start,
                    end_line=end,
                    text="\n".join(lines[start:end]) + "\n",  # pieces are trimmed: `segment_text` of them
                    symbol=span.tag.name if span.tag else "",
                    kind=span.tag.kind if span.tag else between,
                    definition=span.index if number == 0 else None,
                )
            )
    result.sort(key=lambda chunk: (chunk.start_line, -chunk.end_line))
    return result


def _nest(lines: Sequence[str], definitions: Sequence[Tag]) -> _Span:
    """The definitions as a tree below a span that is the whole text. Comments right above belong to each."""
    whole = _Span(0, len(lines), None, None, [])
    stack = [whole]
    order = sorted(
        range(len(definitions)), key=lambda i: (definitions[i].start_line, -definitions[i].end_line)
    )
    free_from = 0  # no definition has taken the lines from here on
    for index in order:
        tag = definitions[index]
        start, end = tag.start_line, min(tag.end_line, len(lines))
        while stack[-1] is not whole and start >= stack[-1].end:
            stack.pop()
        outer = stack[-1]
        if outer.inner and (outer.inner[-1].end > start or end > outer.end):
            continue  # shares a line with the one before it, whose chunk shows both
        if start >= end or (outer is not whole and (start, end) == (outer.start, outer.end)):
            continue
        floor = max(free_from, outer.start + (outer is not whole), outer.inner[-1].end if outer.inner else 0)
        while start > floor and lines[start - 1].lstrip().startswith(_COMMENT_LEADS):
            start -= 1
        span = _Span(start, min(end, outer.end), tag, index, [])
        outer.inner.append(span)
        stack.append(span)
        free_from = tag.start_line + 1
    return whole


def _pieces(lines: Sequence[str], span: _Span) -> list[tuple[int, int]]:
    """The spans of a definition's own chunks, of which the first shows its head."""
    short = span.end - span.start <= MAX_LINES
    if short and (not span.inner or (span.tag is not None and span.tag.kind in FUNCTION_KINDS)):
        start, end = trim_span(lines, span.start, span.end)
        return [(start, end)] if _says_something(lines, start, end) else []
    pieces: list[tuple[int, int]] = []
    start = span.start
    for inner in span.inner:
        pieces += _cut(lines, start, inner.start)
        start = inner.end
    return pieces + _cut(lines, start, span.end)


def _cut(lines: Sequence[str], start: int, end: int) -> list[tuple[int, int]]:
    """[start, end) in pieces of at most MAX_LINES, cut at blank lines where there are any."""
    pieces: list[tuple[int, int]] = []
    start, end = trim_span(lines, start, end)
    while start < end:
        cut = end if end - start <= MAX_LINES else _best_cut(lines, start)
        piece = trim_span(lines, start, cut)
        if _says_something(lines, *piece):
            pieces.append(piece)
        start, _ = trim_span(lines, cut, end)
    return pieces


def _best_cut(lines: Sequence[str], start: int) -> int:
    """The blank line within reach after which the text is indented least, the last of several such."""
    best, least = start + MAX_LINES, None
    for line in range(start + MIN_LINES, start + MAX_LINES):
        if lines[line].strip() or line + 1 >= len(lines):
            continue
        after = lines[line + 1]
        indent = len(after) - len(after.lstrip()) if after.strip() else None
        if indent is not None and (least is None or indent <= least):
            best, least = line, indent
    return best


def _says_something(lines: Sequence[str], start: int, end: int) -> bool:
    """Closing brackets alone are no chunk."""
    return any(any(map(str.isalnum, lines[line])) for line in range(start, end))
