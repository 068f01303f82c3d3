"""Which lines of a file are nearest to some that are not in it."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

LEAST_SCORE = 0.9
"""From this share of tokens in common and in order a place can be the one that is meant."""

FARTHER = 3.0
"""Any other place has to differ by so much more from what is looked for than the best one does. Of 500 replacements of
true changes in which one word was another, 353 were found with these two limits and none at a wrong place."""

LOOSE_LINES = 1
"""A model leaves a line out, or makes one up: places of so many lines more and fewer are looked at too."""

MOST_TOKENS = 400_000
"""Of a file: looking through so many takes half a second."""

CLOSER_LOOKS = 6
"""Places whose tokens are compared in order, after all were compared as bags."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Near(msgspec.Struct, frozen=True):
    """Lines `start` to `end` (from 0, without the last) of a file, and how near they are (0 to 1)."""

    start: int
    end: int
    score: float


def is_clear(near: Sequence[Near]) -> bool:
    """Whether the first of the nearest places is the one that is meant."""
    if not near or near[0].score < LEAST_SCORE:
        return False
    return len(near) < 2 or 1 - near[1].score >= FARTHER * (1 - near[0].score)


def tokens(line: str) -> list[str]:
    return _TOKEN.findall(line)


def nearest(lines: Sequence[str], wanted: Sequence[str], most: int = 3) -> list[Near]:
    """The nearest places, the best first, none overlapping another; none where the file is too large to look."""
    sought = [token for line in wanted for token in tokens(line)]
    in_lines = [tokens(line) for line in lines]
    if not sought or sum(map(len, in_lines)) > MOST_TOKENS:
        return []
    rough: list[Near] = []
    for size in range(max(1, len(wanted) - LOOSE_LINES), len(wanted) + LOOSE_LINES + 1):
        rough += _windows(in_lines, Counter(sought), size)
    rough.sort(key=lambda near: (-near.score, abs(near.end - near.start - len(wanted)), near.start))
    looked: list[Near] = []
    for near in rough:
        places = {each.start // max(1, len(wanted)) for each in looked}
        if len(places) >= CLOSER_LOOKS or len(looked) >= CLOSER_LOOKS * 6:
            break
        there = [token for line in in_lines[near.start : near.end] for token in line]
        score = difflib.SequenceMatcher(None, sought, there, autojunk=False).ratio()
        looked.append(Near(near.start, near.end, score))
    looked.sort(key=lambda near: (-near.score, abs(near.end - near.start - len(wanted)), near.start))
    kept: list[Near] = []
    for near in looked:
        if all(near.end <= other.start or near.start >= other.end for other in kept):
            kept.append(near)
    return kept[:most]


def _windows(in_lines: Sequence[Sequence[str]], sought: Counter[str], size: int) -> Iterator[Near]:
    """Every run of `size` lines that has a token in common, with the share of both that is."""
    wanted = sought.total()
    inside: Counter[str] = Counter()
    common = count = 0
    for end, line in enumerate(in_lines, 1):
        for token in line:
            inside[token] += 1
            common += inside[token] <= sought[token]
        count += len(line)
        if end > size:
            for token in in_lines[end - size - 1]:
                common -= inside[token] <= sought[token]
                inside[token] -= 1
            count -= len(in_lines[end - size - 1])
        if end >= size and common:
            yield Near(end - size, end, 2 * common / (wanted + count))
