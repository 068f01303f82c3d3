"""Whether a model repeats itself, or what stands above the cursor."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_LINE_CHARS = 500
"""No line that a person writes is longer; a model that does not break its line by then is in a loop."""

MAX_PERIOD_LINES = 4
REPEATS_OF_A_LOOP = 3
"""The same one to four lines three times running: data tables aside, nobody wants the fourth."""

MIN_LOOP_CHARS = 4
"""Lines shorter than this (`}`, `fi`) repeat in honest code."""

MIN_PASSAGE_LINES = 3
MAX_PASSAGE_LINES = 12
MIN_PASSAGE_CHARS = 60
"""A passage as long as this that comes twice running is a loop already at its second time."""

REPEATS_IN_A_LINE = 6
MIN_UNIT_CHARS = 3
MAX_UNIT_CHARS = 60
_CIRCLES = re.compile(rf"(?=(.{{{MIN_UNIT_CHARS},{MAX_UNIT_CHARS}}}?)\1{{{REPEATS_IN_A_LINE - 1}}})")

ECHO_LINES = 2
"""So many lines that are exactly those above the cursor are an echo, not code."""

MIN_ECHO_CHARS = 16
"""A single line that is the one right above it is an echo when it is at least this long: `i += 1` may be meant."""


def circles(line: str) -> bool:
    """Whether `line` says one piece over and over: `a, b, a, b, a, b, …`. Rules (`-----`) and rows of
    numbers do not count."""
    if len(line) < MIN_UNIT_CHARS * REPEATS_IN_A_LINE:
        return False
    for match in _CIRCLES.finditer(line):
        unit = match.group(1)
        if len(set(unit)) > 1 and any(c.isalpha() for c in unit):
            return True
    return False


def loop_start(lines: Sequence[str]) -> int | None:
    """How many of `lines` are left when the loop that they end in is taken off: its first time stays."""
    for period in range(1, MAX_PERIOD_LINES + 1):
        if _loops(lines, period, REPEATS_OF_A_LOOP, MIN_LOOP_CHARS):
            return len(lines) - (REPEATS_OF_A_LOOP - 1) * period
    for period in range(MIN_PASSAGE_LINES, MAX_PASSAGE_LINES + 1):
        if _loops(lines, period, 2, MIN_PASSAGE_CHARS):
            return len(lines) - period
    return None


def _loops(lines: Sequence[str], period: int, times: int, least_chars: int) -> bool:
    if len(lines) < period * times:
        return False
    unit = list(lines[-period:])
    if sum(len(line.strip()) for line in unit) < least_chars:
        return False
    return list(lines[-period * times :]) == unit * times


def echoes(lines: Sequence[str], above: Sequence[str]) -> bool:
    """Whether `lines`, the first that were written, are those right `above` the cursor (the nearest first)."""
    if len(lines) == 1:
        line = lines[0]
        return bool(above) and line == above[0] and len(line.strip()) >= MIN_ECHO_CHARS
    if len(lines) != ECHO_LINES or not all(line.strip() for line in lines):
        return False
    return [*reversed(above[:ECHO_LINES])] == [*lines]
