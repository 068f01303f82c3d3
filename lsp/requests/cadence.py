"""When to ask: at once where people wait, elsewhere when this person pauses.

A request that the next keystroke makes useless costs the engine as long as it would have taken. So nobody waits longer
than that before asking (the rule of renting skis: at most twice what somebody would pay who knew the next keystroke),
nor longer than it takes to see that this person has paused.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

OPENERS = "([{:.="
"""After these people look at what they are offered: arguments, elements, a body, a member, a value."""

PAUSE_S = 1.0
"""A longer interval between two edits is no typing; it says nothing of how fast somebody types."""

TYPICAL_INTERVAL_S = 0.2
"""Between two keystrokes, 60 words a minute, until this person's was measured."""

STOPPED = 3.0
"""In typical intervals: of a hundred keystrokes in a run one takes longer (z = ln 3 / 0.5). Who stops, looks up."""

RESTED = 10.0
"""In typical intervals. Nobody is in the middle of typing so long after a key: who still looks waits for an idea."""

PAUSED = 1.5
"""In typical intervals: with logarithms of intervals that scatter by a half, four of five keystrokes in a run come
sooner (log-normal, z = ln 1.5 / 0.5)."""

TYPICAL_ANSWER_S = 0.5
"""Of an engine, until it was measured."""

WEIGHT = 0.1
"""Of one interval or answer in the mean of the logarithms: the last twenty are nine tenths of it."""

REMEMBERED = 64
"""Documents."""


class Mean:
    """Of durations, smoothed by their logarithms: one long one is an outlier."""

    def __init__(self, first_s: float) -> None:
        self.seconds = first_s

    def add(self, seconds: float) -> None:
        if seconds > 0:
            mixed = (1 - WEIGHT) * math.log(self.seconds) + WEIGHT * math.log(seconds)
            self.seconds = math.exp(mixed)


class Cadence:
    """Of one user and the engine in use."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._interval = Mean(TYPICAL_INTERVAL_S)
        self._answers: OrderedDict[str, Mean] = OrderedDict()
        self._edited: OrderedDict[str, float] = OrderedDict()

    def edited(self, document: str) -> None:
        """Its text has changed."""
        now, last = self._clock(), self._edited.get(document)
        if last is not None and now - last <= PAUSE_S:
            self._interval.add(now - last)
        self._edited[document] = now
        _newest(self._edited, document)

    def accepted(self, document: str) -> None:
        """What was shown was accepted: what follows is waited for."""
        self._edited.pop(document, None)

    def answered(self, endpoint: str, seconds: float) -> None:
        """So long it took from the question at this endpoint to the whole of what was shown."""
        self._answers.setdefault(endpoint, Mean(TYPICAL_ANSWER_S)).add(seconds)
        _newest(self._answers, endpoint)

    def wait_s(self, document: str, line_before: str, endpoint: str) -> float:
        """How long to wait for the next keystroke before asking here, as of now."""
        last = self._edited.get(document)
        if last is None or waited_for(line_before):
            return 0.0
        answer = self._answers.get(endpoint)
        answer_s = TYPICAL_ANSWER_S if answer is None else answer.seconds
        whole = min(PAUSED * self._interval.seconds, answer_s)
        return max(0.0, last + whole - self._clock())

    def paused_in_s(self, document: str) -> float:
        """How long until whoever types here has paused, if no key comes; 0 where nobody has typed."""
        return self._since_edit_in_s(document, PAUSED)

    def stopped_in_s(self, document: str) -> float:
        """The same until whoever types here has stopped."""
        return self._since_edit_in_s(document, STOPPED)

    def rested_in_s(self, document: str) -> float:
        """The same until whoever types here waits for an idea."""
        return self._since_edit_in_s(document, RESTED)

    def _since_edit_in_s(self, document: str, intervals: float) -> float:
        last = self._edited.get(document)
        return 0.0 if last is None else max(0.0, last + intervals * self._interval.seconds - self._clock())


def waited_for(line_before: str) -> bool:
    """Whether people wait for an offer behind this part of a line: at its beginning, and after an opener."""
    code = line_before.rstrip()
    return not code or code[-1] in OPENERS


def _newest(known: OrderedDict[str, float] | OrderedDict[str, Mean], name: str) -> None:
    known.move_to_end(name)
    while len(known) > REMEMBERED:
        known.popitem(last=False)
