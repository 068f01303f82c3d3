"""From the model's answers to figures: what a pack is worth beside nothing and beside other methods' contexts."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from benchmarks.context.answers import Answer
from benchmarks.context.given import METHODS, Method
from benchmarks.figures import Figure

AT = 4096
"""Tokens of context at which methods are compared."""
NOTABLE = 0.1
"""Nats a token by which a line must become more or less likely to count as helped or hurt."""
RESAMPLES = 10_000
SEED = 0
CERTAIN = (2.5, 97.5)
"""Percentiles of the resampled values: the interval that `min` and `max` of these figures are."""

By = Mapping[Method, Answer]
"""One case's answers."""
Statistic = Callable[[Sequence[By]], float | None]
"""None where it cannot be said: nothing was helped, or nothing right without the pack."""


def figures(answers: Sequence[Answer]) -> Iterator[Figure]:
    cases = _by_case([answer for answer in answers if answer.budget == AT])
    for method in METHODS[:-1]:
        pairs = [case for case in cases if "foreword" in case and method in case]
        yield from _gains(f"nll_gain_{method}", pairs, method)
    pairs = [case for case in cases if "foreword" in case and "none" in case]
    crossing = [case for case in pairs if case["none"].kind != "random"]
    unselected = [case for case in pairs if case["none"].kind == "random"]
    yield from _figure("em_ratio", crossing, _exact_ratio, "ratio", "exact lines with the pack over without")
    yield from _figure(
        "em_gain_random", unselected, _exact_gain, "share", "exact lines with the pack minus without"
    )
    against = f"cases {NOTABLE} nats a token worse over those as much better, against no context"
    yield from _figure("hurt_over_helped", pairs, _hurt_over_helped, "ratio", against)
    yield from _plain(cases)


def curve(answers: Sequence[Answer], budgets: Sequence[int]) -> Iterator[Figure]:
    """Of the cases that were asked at every one of the budgets."""
    of_case: dict[str, dict[int, Answer]] = {}
    for answer in answers:
        if answer.method == "foreword" and answer.budget in budgets:
            of_case.setdefault(answer.case, {})[answer.budget] = answer
    whole = [each for each in of_case.values() if len(each) == len(budgets)]
    for budget in budgets if whole else ():
        at = [each[budget] for each in whole]
        yield _mean(f"nll_at_{budget}", [each.nll for each in at], "nats a token")
        yield _mean(f"em_at_{budget}", [float(each.exact) for each in at], "share")


def bootstrap(cases: Sequence[By], statistic: Statistic) -> tuple[float, float] | None:
    """The interval of a statistic when repositories are drawn with replacement, each with all of its cases."""
    groups: dict[str, list[By]] = {}
    for case in cases:
        groups.setdefault(next(iter(case.values())).repository, []).append(case)
    names = sorted(groups)
    draws = np.random.default_rng(SEED).integers(len(names), size=(RESAMPLES, len(names)))
    # With few repositories many draws are the same: each combination is worked out once.
    combinations, counts = np.unique(np.sort(draws, axis=1), axis=0, return_counts=True)
    values: list[float] = []
    for combination, count in zip(combinations.tolist(), counts.tolist(), strict=True):
        value = statistic([case for number in combination for case in groups[names[number]]])
        values += [value] * count if value is not None else []
    if not values:
        return None
    low, high = np.percentile(values, CERTAIN).tolist()
    return low, high


def _gains(name: str, pairs: Sequence[By], method: Method) -> Iterator[Figure]:
    def gain(cases: Sequence[By]) -> float:
        return statistics.fmean(case["foreword"].nll - case[method].nll for case in cases)

    against = (
        f"ours minus {method}, at {AT} tokens of context, all kinds; 95% interval, bootstrap by repository"
    )
    yield from _figure(name, pairs, gain, "nats a token", against)
    for part in ("import", "noimport", "member", "random"):
        of_kind = [case for case in pairs if case[method].kind == part]
        yield from _figure(
            f"{name}_{part}", of_kind, gain, "nats a token", against.replace("all kinds", part)
        )
    for repository in sorted({case[method].repository for case in pairs}):
        inside = [case for case in pairs if case[method].repository == repository]
        yield from _figure(
            f"{name}_{repository}", inside, gain, "nats a token", "ours minus theirs, one repository"
        )


def _exact_ratio(cases: Sequence[By]) -> float | None:
    without = sum(case["none"].exact for case in cases)
    return sum(case["foreword"].exact for case in cases) / without if without else None


def _exact_gain(cases: Sequence[By]) -> float:
    return statistics.fmean(case["foreword"].exact - case["none"].exact for case in cases)


def _hurt_over_helped(cases: Sequence[By]) -> float | None:
    gains = [case["foreword"].nll - case["none"].nll for case in cases]
    helped = sum(gain < -NOTABLE for gain in gains)
    return sum(gain > NOTABLE for gain in gains) / helped if helped else None


def _plain(cases: Sequence[By]) -> Iterator[Figure]:
    """Each method by itself, over all cases of a kind that it was asked for."""
    for method in METHODS:
        mine = [case[method] for case in cases if method in case]
        for kind in sorted({answer.kind for answer in mine}):
            of_kind = [answer for answer in mine if answer.kind == kind]
            yield _mean(f"nll_{method}_{kind}", [answer.nll for answer in of_kind], "nats a token")
            yield _mean(f"em_{method}_{kind}", [float(answer.exact) for answer in of_kind], "share")
            yield _mean(f"es_{method}_{kind}", [answer.similarity for answer in of_kind], "share")


def _figure(
    name: str, cases: Sequence[By], statistic: Statistic, unit: str, against: str
) -> Iterator[Figure]:
    value = statistic(cases) if cases else None
    interval = bootstrap(cases, statistic) if value is not None else None
    if value is not None and interval is not None:
        yield Figure(name, value, unit, against, len(cases), *interval)


def _mean(name: str, values: Sequence[float], unit: str) -> Figure:
    against = (
        f"mean at {AT} tokens; spread over the cases" if "_at_" not in name else "mean; spread over the cases"
    )
    return Figure(name, statistics.fmean(values), unit, against, len(values), min(values), max(values))


def _by_case(answers: Sequence[Answer]) -> list[By]:
    of_case: dict[str, dict[Method, Answer]] = {}
    for answer in answers:
        of_case.setdefault(answer.case, {})[answer.method] = answer
    return list(of_case.values())
