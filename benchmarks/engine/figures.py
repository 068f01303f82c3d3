"""From measured seconds to figures: medians with their spread, and ratios of what ran side by side."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import msgspec

OURS, STOCK, LLAMACPP = "ours", "stock", "llamacpp"
P95 = 0.95

Values = Sequence[float]
Measured = Mapping[str, Mapping[str, Values]]
"""Row, then target, then one value a run; the n-th values of all targets were taken right after one another."""


class Figure(msgspec.Struct, frozen=True):
    name: str
    value: float
    unit: str
    against: str
    """What it is compared with or was measured with, named exactly; empty where there is nothing to say."""
    n: int
    min: float
    max: float


class Ratio(msgspec.Struct, frozen=True):
    """A figure that the project is held to: the `over` target's row divided by the `under` target's."""

    name: str
    over: tuple[str, str]
    under: tuple[str, str]


_WARM = "warm_ttft_{large}_plus_{new}"

NAMED = (
    Ratio("stock_over_ours_warm_ttft", (STOCK, _WARM), (OURS, _WARM)),
    Ratio("llamacpp_over_ours_warm_ttft", (LLAMACPP, _WARM), (OURS, _WARM)),
    Ratio("warm_over_cold_ttft", (OURS, _WARM), (OURS, "cold_ttft_{large}")),
    Ratio("llamacpp_over_ours_keystroke", (LLAMACPP, "keystroke_{large}"), (OURS, "keystroke_{large}")),
    Ratio("stock_over_ours_decode_6k", (STOCK, "decode_{large}"), (OURS, "decode_{large}")),
    Ratio("llamacpp_over_ours_prefill_2k", (LLAMACPP, "cold_ttft_{middle}"), (OURS, "cold_ttft_{middle}")),
    # Rows are seconds a token, these are tokens a second: so llama.cpp's seconds stand above.
    Ratio("ours_over_llamacpp_decode_128", (LLAMACPP, "decode_{short}"), (OURS, "decode_{short}")),
    Ratio("ours_over_llamacpp_decode_2k", (LLAMACPP, "decode_{middle}"), (OURS, "decode_{middle}")),
    Ratio("ttft_beside_warmup_over_alone", (OURS, "interactive_beside_warmup"), (OURS, "interactive_alone")),
)


def summary(name: str, values: Values, unit: str, against: str = "") -> Figure:
    """The median and the spread of one value a run."""
    return Figure(name, statistics.median(values), unit, against, len(values), min(values), max(values))


def ratio(name: str, over: Values, under: Values, against: str) -> Figure:
    """The ratio of the medians; its spread is that of the runs, each divided by its neighbour in time."""
    each = [above / below for above, below in zip(over, under, strict=False)]
    value = statistics.median(over) / statistics.median(under)
    return Figure(name, value, "ratio", against, len(each), min(each), max(each))


def percentile(values: Values, share: float) -> float:
    """The smallest value that at least `share` of them do not exceed (nearest rank: no value is made up)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def absolute_figures(measured: Measured, described: Mapping[tuple[str, str], str]) -> list[Figure]:
    """One figure for each row of each target; `described` says with which settings, by row and target."""
    return [
        summary(
            f"{target}_{row}_s",
            values,
            "s/token" if row.startswith("decode_") else "s",
            described.get((row, target), ""),
        )
        for row, targets in measured.items()
        for target, values in targets.items()
        if values
    ]


def named_ratios(
    measured: Measured, described: Mapping[tuple[str, str], str], places: Mapping[str, str]
) -> list[Figure]:
    """The figures of NAMED whose rows were measured; `places` gives the rows' sizes."""
    found: list[Figure] = []
    for wanted in NAMED:
        (above, over_row), (below, under_row) = wanted.over, wanted.under
        over_row, under_row = over_row.format_map(places), under_row.format_map(places)
        over, under = measured.get(over_row, {}).get(above), measured.get(under_row, {}).get(below)
        if over and under:
            against = described.get((over_row, above), "") if above != OURS else f"ours, {under_row}"
            found.append(ratio(wanted.name, over, under, against))
    return found


def other_ratios(measured: Measured, described: Mapping[tuple[str, str], str]) -> list[Figure]:
    """Every row against every baseline that has it too."""
    return [
        ratio(f"{target}_over_ours_{row}", values, targets[OURS], described.get((row, target), ""))
        for row, targets in measured.items()
        if targets.get(OURS)
        for target, values in targets.items()
        if target != OURS and values
    ]
