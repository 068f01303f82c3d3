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
true changes in which one word was another, 343 were sure by these two limits, and none at a wrong place."""

LOOSE_LINES = 1
"""A model leaves a line out, or makes one up: places of so many lines more and fewer are looked at too."""

MOST_TOKENS = 400_000
"""Of a file: looking through so many takes half a second."""

CLOSER_LOOKS = 4
"""Places whose tokens are compared in order, after all were compared as bags."""

NEAR_LINES = 2
"""By so many lines a place may begin earlier or later than its bag of tokens says."""

SURE_TOKENS = 1_200
"""Of a text that is looked for. In a longer one whole lines are compared: its tokens would take seconds."""

MOST_LINES = 2_000
"""Of a text that is looked for: no model copies more."""

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
    """The nearest places, the best first, none overlapping another; none where text or file is too large to look."""
    sought = [tokens(line) for line in wanted]
    in_lines = [tokens(line) for line in lines]
    if not any(sought) or len(wanted) > MOST_LINES or sum(map(len, in_lines)) > MOST_TOKENS:
        return []
    bag = Counter(token for line in sought for token in line)
    rough: list[Near] = []
    for size in range(max(1, len(wanted) - LOOSE_LINES), len(wanted) + LOOSE_LINES + 1):
        rough += _windows(in_lines, bag, size)
    rough.sort(key=lambda near: (-near.score, abs(near.end - near.start - len(wanted)), near.start))
    found: list[Near] = []
    for place in _apart(rough, CLOSER_LOOKS):
        around = [near for near in rough if abs(near.start - place.start) <= NEAR_LINES]
        found.append(_best(around, sought, in_lines))
    found.sort(key=lambda near: (-near.score, abs(near.end - near.start - len(wanted)), near.start))
    return _apart(found, most)


def _apart(found: Sequence[Near], most: int) -> list[Near]:
    """The first of them that do not overlap."""
    kept: list[Near] = []
    for near in found:
        if all(near.end <= other.start or near.start >= other.end for other in kept):
            kept.append(near)
            if len(kept) == most:
                break
    return kept


def _best(around: Sequence[Near], sought: Sequence[Sequence[str]], in_lines: Sequence[Sequence[str]]) -> Near:
    """Of places that are in the order of their bags, in which as much is in common as can be in order."""
    best = Near(around[0].start, around[0].end, 0.0)
    for near in around:
        if near.score <= best.score:
            break
        score = _in_order(sought, in_lines[near.start : near.end])
        if score > best.score:
            best = Near(near.start, near.end, score)
    return best


def _in_order(sought: Sequence[Sequence[str]], there: Sequence[Sequence[str]]) -> float:
    """The share of tokens that both have in common, in order."""
    sizes = [sum(map(len, lines)) for lines in (sought, there)]
    if max(sizes) <= SURE_TOKENS:
        one, other = ([token for line in lines for token in line] for lines in (sought, there))
        return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    matcher = difflib.SequenceMatcher(None, [*map(tuple, sought)], [*map(tuple, there)])
    same = sum(
        len(sought[block.a + at]) for block in matcher.get_matching_blocks() for at in range(block.size)
    )
    return 2 * same / sum(sizes)


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
