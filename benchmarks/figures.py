"""From measured values to figures: medians with their spread, ratios of what ran side by side, percentiles."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec

P95 = 0.95

Values = Sequence[float]


class Figure(msgspec.Struct, frozen=True):
    name: str
    value: float
    unit: str
    against: str
    """What it is compared with or was measured with, named exactly; empty where there is nothing to say."""
    n: int
    min: float
    max: float


def summary(name: str, values: Values, unit: str, against: str = "") -> Figure:
    """The median and the spread of one value a run."""
    return Figure(name, statistics.median(values), unit, against, len(values), min(values), max(values))


def ratio(name: str, over: Values, under: Values, against: str) -> Figure:
    """The ratio of the medians; its spread is that of the runs, each divided by its neighbour in time."""
    each = [above / below for above, below in zip(over, under, strict=False)]
    value = statistics.median(over) / statistics.median(under)
    return Figure(name, value, "ratio", against, len(each), min(each), max(each))


def high(name: str, values: Values, unit: str, against: str = "") -> Figure:
    """The 95th percentile, with the spread of all values."""
    return Figure(name, percentile(values, P95), unit, against, len(values), min(values), max(values))


def percentile(values: Values, share: float) -> float:
    """The smallest value that at least `share` of them do not exceed (nearest rank: no value is made up)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
