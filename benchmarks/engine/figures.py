"""The figures of the engine: its named ratios, and one figure for every row of every target."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from benchmarks.figures import Figure, Values, ratio, summary

OURS, STOCK, LLAMACPP = "ours", "stock", "llamacpp"

Measured = Mapping[str, Mapping[str, Values]]
"""Row, then target, then one value a run; the n-th values of all targets were taken right after one another."""


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
