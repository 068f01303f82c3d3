"""The knapsack of the pack: what it takes is worth nearly as much as the best that could be taken."""

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.packing.filling import Filling, Prices, Thing, Way

HEADER = 2


def lines(_: str, span: tuple[int, int]) -> int:
    """A token a line."""
    return span[1] - span[0]


PRICES = Prices(lines, lines, lambda _: HEADER)


def worth(things: Sequence[Thing], runs: dict[str, set[int]]) -> float:
    """Of each thing the best version all of whose lines are there."""
    total = 0.0
    for thing in things:
        there = runs.get(thing.path, set())
        total += max((way.value for way in thing.ways if set(range(*way.span)) <= there), default=0.0)
    return total


def taken(filling: Filling) -> dict[str, set[int]]:
    return {path: {line for run in runs for line in range(*run)} for path, runs in filling.runs.items()}


def optimum(things: Sequence[Thing], budget: int) -> float:
    best = 0.0
    for choice in itertools.product(*[(None, *thing.ways) for thing in things]):
        runs: dict[str, set[int]] = {}
        for thing, way in zip(things, choice, strict=True):
            if way is not None:
                runs.setdefault(thing.path, set()).update(range(*way.span))
        if sum(len(there) + HEADER for there in runs.values()) <= budget:
            best = max(best, worth(things, runs))
    return best


def made(seed: int) -> list[Thing]:
    """Classes with their members, and functions, as a pack has them."""
    rng = random.Random(seed)
    things: list[Thing] = []
    for number in range(rng.randint(1, 2)):
        path, line = f"{number}.py", 0
        for _ in range(rng.randint(1, 2)):
            length, chance = rng.randint(2, 8), rng.random() ** 3
            members = rng.random() < 0.5 and length > 4
            ways = [Way((line, line + 1), 0.62 * chance), Way((line, line + length), chance)]
            things.append(Thing(path, tuple(ways)))
            if members:
                inner = line + 2
                things.append(Thing(path, (Way((inner, inner + 1), 0.6 * rng.random()),)))
            line += length + 1
    return things


def test_it_is_near_the_optimum():
    """Over 150 small instances, and never worse than four fifths of it."""
    shares: list[float] = []
    for seed in range(150):
        things, budget = made(seed), random.Random(seed).randint(4, 20)
        filling = Filling(things, PRICES, budget, dearest=budget)
        filling.fill()
        best = optimum(things, budget)
        if best:
            shares.append(worth(things, taken(filling)) / best)
    assert sum(shares) / len(shares) >= 0.99
    assert min(shares) >= 0.8


@given(st.integers(0, 10_000), st.integers(0, 40))
def test_it_is_within_the_budget_and_says_what_it_holds(seed: int, budget: int):
    things = made(seed)
    filling = Filling(things, PRICES, budget, dearest=max(budget, 1))
    filling.fill()
    there = taken(filling)
    assert filling.tokens == sum(len(found) + HEADER for found in there.values()) <= budget
    assert filling.value == pytest.approx(worth(things, there))
    for runs in filling.runs.values():
        ordered = sorted(runs)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(ordered)), "disjoint"


def test_what_is_held_costs_nothing_and_what_is_around_it_only_the_rest():
    things = [Thing("a.py", (Way((0, 1), 0.5), Way((0, 4), 1.0)))]
    filling = Filling(things, PRICES, 0, dearest=1, held=lambda path, span: span == (0, 1))
    assert filling.value == 0.5 and not filling.runs


def test_what_is_not_wanted_counts_where_it_is_within_another():
    things = [Thing("a.py", (Way((0, 5), 0.4),)), Thing("a.py", (Way((2, 3), 0.3),))]
    filling = Filling(things, PRICES, 7, dearest=7, wanted=[True, False])
    filling.fill()
    assert filling.value == pytest.approx(0.7)
    alone = Filling(things, PRICES, 3, dearest=7, wanted=[True, False])
    alone.fill()
    assert not alone.runs


def test_it_goes_on_where_it_was():
    things = [
        Thing("a.py", (Way((0, 3), 0.4),)),
        Thing("b.py", (Way((0, 3), 0.3),)),
        Thing("c.py", (Way((0, 3), 0.2),)),
    ]
    filling = Filling(things, PRICES, 5, dearest=5)
    filling.fill()
    filling.fill_up(20, [False, False, True])
    assert filling.runs.keys() == {"a.py", "c.py"}


def test_no_step_is_dearer_than_it_may_be():
    things = [Thing("a.py", (Way((0, 1), 0.1), Way((0, 30), 1.0)))]
    filling = Filling(things, PRICES, 40, dearest=10)
    filling.fill()
    assert filling.chosen == [0]
