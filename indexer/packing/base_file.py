"""Shows one file of the base: whole, or by its signatures where it is too large."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.messages import Definition, Segment
from indexer.packing.spans import CONSTRUCTORS, CONTAINERS, Span, merged, signature
from indexer.packing.token_lines import TokenLines
from indexer.packing.tokens import SegmentTokenizer
from indexer.packing.view import IndexView
from indexer.parsing.lines import segment_text, split_lines, trim_span

BYTES_PER_TOKEN = 3.3
"""Of source text. It only says how many files are looked at, and in which order."""

SPARE = 1.25
"""So much more than there is room for is looked at: sizes are estimates until then."""

Whole = tuple[Segment, ...]
"""All that is shown of one file."""


class FileWriter:
    """Makes segments of files."""

    def __init__(
        self, view: IndexView, tokenizer: SegmentTokenizer, header_tokens: int, largest: int
    ) -> None:
        self._view = view
        self._tokenizer = tokenizer
        self._header_tokens = header_tokens
        self._largest = largest

    def file(self, path: str, counted: TokenLines | None) -> Whole:
        """The file whole, or its signatures where it is too large; nothing for one that cannot be read."""
        text = self._view.text(path)
        if text is None:
            return ()
        lines = split_lines(text)
        header = self._header_tokens + self._tokenizer.count(path + "\n")
        whole = trim_span(lines, 0, len(lines))
        if len(text) / BYTES_PER_TOKEN <= self._largest * SPARE:
            segment = self._segment(path, lines, whole, header, counted, "file of the base")
            if segment is not None and segment.tokens <= self._largest:
                return (segment,)
        spans = signatures(self._view.definitions_in(path), lines)
        found: list[Segment] = []
        for span in spans:
            # runs of one file that follow each other are named once
            once = 0 if found else header
            segment = self._segment(
                path, lines, span, once, counted, "signatures of a large file of the base"
            )
            if segment is not None:
                found.append(segment)
        return tuple(found) if sum(segment.tokens for segment in found) <= self._largest else ()

    def _segment(
        self,
        path: str,
        lines: Sequence[str],
        span: tuple[int, int],
        header: int,
        counted: TokenLines | None,
        reason: str,
    ) -> Segment | None:
        text = segment_text(lines, *span)
        if not text:
            return None
        ids, count = self._ids(lines, span, text, counted)
        return Segment(path, *span, count + header, "base", reason, text, ids)

    def _ids(
        self, lines: Sequence[str], span: tuple[int, int], text: str, counted: TokenLines | None
    ) -> tuple[list[int], int]:
        """Of what is counted a slice, and of the rest, if there is any, its encoding."""
        sliced = counted.of(*span) if counted is not None and self._tokenizer.has_ids else None
        if sliced is None:
            ids = self._tokenizer.encode(text)
            return ids, len(ids) or self._tokenizer.count(text)
        ids, reached = sliced
        if reached < span[1]:
            ids = [*ids, *self._tokenizer.encode(segment_text(lines, reached, span[1]))]
        return ids, len(ids)


def signatures(definitions: Sequence[Definition], lines: Sequence[str]) -> list[Span]:
    """Of all public definitions of a file, those in public classes included: what one may call there."""
    classes = {one.name for one in definitions if one.kind in CONTAINERS and not one.name.startswith("_")}
    public = [
        one
        for one in definitions
        if (not one.container or one.container in classes)
        and (not one.name.startswith("_") or one.name in CONSTRUCTORS)
    ]
    return merged([signature(one, lines) for one in public], lines)
