"""The bytes of one text and what is asked of them for every node: names, lines, columns."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

import tree_sitter

from indexer.parsing.deadline import Deadline

_LONGEST_TYPE = 500
"""Bytes; what is longer names no one class."""


class Source:
    """UTF-8 bytes with their lines. Everything about a place is a byte; lines and columns are worked out from
    it, which is far cheaper than asking the node."""

    def __init__(self, data: bytes, deadline: Deadline) -> None:
        self.data = data
        self.ascii = data.isascii()
        self.line_starts = [0, *accumulate(len(line) + 1 for line in data.split(b"\n"))]
        """Bytes at which the lines begin; the last one is past the end."""
        self.names: dict[bytes, str] = {}
        """What `name` has decoded."""
        self._deadline = deadline

    def late(self) -> bool:
        return self._deadline.passed()

    def starts_with(self, node: tree_sitter.Node | None, beginnings: tuple[bytes, ...]) -> bool:
        return node is not None and self.data.startswith(beginnings, node.start_byte)

    def text(self, start: int, end: int) -> str:
        return self.data[start:end].decode("utf-8", "replace")

    def short_text(self, node: tree_sitter.Node) -> str:
        """Of a type or a list of bases; empty for what is too long to be one."""
        start, end = node.start_byte, node.end_byte
        return self.text(start, end) if end - start <= _LONGEST_TYPE else ""

    def name(self, node: tree_sitter.Node) -> str:
        """The text of a node that is a name; the same object each time."""
        raw = self.data[node.start_byte : node.end_byte]
        known = self.names.get(raw)
        return known if known is not None else self.decode_name(raw)

    def decode_name(self, raw: bytes) -> str:
        """The same of bytes that are not in `names` yet."""
        name = raw.decode("utf-8", "replace")
        if "\n" in name:  # C++: `~` and what it destroys may stand on two lines
            name = "".join(name.split())
        self.names[raw] = name
        return name

    def line(self, place: int) -> int:
        return bisect_right(self.line_starts, place) - 1

    def lines(self, places: Iterable[int]) -> list[int]:
        """Of many bytes in ascending order."""
        starts, found = self.line_starts, list[int]()
        line, last = 0, len(starts) - 1
        for place in places:
            if line < last and starts[line + 1] <= place:
                line = bisect_right(starts, place, line + 1) - 1
            found.append(line)
        return found

    def column(self, place: int, line: int) -> int:
        """In characters, of a byte on this line."""
        start = self.line_starts[line]
        return place - start if self.ascii else len(self.data[start:place].decode("utf-8", "replace"))

    def end_line(self, end: int) -> int:
        """The line after the last one that has something of what ends at this byte."""
        line = self.line(end)
        return line if line and self.line_starts[line] == end else line + 1
