"""What stands around a cursor, taken from the document once, so that each token of a stream costs no more in a
large file than in a small one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from lsp.trimming.blocks import is_blank

REACH_CHARS = 100_000
"""So much before and after the cursor is looked at, some 2,500 lines. A block that reaches further is taken
for one that has no end."""


class Near(msgspec.Struct, frozen=True):
    """Lines are without their ends, blank ones left out."""

    line_before: str
    """The cursor's line up to it."""
    line_after: str
    """The cursor's line from it on."""
    above: tuple[str, ...]
    """The lines above the cursor's, the nearest first."""
    below: tuple[str, ...]

    def has_word(self, word: str) -> bool:
        """Whether a line other than the cursor's has this word."""
        pattern = re.compile(rf"\b{re.escape(word)}\b")
        return any(word in line and pattern.search(line) for line in (*self.above, *self.below))

    @property
    def next_line(self) -> str:
        return self.below[0] if self.below else ""


def near(before: str, after: str) -> Near:
    """What stands around a cursor between `before` and `after`."""
    start = before.rfind("\n") + 1
    end = after.find("\n")
    return Near(
        before[start:],
        after if end < 0 else after[:end],
        tuple(_upwards(before[max(0, start - REACH_CHARS) : max(0, start - 1)])),
        () if end < 0 else tuple(_downwards(after[end + 1 : end + 1 + REACH_CHARS])),
    )


def _upwards(text: str) -> Iterator[str]:
    return (line for line in reversed(text.split("\n")) if not is_blank(line))


def _downwards(text: str) -> Iterator[str]:
    return (line for line in text.split("\n") if not is_blank(line))
