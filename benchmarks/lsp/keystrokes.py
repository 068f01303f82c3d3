"""Release histories as keystrokes at human speed: runs of keys that are played in real time, and what lies between.

The same commits give the same runs with the same pauses.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from benchmarks.context.history import Commit
from benchmarks.context.replay import KEY_S, Edited, Event, replay
from indexer.packing.syntax import language_of

MEAN_INTERVAL_S = 0.239
"""Between two keys: Dhakal, Feit, Kristensson and Oulasvirta, Observations on Typing from 136 Million Keystrokes (CHI
2018), 168,000 people. There it is text that is copied; where somebody thinks the replay says so."""
SCATTER = 0.5
"""Of the logarithm: intervals are log-normal, and in that study their standard deviation is about half of the mean."""
MEDIAN_INTERVAL_S = MEAN_INTERVAL_S / 2.718281828 ** (SCATTER**2 / 2)
SHORTEST_S, LONGEST_S = 0.04, 2.0
"""Of a pause: rolled keys come no closer, and who thinks for longer is the same to a completion as one who has gone."""

PROSE = ("plaintext", "markdown", "restructuredtext", "toml", "yaml", "json", "ini")
"""Languages in which nothing is programmed."""
LEAST_KEYS, MOST_KEYS = 20, 90
"""Of a run. What is longer goes on as if it were pasted: another place tells more."""


class Key(msgspec.Struct, frozen=True):
    text: str
    """What it brings: a character, or a line break with the indentation that editors put behind it."""
    then_s: float
    """Until the next one."""


class Run(msgspec.Struct, frozen=True):
    """Keys that are typed one behind the other at one place of a file."""

    path: str
    start: int
    """Where the cursor stands first, in characters."""
    keys: tuple[Key, ...]
    following: str
    """What the same person wrote behind that at once, and is not played."""

    @property
    def seconds(self) -> float:
        return sum(key.then_s for key in self.keys)

    @property
    def typed(self) -> str:
        return "".join(key.text for key in self.keys)

    def rest(self, number: int) -> str:
        """What follows the key with this number."""
        return "".join(key.text for key in self.keys[number + 1 :]) + self.following


Step = Event | Run
"""A run stands in the place of its events."""


def steps(commits: Iterable[Commit], others: Sequence[str] = ()) -> Iterator[Step]:
    """All commits in order; whatever no run holds is to be done at once."""
    for commit in commits:
        yield from _with_runs(list(replay(commit, others)))


def chosen(found: Sequence[Step], seconds: float) -> list[Step]:
    """Runs of so many seconds, spread over the whole of it; of the others what they bring, at once. Ends with the last
    run that is played."""
    runs = [each for each in found if isinstance(each, Run)]
    wanted = _spread(runs, seconds)
    result: list[Step] = []
    last = 0
    for each in found:
        if isinstance(each, Run) and each not in wanted:
            result.append(_at_once(each))
            continue
        result.append(each)
        if isinstance(each, Run):
            last = len(result)
    return result[:last]


def _spread(runs: Sequence[Run], seconds: float) -> list[Run]:
    """In an order that says nothing about where they stand, until they take so long."""
    taken: list[Run] = []
    total = 0.0
    for run in sorted(runs, key=lambda run: zlib.crc32(f"{run.path} {run.typed}".encode())):
        if total >= seconds:
            break
        taken.append(run)
        total += run.seconds
    return taken


def is_code(path: str) -> bool:
    """Completions of prose are another question."""
    return language_of(path) not in (None, *PROSE)


def _at_once(run: Run) -> Edited:
    return Edited(run.path, run.start, run.start, run.typed, 0.0, typed=False)


def _together(typed: Sequence[Edited]) -> Edited:
    first = typed[0]
    text = "".join(each.text for each in typed)
    return Edited(first.path, first.start, first.start, text, typed[-1].then_s, typed=False)


def _with_runs(events: Sequence[Event]) -> Iterator[Step]:
    at = 0
    while at < len(events):
        end = _end_of_run(events, at)
        typed = [each for each in events[at:end] if isinstance(each, Edited)]
        if not typed:
            yield events[at]
        elif len(typed) < LEAST_KEYS or not is_code(typed[0].path):
            yield _together(typed)
        else:
            played, left = typed[:MOST_KEYS], typed[MOST_KEYS:]
            yield _run(played, "".join(each.text for each in left))
            if left:
                yield _together(left)
        at = max(end, at + 1)


def _end_of_run(events: Sequence[Event], at: int) -> int:
    """Behind the last of the keys that are typed one behind the other from here on; `at` where there are none."""
    end, expected = at, None
    while end < len(events):
        event = events[end]
        if not isinstance(event, Edited) or not event.typed:
            break
        if expected is not None and (event.path, event.start) != expected:
            break
        expected = (event.path, event.start + len(event.text))
        end += 1
    return end


def _run(played: Sequence[Edited], following: str) -> Run:
    first = played[0]
    drawn = random.Random(zlib.crc32(f"{first.path} {first.start} {first.text}".encode()))
    keys = tuple(Key(each.text, pause_s(each.then_s, drawn)) for each in played)
    return Run(first.path, first.start, keys, following)


def pause_s(then_s: float, drawn: random.Random) -> float:
    """What the replay says of this pause, scattered as people's are; `KEY_S` stands for a key like any other."""
    median = MEDIAN_INTERVAL_S if then_s == KEY_S else then_s
    return min(LONGEST_S, max(SHORTEST_S, median * drawn.lognormvariate(0.0, SCATTER)))
