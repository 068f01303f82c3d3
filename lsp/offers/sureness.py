"""How sure a model is of what it wrote: what is likely to be taken back by the next key need not be shown before it.

The chance that a line goes on as it was written is the product of what its tokens' probabilities were. What was typed
along is certain, so that a text becomes the surer the more of it was typed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

LEAST_CHANCE = 0.4
"""That the rest of its line is right as it stands, for a text to be shown while somebody types. Along the keys of three
histories 8 of 369 lines were right that had less, of the others two of three (benchmarks/LOG.md)."""

LEAST_CHANCE_AT_A_STOP = 0.25
"""The same for whoever has stopped, and looks up. With less one of 249 lines was right: that is an idea at best, for
whoever still waits for one."""


class Mark(msgspec.Struct, frozen=True):
    """The first `chars` characters of a text have this logarithm of their probability."""

    chars: int
    logprob: float


class Sureness(msgspec.Struct, frozen=True):
    """Of one text, as it came: a mark for each piece of it."""

    marks: tuple[Mark, ...]

    def of_line(self, text: str, typed: int) -> float:
        """The chance, from 0 to 1, of what follows the first `typed` characters of `text` on their line; of a line's
        break alone that of the line below."""
        end = text.find("\n", typed if text[typed : typed + 1] != "\n" else typed + 1)
        known = next((each for each in self.marks if each.chars >= (len(text) if end < 0 else end)), None)
        whole = known.logprob if known is not None else self.marks[-1].logprob if self.marks else 0.0
        certain = max((each for each in self.marks if each.chars <= typed), key=_chars, default=None)
        return min(1.0, math.exp(whole - (0.0 if certain is None else certain.logprob)))


def sureness_of(marks: Sequence[Mark], written: str, shown: str) -> Sureness | None:
    """Of what is shown of a text that was written with these marks: without the blanks that were typed already. None
    where nothing tells."""
    if not marks:
        return None
    taken_off = max(0, written.find(shown.partition("\n")[0]))
    return Sureness(tuple(Mark(each.chars - taken_off, each.logprob) for each in marks))


def _chars(mark: Mark) -> int:
    return mark.chars
