"""How much a prompt may hold: what is read anew is bounded by the time that a person waits, what is cached is not.

Everything here is a pure function of what was measured. Budgets go in steps, so that a prompt of one size follows a
prompt of the same size: a budget that followed each measurement would choose another pack at every keystroke.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import msgspec

WANTED_S = 0.5
"""To the first token while somebody types: a suggestion that comes later is in the way of the next word."""

COLD_S = 3.0
"""For a prompt of which nothing is cached, as after a jump to another file: a person who thinks waits so long, and a
small engine reads 3,000 tokens and more."""

PRIOR_TOKENS_S = {"cpu": 1_000.0, "cuda": 8_000.0, "remote": 2_000.0}
"""Tokens a second that an engine is taken to read until it was measured, by device. The first was: the small model on
two cores reads 1,000 to 1,700. The others are cautious guesses, which the first answers replace."""

UNKNOWN_DEVICE_TOKENS_S = 2_000.0

LEAST_TOKENS = 1_536
"""Of a prompt, however slow the engine: with less there is no room for one definition beside the window."""

LEAST_MEASURED = 192
"""Tokens. A prompt of which less is read anew tells of round trips, not of reading."""

WEIGHT = 0.25
"""Of a new measurement in the mean: after five of them a quarter of the first is left."""

STEPS_PER_DOUBLING = 2
STEADY = 1.15
"""A budget goes up only when it could be this much larger than the next step, and down when it should be this much
smaller than its own: measurements scatter by a tenth."""

LEAST_SLICE = 256
"""Tokens of one request of a warm-up."""

LEAST_BASE_SPEED = 4_000.0
"""Tokens a second. A slower engine gets no base. It runs a small model without a GPU: 4,096 tokens of base are 50 MB of
keys and values that it reads again for each token that it writes, a tenth of its weights, and within its few thousand
tokens there is hardly room for what was retrieved for the cursor, which is worth more."""

REMEMBERED = 64
"""Documents and endpoints."""

GONE_S = 600.0
"""A prompt that is older is no longer taken to be cached."""


class Speed(msgspec.Struct):
    """How fast one endpoint reads, the logarithm smoothed: a hiccup of a second is one outlier, not the mean."""

    tokens_s: float
    measured: int = 0
    fresh: int = 0
    """The step that `fresh_tokens` gave last."""

    def seen(self, computed: int, seconds: float) -> None:
        """A prompt of which `computed` tokens were not cached had its first token after `seconds`."""
        if computed < LEAST_MEASURED or seconds <= 0:
            return
        now = computed / seconds
        weight = WEIGHT if self.measured else 1.0
        self.tokens_s = math.exp((1 - weight) * math.log(self.tokens_s) + weight * math.log(now))
        self.measured += 1

    def fresh_tokens(self) -> int:
        """What may be read anew in one request."""
        self.fresh = steady(self.fresh, self.tokens_s * WANTED_S)
        return self.fresh

    def cold_tokens(self) -> int:
        """What a prompt may hold beside its base: it may have to be read from its beginning."""
        return max(LEAST_TOKENS, stepped(self.fresh_tokens() * COLD_S / WANTED_S))


def prior(device: str) -> Speed:
    """Of an engine that was not measured yet."""
    return Speed(PRIOR_TOKENS_S.get(device, UNKNOWN_DEVICE_TOKENS_S))


class _Prompt(msgspec.Struct, frozen=True):
    tokens: int
    at_s: float


class Clock:
    """What was measured of each endpoint, and which budget each document's last prompt had."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._speeds: OrderedDict[str, Speed] = OrderedDict()
        self._prompts: OrderedDict[str, _Prompt] = OrderedDict()

    def speed(self, endpoint: str, device: str) -> Speed:
        speed = self._speeds.setdefault(endpoint, prior(device))
        self._speeds.move_to_end(endpoint)
        _forget(self._speeds)
        return speed

    def budget(self, speed: Speed, document: str, most: int) -> int:
        """Tokens of this document's next prompt beside its base. What the last one held is cached; each may add what is
        read in the time that is wanted, until a prompt is as large as one that is read cold may be."""
        return min(self.whole(speed, most), max(LEAST_TOKENS, self._cached(document) + speed.fresh_tokens()))

    def whole(self, speed: Speed, most: int) -> int:
        """Tokens of a prompt beside its base that is read while nobody waits: as many as one may come to hold."""
        return min(most, speed.cold_tokens())

    def read(self, document: str, tokens: int) -> None:
        """A prompt of this budget was answered."""
        self._prompts[document] = _Prompt(tokens, self._clock())
        self._prompts.move_to_end(document)
        _forget(self._prompts)

    def read_so_far(self, document: str, tokens: int) -> None:
        """So much of one that is still being read. What an earlier one held is cached besides."""
        self.read(document, max(tokens, self._cached(document)))

    def _cached(self, document: str) -> int:
        last = self._prompts.get(document)
        return last.tokens if last is not None and self._clock() - last.at_s <= GONE_S else 0


def slice_tokens(speed: Speed) -> int:
    """Of one request of what is read ahead: what is read in the time that a person waits, but no sliver."""
    return max(LEAST_SLICE, stepped(speed.tokens_s * WANTED_S))


def base_tokens(speed: Speed, window: int, share: int) -> int:
    """Of the base: what is left of the model's window and of this workspace's share of the cache beside the rest of the
    prompt, and half of it where that is large; nothing for an engine that is too slow to have use for one."""
    if speed.tokens_s < LEAST_BASE_SPEED:
        return 0
    room = min(window, share)
    return stepped(room - min(speed.cold_tokens(), room // 2))


def stepped(tokens: float) -> int:
    """The largest step that is not above `tokens`."""
    if tokens < 1:
        return 0
    # the tiny sum takes a step for itself whatever its logarithm is rounded to
    step = math.floor(math.log2(tokens) * STEPS_PER_DOUBLING + 1e-9)
    return round(2 ** (step / STEPS_PER_DOUBLING))


def steady(before: int, tokens: float) -> int:
    """The step for `tokens`, or the one before as long as that is nearly right."""
    if before and before / STEADY <= tokens < 2 ** (1 / STEPS_PER_DOUBLING) * before * STEADY:
        return before
    return stepped(tokens)


def _forget(known: OrderedDict[str, Speed] | OrderedDict[str, _Prompt]) -> None:
    while len(known) > REMEMBERED:
        known.popitem(last=False)
