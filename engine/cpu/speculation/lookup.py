"""Which tokens to propose for speculative decoding: what followed the longest earlier match of the text's end, and
how much of that is worth its rows.

Code repeats its context: a name that was typed once is typed again, with what follows it. So the end of the text is
looked up in the text itself (prompt lookup, the idea of LLMA, arXiv:2304.04487), and what stood after it there is
proposed. Whether a proposal pays depends on two measured things: how often proposals after a match of that length
come true in this text, and what a step of several rows costs against a step of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

import msgspec
import numpy as np
import numpy.typing as npt

MIN_MATCH_TOKENS = 1
"""Even after a single equal token two of five proposals come true: one more token in four steps, and rows cost
little."""
MAX_MATCH_TOKENS = 16
"""Matches are told apart by length up to here; longer ones come true no more often."""
LOOKUP_TOKENS = 65_536
"""As much of the text's end is searched: about 40 us. Repetition is local, and a window of a million tokens must not
be read for every token that is written."""

PRIOR_RATES = (0.38, 0.45, 0.55, 0.7, 0.75, 0.8, 0.87, 0.9)
"""How often the next token comes true after a match of 1, 2, 3, … tokens; the last one stands for all longer matches.
As observed over completions of httpx, pygls, starlette and typer by Qwen2.5-Coder-0.5B: the first over 96, the others
over 18, where they were 0.01 to 0.11 lower than over the 96."""
PRIOR_WEIGHT = 4.0
"""The prior counts as much as this many observed tokens."""
MEMORY = 32.0
"""About as many observed tokens of a match length are remembered: a text changes from code to a table and back."""

COST_SAMPLES = 15
"""Steps of each number of rows whose median is its cost; other programs disturb single ones."""
MIN_COST_SAMPLES = 3
"""Below this many the prior cost holds."""
FORGET_STEPS = 64
"""Every so many steps each number of rows loses its oldest sample: what looked dear in a disturbance and was not
tried since is tried again."""
LEAST_GAIN = 1.03
"""Proposals must promise this much more tokens per second: a smaller gain is lost in its own overhead."""

_Tokens = npt.NDArray[np.int32]


class TokenText:
    """The prompt and what was generated, as one array that grows."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._length = len(tokens)
        self._tokens: _Tokens = np.empty(max(64, self._length + self._length // 4), dtype=np.int32)
        self._tokens[: self._length] = tokens

    def __len__(self) -> int:
        return self._length

    def extend(self, tokens: Sequence[int]) -> None:
        end = self._length + len(tokens)
        if end > len(self._tokens):
            grown: _Tokens = np.empty(end + end // 2, dtype=np.int32)
            grown[: self._length] = self._tokens[: self._length]
            self._tokens = grown
        self._tokens[self._length : end] = tokens
        self._length = end

    def propose(self, limit: int) -> Proposal | None:
        """At most `limit` tokens that followed the longest earlier match of the text's end, the latest of equally
        long ones; None where even `MIN_MATCH_TOKENS` occur only once."""
        text = self._tokens[max(0, self._length - LOOKUP_TOKENS) : self._length]
        end = len(text)
        if end <= MIN_MATCH_TOKENS or limit < 1:
            return None
        # candidates are positions of a token that equals the last one; something must stand behind it
        found = np.flatnonzero(text[:-1] == text[-1])
        matched = 1
        while matched < MAX_MATCH_TOKENS and len(found) and end > matched:
            longer = found[found >= matched]
            longer = longer[text[longer - matched] == text[end - 1 - matched]]
            if not len(longer):
                break
            found = longer
            matched += 1
        if matched < MIN_MATCH_TOKENS or not len(found):
            return None
        start = int(found[-1]) + 1
        return Proposal(tokens=text[start : start + limit].tolist(), matched=matched)


class Proposal(msgspec.Struct, frozen=True):
    """What may come next, and on what ground."""

    tokens: list[int]
    matched: int
    """Tokens of the text's end that stand before the proposed ones, too."""


class AcceptRates:
    """How often the next token was as proposed, by the length of the match before it.

    Proposals count whether they were put to the model or not: the model's next token tells either way.
    """

    def __init__(self, before: AcceptRates | None = None) -> None:
        """`before` are the rates of other texts, which this one begins with."""
        self._rates = (
            list(before._rates) if before else [_prior(matched) for matched in range(MAX_MATCH_TOKENS + 1)]
        )
        self._weights = [PRIOR_WEIGHT] * (MAX_MATCH_TOKENS + 1)

    def survival(self, proposal: Proposal) -> list[float]:
        """For each proposed token the probability that it and all before it come true."""
        chances: list[float] = []
        chance = 1.0
        for ahead in range(len(proposal.tokens)):
            chance *= self._rates[min(proposal.matched + ahead, MAX_MATCH_TOKENS)]
            chances.append(chance)
        return chances

    def observe(self, proposal: Proposal, actual: Sequence[int]) -> None:
        """Learn from the tokens that really came, as far as they and the proposal reach."""
        for ahead, (proposed, came) in enumerate(zip(proposal.tokens, actual, strict=False)):
            matched = min(proposal.matched + ahead, MAX_MATCH_TOKENS)
            weight = min(self._weights[matched] + 1.0, MEMORY)
            self._weights[matched] = weight
            self._rates[matched] += (float(proposed == came) - self._rates[matched]) / weight
            if proposed != came:
                return


def _prior(matched: int) -> float:
    return PRIOR_RATES[min(max(matched - MIN_MATCH_TOKENS, 0), len(PRIOR_RATES) - 1)]


class RowCosts:
    """What a step of some rows costs against one of a single row, from measured steps.

    A step's time grows with the text and is disturbed by other programs, so only medians of recent steps are compared,
    and the prior holds until there are some.
    """

    def __init__(self, prior: Callable[[int], float]) -> None:
        self._prior = prior
        self._seconds: dict[int, list[float]] = {}
        self._steps = 0

    def observe(self, rows: int, seconds: float) -> None:
        samples = self._seconds.setdefault(rows, [])
        samples.append(seconds)
        if len(samples) > COST_SAMPLES:
            del samples[0]
        self._steps += 1
        if self._steps % FORGET_STEPS == 0:
            for each in self._seconds.values():
                del each[:1]

    def seconds(self, rows: int) -> float:
        """Seconds of a step of that many rows; in units of a step of one row as long as none was measured."""
        one = self._median(1)
        if one is None:
            return self._prior(rows)
        measured = self._median(rows)
        return measured if measured is not None else one * self._prior(rows)

    def _median(self, rows: int) -> float | None:
        samples = self._seconds.get(rows, ())
        return median(samples) if len(samples) >= MIN_COST_SAMPLES else None


def rows_worth(survivals: Iterable[Sequence[float]], costs: RowCosts, most: int) -> list[int]:
    """How many proposed tokens of each request to verify in one step, so that tokens per second are most.

    `survivals` holds for each request of the batch the chances of its proposed tokens (empty where there are none),
    which never rise; `most` bounds the rows of a step.
    """
    chances = [list(each) for each in survivals]
    requests = len(chances)
    counts = [0] * requests
    best = list(counts)
    best_speed = requests / costs.seconds(requests) * LEAST_GAIN
    expected = float(requests)
    for rows in range(requests + 1, most + 1):
        open_ends = [
            (chances[at][counts[at]], -at) for at in range(requests) if counts[at] < len(chances[at])
        ]
        if not open_ends:
            break
        chance, at = max(open_ends)
        counts[-at] += 1
        expected += chance
        speed = expected / costs.seconds(rows)
        if speed > best_speed:
            best, best_speed = list(counts), speed
    return best
