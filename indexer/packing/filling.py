"""Fills a budget of tokens with versions of things, for the most value: a knapsack whose things overlap.

Greedy by what each next version adds in value per token to what is already taken, what it contains counted once (the
classical approximation for multiple-choice knapsacks: Kellerer, Pferschy and Pisinger, Knapsack Problems, 2004, chapter
11; here with containment). `tests/test_filling.py` measures how far it stays from the optimum."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import msgspec

from indexer.packing.spans import Span

Cost = Callable[[str, Span], int]
"""Tokens of some lines of a path alone."""


class Way(msgspec.Struct, frozen=True):
    """One version of a thing: these lines, and what it is worth then."""

    span: Span
    value: float


class Thing(msgspec.Struct, frozen=True):
    """In ever larger versions, none worth less than the one before it."""

    path: str
    ways: tuple[Way, ...]
    least: int = 0
    """The first version that is taken for itself; smaller ones count where they are there."""


class Prices(msgspec.Struct, frozen=True):
    """What lines cost."""

    exact: Cost
    roughly: Cost
    """Good enough to compare by, and quick."""
    header: Callable[[str], int]
    """Tokens that the first lines of a path cost beside themselves."""


class Filling:
    """Takes things while they fit."""

    def __init__(
        self,
        things: Sequence[Thing],
        prices: Prices,
        budget: int,
        *,
        dearest: int,
        held: Callable[[str, Span], bool] = lambda path, span: False,
        wanted: Sequence[bool] | None = None,
    ) -> None:
        """`dearest`: tokens that one step may take at most. What is `held` is there already and costs nothing. Things
        that are not `wanted` count where they are within others, and are not taken for themselves."""
        self.runs: dict[str, dict[Span, int]] = {}
        """Disjoint runs of lines of each path, with their tokens."""
        self.tokens = 0
        self.values = [0.0] * len(things)
        self.chosen = [-1] * len(things)
        """Which version of each thing is there; -1: none."""
        self._things = things
        self._spans = [[way.span for way in thing.ways] for thing in things]
        self._worth = [[way.value for way in thing.ways] for thing in things]
        self._prices = prices
        self._budget = budget
        self._dearest = dearest
        self._wanted = wanted if wanted is not None else [True] * len(things)
        self._within = _Containment(things)
        self._refused: set[tuple[int, int]] = set()
        self._is_held = [
            [held(thing.path, span) for span in spans]
            for thing, spans in zip(things, self._spans, strict=True)
        ]
        for number, ways in enumerate(self._is_held):
            for way, is_held in enumerate(ways):
                if is_held:
                    self._note(number, way)

    @property
    def value(self) -> float:
        return sum(self.values)

    def fill(self) -> None:
        """Until nothing fits."""
        heap: list[tuple[float, int, int]] = []
        for number, wanted in enumerate(self._wanted):
            if wanted:
                self._push(heap, number)
        while heap:
            promised, number, way = heapq.heappop(heap)
            ratio = self._ratio(number, way)
            if -ratio > promised and heap and -ratio > heap[0][0]:  # others have changed what it adds
                self._push(heap, number)
                continue
            self._take(number, way)
            self._push(heap, number)

    def fill_up(self, budget: int, wanted: Sequence[bool]) -> None:
        """Goes on with a larger budget, for these things alone."""
        self._budget, self._wanted = budget, wanted
        self._refused.clear()
        self.fill()

    def put(self, path: str, span: Span, budget: int) -> None:
        """These lines as well, of a path that is there, if they fit into the budget."""
        runs = self.runs.get(path, {})
        if any(start <= span[0] and span[1] <= end for start, end in runs) or not runs:
            return
        together, replaced = _joined(runs, span)
        tokens = self._prices.exact(path, together)
        added = tokens - sum(runs[run] for run in replaced)
        if self.tokens + added <= budget:
            for run in replaced:
                del runs[run]
            runs[together] = tokens
            self.tokens += added

    def _push(self, heap: list[tuple[float, int, int]], number: int) -> None:
        """The version that adds most for its tokens now."""
        best, best_way = 0.0, -1
        first = max(self.chosen[number] + 1, self._things[number].least)
        for way in range(first, len(self._worth[number])):
            if (number, way) not in self._refused:
                ratio = self._ratio(number, way)
                if ratio > best:
                    best, best_way = ratio, way
        if best_way >= 0:
            heapq.heappush(heap, (-best, number, best_way))

    def _ratio(self, number: int, way: int) -> float:
        """What a version adds in value for each token, roughly; 0 for nothing."""
        added = self._worth[number][way] - self.values[number]
        for inner, inner_way in self._within.of(number, way):
            more = self._worth[inner][inner_way] - self.values[inner]
            if more > 0.0:
                added += more
        if added <= 0.0:
            return 0.0
        tokens = self._added(number, way, self._prices.roughly)
        if self.tokens + tokens > self._budget or tokens > self._dearest:
            return 0.0
        return added / max(tokens, 1)

    def _added(self, number: int, way: int, price: Cost) -> int:
        """Tokens that the lines of a version add to what is there."""
        if self._is_held[number][way]:
            return 0
        path, span = self._things[number].path, self._spans[number][way]
        runs = self.runs.get(path)
        if runs is None:
            return self._prices.header(path) + price(path, span)
        together, replaced = _joined(runs, span)
        if together in runs:
            return 0
        if not replaced:
            return price(path, span)
        return max(0, price(path, together) - sum(price(path, run) for run in replaced))

    def _take(self, number: int, way: int) -> None:
        thing = self._things[number]
        span = self._spans[number][way]
        tokens = self._added(number, way, self._prices.exact)
        if self.tokens + tokens > self._budget:
            self._refused.add((number, way))
            return
        self._note(number, way)
        for inner, inner_way in self._within.of(number, way):
            self._note(inner, inner_way)
        if not self._is_held[number][way]:
            self.tokens += tokens
            runs = self.runs.setdefault(thing.path, {})
            together, replaced = _joined(runs, span)
            for run in replaced:
                del runs[run]
            runs[together] = self._prices.exact(thing.path, together)

    def _note(self, number: int, way: int) -> None:
        if way > self.chosen[number]:
            self.chosen[number], self.values[number] = way, self._worth[number][way]


def _joined(runs: dict[Span, int], span: Span) -> tuple[Span, list[Span]]:
    """`span` with the runs that it shares lines with, and those."""
    start, end = span
    replaced = [run for run in runs if run[0] < end and start < run[1]]
    if not replaced:
        return span, replaced
    return (min(start, min(replaced)[0]), max(end, *[run[1] for run in replaced])), replaced


class _Containment:
    """Which version of which other thing lies within a version."""

    def __init__(self, things: Sequence[Thing]) -> None:
        self._things = things
        self._known: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
        self._by_path: defaultdict[str, list[tuple[int, int]]] | None = None

    def of(self, number: int, way: int) -> tuple[tuple[int, int], ...]:
        """(thing, its largest version that is within)."""
        known = self._known.get((number, way))
        if known is None:
            known = self._known[number, way] = tuple(self._find(number, way))
        return known

    def _places(self, path: str) -> list[tuple[int, int]]:
        """(first line, thing) of all that are of this path, in order."""
        if self._by_path is None:
            self._by_path = defaultdict(list)
            for number, thing in enumerate(self._things):
                self._by_path[thing.path].append((thing.ways[0].span[0], number))
            for there in self._by_path.values():
                there.sort()
        return self._by_path[path]

    def _find(self, number: int, way: int) -> Iterator[tuple[int, int]]:
        start, end = self._things[number].ways[way].span
        there = self._places(self._things[number].path)
        for _, other in there[bisect_left(there, (start, -1)) : bisect_left(there, (end, -1))]:
            if other == number:
                continue
            spans = [each.span for each in self._things[other].ways]
            held = [at for at, span in enumerate(spans) if start <= span[0] and span[1] <= end]
            if held:
                yield other, held[-1]
