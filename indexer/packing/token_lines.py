"""Token ids of a whole text, kept so that the ids of its segments are slices of them.

A text is encoded in pieces, each of which begins at a line with something on it and ends before the next such line.
The tokenizers of the Qwen family (and those that cut words as they do) never make one token of the end of a line
and the beginning of such a line, so that the pieces' ids together are those of the whole; `cuts_at_lines` tells of
any tokenizer whether that is so."""

from __future__ import annotations

import itertools
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence

import msgspec

from indexer.parsing.lines import trim_span

Encode = Callable[[str], list[int]]

_UNSIGNED = "I"
"""Of `array`: 32 bits on every system that Python 3.11 runs on."""

_PROBES = (
    "f(x)\n\n    return y\n",
    "a\n\n\nb\n",
    "}\n  \n\tc = 1\n",
    "x = [\n    1,\n\n    2,\n]\n\n\n# é\n",
    "end.\n\n  - 1\n\n  - two\n",
)
"""Ends of lines, empty lines and indentation in the combinations over which tokenizers differ."""


class Piece(msgspec.Struct, frozen=True):
    line: int
    text: str


class TokenLines(msgspec.Struct, frozen=True):
    """The ids of one text."""

    ids: array[int]
    lines: array[int]
    """First line of each piece, and the line at which the last one ends."""
    offsets: array[int]
    """Where each piece begins in `ids`, and where the last one ends."""

    def of(self, start: int, end: int) -> tuple[list[int], int] | None:
        """(ids of the lines from `start` on, the line up to which they reach): that is `end`, or the first line
        of the last piece before it, when the ids of that depend on what follows. None if no piece begins at
        `start`. The lines are those of a segment (`lines.trim_span`)."""
        first, last = bisect_left(self.lines, start), bisect_left(self.lines, end)
        if end <= start or last >= len(self.lines) or self.lines[first] != start:
            return None
        if self.lines[last] != end:
            last -= 1
        return self.ids[self.offsets[first] : self.offsets[last]].tolist(), self.lines[last]

    def packed(self) -> tuple[bytes, bytes]:
        """Little-endian 32-bit numbers: the ids; lines and offsets, one after the other."""
        shape = array(_UNSIGNED)
        for line, offset in zip(self.lines, self.offsets, strict=True):
            shape.extend((line, offset))
        return _little_endian(self.ids), _little_endian(shape)


def unpacked(ids: bytes, shape: bytes) -> TokenLines:
    """The reverse of `TokenLines.packed`."""
    numbers = _numbers(shape)
    return TokenLines(_numbers(ids), numbers[::2], numbers[1::2])


def token_lines(lines: Sequence[str], encode_all: Callable[[list[str]], list[list[int]]]) -> TokenLines:
    """The ids of a text. `lines` are those of `lines.split_lines`."""
    pieces = pieces_of(lines)
    ids, offsets = array(_UNSIGNED), array(_UNSIGNED, [0])
    for of_piece in encode_all([piece.text for piece in pieces]):
        ids.extend(of_piece)
        offsets.append(len(ids))
    starts = [piece.line for piece in pieces]
    end = pieces[-1].line + pieces[-1].text.count("\n") if pieces else 0
    return TokenLines(ids, array(_UNSIGNED, [*starts, end]), offsets)


def pieces_of(lines: Sequence[str]) -> list[Piece]:
    """What is encoded in one go. Empty lines before the first piece and after the last are in none."""
    _, whole = trim_span(lines, 0, len(lines))
    starts = [number for number in range(whole) if _begins_a_piece(lines[number])]
    return [
        Piece(start, "\n".join(lines[start:end]) + "\n")
        for start, end in itertools.pairwise((*starts, whole))
    ]


def _begins_a_piece(line: str) -> bool:
    """A line with something on it, before which there is no carriage return: that would be one token with the
    end of the line before."""
    text = line.lstrip()
    return bool(text) and "\r" not in line[: len(line) - len(text)]


def cuts_at_lines(encode: Encode) -> bool:
    """Whether pieces' ids are those of the whole."""
    return all(
        [token for piece in pieces_of(probe.split("\n")) for token in encode(piece.text)] == encode(probe)
        for probe in _PROBES
    )


def _little_endian(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers = array(_UNSIGNED, numbers)
        numbers.byteswap()
    return numbers.tobytes()


def _numbers(packed: bytes) -> array[int]:
    numbers = array(_UNSIGNED)
    numbers.frombytes(packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
