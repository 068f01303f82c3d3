"""What every part of the index benchmark is handed: options, sizes, folders, and where its figures go."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, Values, high, ratio, summary
from benchmarks.index.repositories import Subject
from benchmarks.index.service import Home
from benchmarks.results import Results
from benchmarks.targets import Say

OURS = "ours"


class Sizes(msgspec.Struct, frozen=True):
    """How much of everything."""

    saves: int = 40
    """Of the one large file, one after another."""
    saves_in_a_row: int = 2_000
    queries: int = 200
    switched_files: int = 1_000
    embedded_chunks: int = 400
    """A quarter of a minute of sentence-transformers as it comes, in each run."""
    searched_files: int = 16_350
    """Of the made repository: about 100,000 chunks."""
    resting_files: int = 50_000
    idle_s: float = 60.0
    settle_s: float = 90.0
    """After the last work: children are kept for a minute, and the store is compacted."""


FULL = Sizes()
QUICK = Sizes(
    saves=3,
    saves_in_a_row=8,
    queries=10,
    switched_files=12,
    embedded_chunks=24,
    searched_files=60,
    resting_files=80,
    idle_s=2.0,
    settle_s=1.0,
)


class Options(msgspec.Struct, frozen=True):
    runs: int
    quick: bool
    only: tuple[str, ...] = ()
    """Names or parts of names of figures; empty means everything."""
    without: tuple[str, ...] = ()

    def wants(self, *names: str) -> bool:
        return not self.only or any(wanted in name for wanted in self.only for name in names)


class Bench:
    """One run of the benchmark."""

    def __init__(self, options: Options, scratch: Path, subject: Subject, say: Say) -> None:
        self.options = options
        self.sizes = QUICK if options.quick else FULL
        self.runs = 1 if options.quick else options.runs
        self.scratch = scratch
        self.subject = subject
        self.say = say
        self.results = Results()
        self.figures: list[Figure] = []
        self.told: dict[str, object] = {}
        """What a reader must know beside the figures: how many files, chunks, and so on."""
        self._homes = itertools.count(1)

    def home(self, environment: Mapping[str, str] | None = None) -> Home:
        """New folders for a service."""
        return Home(self.scratch / f"home{next(self._homes)}", environment)

    def absolute(self, name: str, values: Values, against: str = "", unit: str = "s") -> None:
        """The median of one value a run."""
        if values:
            self._add(summary(name, values, unit, against))

    def high(self, name: str, values: Values, against: str = "", unit: str = "s") -> None:
        """The 95th percentile of many values."""
        if values:
            self._add(high(name, values, unit, against))

    def ratio(self, name: str, over: Values, under: Values, against: str) -> None:
        """Of two rows that were measured turn by turn; nothing where one of them was not."""
        if over and under:
            self._add(ratio(name, over, under, against))

    def single(self, name: str, value: float, unit: str, against: str = "") -> None:
        self._add(Figure(name, value, unit, against, 1, value, value))

    def _add(self, figure: Figure) -> None:
        self.figures.append(figure)
        self.say(f"{figure.name}: {figure.value:.4g} {figure.unit}")


class Part(msgspec.Struct, frozen=True):
    """What is measured together."""

    title: str
    names: tuple[str, ...]
    """Of its figures: asking for any of them asks for all."""
    minutes: float
    """About, of a full run on two cores."""
    run: Callable[[Bench], Awaitable[None]]
