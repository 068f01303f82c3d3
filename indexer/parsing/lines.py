"""How a text is cut into lines, and how a run of lines becomes a segment."""

from __future__ import annotations

from collections.abc import Sequence


def split_lines(text: str) -> list[str]:
    """Lines without their ends (LF or CRLF); a final newline opens no further line."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines] if "\r" in text else lines


def trim_span(lines: Sequence[str], start: int, end: int) -> tuple[int, int]:
    """The span [start, end) without blank lines at its two ends; empty (start == end) if all are blank."""
    end = min(end, len(lines))
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    return start, end


def segment_text(lines: Sequence[str], start: int, end: int) -> str:
    """The lines of [start, end) as a segment: begins at a non-blank line, ends in exactly one newline.
    Empty if all of them are blank. Concatenated token ids of such segments equal the ids of the whole."""
    start, end = trim_span(lines, start, end)
    return "\n".join(lines[start:end]) + "\n" if start < end else ""
