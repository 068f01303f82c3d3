"""Sequences in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def batched(items: Sequence[_T], count: int) -> Iterator[Sequence[_T]]:
    """Runs of at most `count` items (itertools has this from Python 3.12 on)."""
    for start in range(0, len(items), count):
        yield items[start : start + count]


def batched_by_weight(
    items: Sequence[_T], count: int, weight: int, weight_of: Callable[[_T], int]
) -> Iterator[list[_T]]:
    """Runs of at most `count` items and, unless a single one is heavier, at most `weight` together."""
    run: list[_T] = []
    total = 0
    for item in items:
        heavy = weight_of(item)
        if run and (len(run) == count or total + heavy > weight):
            yield run
            run, total = [], 0
        run.append(item)
        total += heavy
    if run:
        yield run
