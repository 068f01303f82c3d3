"""Figures of what is in a context: the share of cases whose needed definition it shows, and how soon it is there."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from benchmarks.archives import NETWORKX
from benchmarks.context.case import Case
from benchmarks.context.given import METHODS, Given, Method
from benchmarks.figures import Figure, high, percentile

KINDS = ("import", "noimport", "member", "ts", "go")
"""Of the last two: imports too, in TypeScript and in Go."""


def figures(given: Sequence[Given]) -> Iterator[Figure]:
    """Ours without a method in their names, and each baseline's."""
    for method in reversed(METHODS):
        mine = [each for each in given if each.method == method]
        prefix = "" if method == "foreword" else f"{method}_"
        for kind in KINDS:
            of_kind = [each for each in mine if _kind(each.case) == kind]
            for budget in sorted({each.budget for each in of_kind}):
                ending = "" if kind == "import" else f"_{kind}"
                at = [each for each in of_kind if each.budget == budget]
                yield from _shares(f"{prefix}shown_{budget}{ending}", at)
        yield from _seconds(method, mine)


def _kind(case: Case) -> str:
    return {"python": case.kind, "typescript": "ts", "go": "go"}[case.language]


def _shares(name: str, given: Sequence[Given]) -> Iterator[Figure]:
    """Of all, with the spread over the repositories, and of each repository."""
    of_repository = {
        repository: [each.shown for each in given if each.case.repository == repository]
        for repository in sorted({each.case.repository for each in given})
    }
    shares = {repository: statistics.fmean(shown) for repository, shown in of_repository.items()}
    against = "cases whose needed definition is in the context; spread over repositories"
    value = statistics.fmean(each.shown for each in given)
    yield Figure(name, value, "share", against, len(given), min(shares.values()), max(shares.values()))
    for repository, share in shares.items():
        yield Figure(f"{name}_{repository}", share, "share", "", len(of_repository[repository]), share, share)


def _seconds(method: Method, given: Sequence[Given]) -> Iterator[Figure]:
    name = "pack_p95_s" if method == "foreword" else f"{method}_p95_s"
    against = (
        "at all budgets, the second time at a place" if method == "foreword" else "at all budgets, once warm"
    )
    for repository in sorted({each.case.repository for each in given}):
        seconds = [each.seconds for each in given if each.case.repository == repository]
        yield high(f"{name}_{repository}", seconds, "s", against)
        if repository == NETWORKX.package:
            yield high(name, seconds, "s", f"networkx, {against}")
            median = percentile(seconds, 0.5)
            yield Figure(
                name.replace("p95", "p50"), median, "s", "", len(seconds), min(seconds), max(seconds)
            )
