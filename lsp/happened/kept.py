"""How much of an accepted text a later version of its document still has, wherever later edits have moved it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import msgspec

from lsp.happened.records import WHOLE

NEAR_LINES = 400
"""Around what was accepted: a document that was rewritten farther away has been compared long enough."""

MOST_PAIRS = 2_000_000
"""Of accepted words with words that stand in their place. Where there are more, a document was replaced as a whole, and
comparing them in order took minutes."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Span(msgspec.Struct, frozen=True):
    """A stretch of a document's text."""

    start: int
    end: int


def kept(then: str, accepted: Span, now: str) -> float:
    """Of the accepted stretch of `then`, the share that `now` has, by words and marks: 1 where it stands there as it
    was, 0 where it is gone. Blanks do not count. May take a second for a document that has changed everywhere."""
    text = then[accepted.start : accepted.end]
    if not text.strip():
        return WHOLE
    same_before, same_after = common_ends(then, now)
    if accepted.end <= same_before or accepted.start >= len(then) - same_after:
        return WHOLE
    start, behind = min(same_before, accepted.start), min(same_after, len(then) - accepted.end)
    old, new = _Lines(then, start, len(then) - behind), _Lines(now, start, len(now) - behind)
    within = Span(old.line_of(accepted.start), old.line_of(max(accepted.start, accepted.end - 1)) + 1)
    near = Span(max(0, within.start - NEAR_LINES), min(len(old.lines), within.end + NEAR_LINES))
    there = _counterpart(old.lines[near.start : near.end], new.lines, within.start - near.start, within)
    return _similarity(old, within, accepted, "".join(new.lines[there.start : there.end]))


def common_ends(one: str, other: str) -> tuple[int, int]:
    """How many characters two texts have in common at their beginnings and, of the rest, at their ends. By halving,
    since comparing slices is what strings do fastest."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    before = low
    low, high = 0, min(len(one), len(other)) - before
    while low < high:
        middle = (low + high + 1) // 2
        # both slices end where the part that is known to be equal begins
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return before, low


class _Lines:
    """The lines of a text around its middle from `start` to `end`, those whole that it touches."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self.start = text.rfind("\n", 0, start) + 1
        stop = text.find("\n", end)
        self.lines = text[self.start : len(text) if stop < 0 else stop + 1].splitlines(keepends=True)

    def line_of(self, offset: int) -> int:
        """Which of the lines holds this place of the text; the nearest one where none does."""
        at = self.start
        for number, line in enumerate(self.lines):
            at += len(line)
            if offset < at:
                return number
        return max(0, len(self.lines) - 1)

    def offset_of(self, line: int) -> int:
        return self.start + sum(len(each) for each in self.lines[:line])


def _counterpart(old: Sequence[str], new: Sequence[str], first: int, within: Span) -> Span:
    """Which of the `new` lines stand where `old` ones did, from the `first` of these on, as many as `within` spans."""
    last = first + within.end - within.start
    start, end = len(new), 0
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=len(old) * len(new) > 4 * NEAR_LINES**2)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if old_end <= first or old_start >= last:
            continue
        if tag == "equal":
            new_start, new_end = (
                new_start + max(0, first - old_start),
                new_end - max(0, old_end - last),
            )
        start, end = min(start, new_start), max(end, new_end)
    return Span(min(start, end), end)


def _similarity(old: _Lines, within: Span, accepted: Span, now: str) -> float:
    """Characters of the accepted words and marks that are among those of `now` in their order, over the longer of what
    was accepted and what stands from the first of them to the last."""
    offset, text = old.offset_of(within.start), "".join(old.lines[within.start : within.end])
    found = [(match.group(), offset + match.start()) for match in _TOKEN.finditer(text)]
    ours = [accepted.start <= at < accepted.end for _, at in found]
    words = [word for word, _ in found]
    there = _TOKEN.findall(now)
    size = sum(len(word) for word, mine in zip(words, ours, strict=True) if mine)
    if not size:
        return WHOLE
    if len(words) * len(there) > MOST_PAIRS:
        return _lines_among(text, now)
    matcher = difflib.SequenceMatcher(None, words, there, autojunk=False)
    pairs = [
        (block.a + step, block.b + step)
        for block in matcher.get_matching_blocks()
        for step in range(block.size)
    ]
    held = [(one, other) for one, other in pairs if ours[one]]
    if not held:
        return 0.0
    same = sum(len(words[one]) for one, _ in held)
    span = sum(len(word) for word in there[held[0][1] : held[-1][1] + 1])
    return same / max(size, span)


def _lines_among(text: str, now: str) -> float:
    """The share of lines that are among those of `now`, whatever their indent and order, by their length."""
    there = {line.strip() for line in now.splitlines()}
    lines = [line.strip() for line in text.splitlines()]
    size = sum(map(len, lines))
    return sum(len(line) for line in lines if line in there) / size if size else WHOLE
