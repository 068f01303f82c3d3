"""How many threads compute: measured once at start, and fewer for a while when the machine turns out to be busy.

Every operation ends when its slowest thread does. On an idle machine two threads are nearly twice as fast; where other
programs hold the cores, one of them is put off the processor in the middle of each of some hundred operations per
token, and all wait for it.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import msgspec
import torch

MAX_THREADS = 16
"""More threads than this only wait for one another at the row counts of completions."""
ROUNDS = 3
"""Measurements of each count, interleaved; the median is taken. All together take about half a second."""
TRIALS = 5
"""Of two ways to do the same: the quickest of each counts, for others may use the cores at the same time."""
WORTH = 0.9
"""More threads must take less than this share of the time: they are not free for the rest of the machine."""
RUNNING = 0.8
"""On an idle machine the first thread runs for nearly all of the time; less, and the trial says little."""
PRESENT = 0.7
"""There, helping threads do at least this share of their part."""
WINDOW_S = 0.5
"""Waiting is judged over this much work: some twenty tokens, or one slice of a prompt."""
WAITING = 0.5
"""A thread that ran for less than this share of the time was mostly waiting for others."""
RETREAT_S = 20.0
"""How long fewer threads are used then; afterwards the machine may be idle again."""


class Measured(msgspec.Struct, frozen=True):
    threads: int
    seconds: dict[int, float]
    """Median time of the trial work by number of threads."""
    busy: bool = False
    """Other programs held the cores meanwhile, so that nothing is known of an idle machine."""

    def why(self) -> str:
        each = ", ".join(f"{count}: {1000 * taken:.0f} ms" for count, taken in self.seconds.items())
        return f"trial work by threads: {each}" + (
            " (on a busy machine: tried again later)" if self.busy else ""
        )


def most_threads() -> int:
    """As many as may compute here: what the host found of cores and quotas, or asked for."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(MAX_THREADS, int(told) if told.isdigit() and int(told) else os.cpu_count() or 1)


def candidates(cores: int) -> list[int]:
    """Counts worth a trial, fewest first: one, half of the cores, all but one, all."""
    return sorted({1, max(1, cores // 2), max(1, cores - 1), cores})


def measure(
    work: Callable[[], object],
    counts: Sequence[int],
    *,
    ran: Callable[[], float] = time.thread_time,
    tasks: Callable[[], tuple[int, int]] = lambda: (0, 0),
) -> Measured:
    """Time `work` at each count, set the best for this process, and tell. `counts` begin with the fewest.

    `ran` gives the seconds for which the calling thread has worked, `tasks` how many were shared out and how many of
    them helpers did, if they are counted.
    """
    taken: dict[int, list[float]] = {count: [] for count in counts}
    busy = False
    for round_number in range(ROUNDS + 1):
        for count in counts:
            torch.set_num_threads(count)
            began_s, ran_s, (shared, helped) = time.perf_counter(), ran(), tasks()
            work()
            if not round_number:
                continue  # the first round makes threads and kernels
            taken[count].append(time.perf_counter() - began_s)
            busy |= ran() - ran_s < RUNNING * taken[count][-1]
            all_tasks, by_helpers = tasks()
            busy |= by_helpers - helped < PRESENT * (all_tasks - shared) * (count - 1) / count
    seconds = {count: statistics.median(times) for count, times in taken.items()}
    best = fewest_worth(seconds)
    torch.set_num_threads(best)
    return Measured(best, seconds, busy=busy)


def fewest_worth(seconds: dict[int, float]) -> int:
    """The count to use: more threads than another only where they are clearly faster."""
    best = min(seconds)
    for count in sorted(seconds):
        if seconds[count] < WORTH * seconds[best]:
            best = count
    return best


def quickest(*works: Callable[[], object], trials: int = TRIALS) -> list[float]:
    """Seconds of each at its best, at the threads that are set: one after the other in each round, so that whatever
    disturbs a while of it disturbs all alike."""
    best = [math.inf] * len(works)
    for round_number in range(trials + 1):
        for number, work in enumerate(works):
            began_s = time.perf_counter()
            work()
            if round_number:  # the first makes threads and kernels
                best[number] = min(best[number], time.perf_counter() - began_s)
    return best


class Governor:
    """Watches how much of its time the computing thread really runs, and retreats to few threads where it waits."""

    def __init__(
        self,
        most: int,
        now: int | None = None,
        *,
        least: int = 1,
        set_threads: Callable[[int], None] = torch.set_num_threads,
        clock: Callable[[], float] = time.monotonic,
        ran: Callable[[], float] = time.thread_time,
    ) -> None:
        """`now`, where fewer than `most` are set already, counts as a retreat that has just begun. It goes to `least`:
        where that is `most` too, the number stays as it is."""
        self.now = most if now is None else now
        self._most, self._least = most, least
        self._set, self._clock, self._ran = set_threads, clock, ran
        self._wall_s = self._ran_s = 0.0
        self._retreat_until_s = clock() + RETREAT_S if self.now < most else 0.0

    @contextmanager
    def step(self) -> Generator[int]:
        """Around one forward pass; gives the threads to use for it."""
        began_s, ran_s = self._clock(), self._ran()
        if self.now < self._most and began_s >= self._retreat_until_s:
            self._use(self._most)
        yield self.now
        self._wall_s += self._clock() - began_s
        self._ran_s += self._ran() - ran_s
        if self._wall_s >= WINDOW_S:
            self._judge()

    def _judge(self) -> None:
        if self.now > self._least and self._ran_s < WAITING * self._wall_s:
            self._retreat_until_s = self._clock() + RETREAT_S
            self._use(self._least)
        self._wall_s = self._ran_s = 0.0

    def _use(self, threads: int) -> None:
        self.now = threads
        self._wall_s = self._ran_s = 0.0
        self._set(threads)
