"""Where in a run of lines the words meet that stand near the cursor."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

from indexer.packing.spans import Span
from indexer.parsing.lines import split_lines, trim_span
from indexer.parsing.words import words

LINES = 20
"""A screen's part: what somebody would look at to see how it is done there."""

STEP = 4
"""Lines between two places that are tried."""

_REMEMBERED = 8_192
"""Lines whose words are known, some 6 MB: search finds the same ones again while somebody types."""


def focus(text: str, start_line: int, said: Mapping[str, float]) -> Span:
    """The lines of `text`, which begins at `start_line`, in which most of what is `said` (word → how much it counts) is
    found; all of them where they are few."""
    lines = split_lines(text)
    if len(lines) <= LINES + STEP:
        return start_line, start_line + len(lines)
    found = [said.keys() & _words_of(line) for line in lines]

    def worth(first: int) -> float:
        words_there = frozenset[str]().union(*found[first : first + LINES])
        return math.fsum(map(said.__getitem__, words_there))  # exact: a set has another order in each process

    places = range(0, len(lines) - LINES + STEP, STEP)
    first, last = trim_span(
        lines, best := max(places, key=lambda place: (worth(place), -place)), best + LINES
    )
    return start_line + first, start_line + last


@functools.lru_cache(_REMEMBERED)
def _words_of(line: str) -> frozenset[str]:
    return frozenset(words(line))
