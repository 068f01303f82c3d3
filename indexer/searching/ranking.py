"""How good an answer is: a weighted sum of what speaks for it, weights learnt from questions with known answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from operator import mul

import msgspec

from indexer.parsing.words import parts, words


class Signals(msgspec.Struct, frozen=True):
    """What speaks for one chunk as an answer to one question; each from 0 (nothing) to 1."""

    text: float = 0.0
    """Its full-text score, as a share of the best one."""
    vector: float = 0.0
    """Cosine to the question; negative ones count as none."""
    exact: float = 0.0
    """The question names it, letter for letter."""
    name: float = 0.0
    """Share of the words of its name that the question has."""
    asked: float = 0.0
    """Share of the question's words that its name has."""
    path: float = 0.0
    """Share of the question's words that its path has."""
    definition: float = 0.0
    """It is where something is defined, not a piece between or inside of definitions."""
    aside: float = 0.0
    """It is of tests, examples or documents, and the question asks for none: speaks against it."""


_REMEMBERED = 20_000
"""Names and paths whose words are known, about 10 MB."""

SIGNALS = Signals.__struct_fields__

WEIGHTS = Signals(
    text=0.60, vector=1.00, exact=0.88, name=0.59, asked=1.18, path=0.55, definition=0.27, aside=-0.22
)
"""Fitted by benchmarks/index/fit_search.py to questions about click, httpx, rich and networkx (`aside` is set, not
fitted: no case has its answer in a test). MRR@10 on two repositories that were not fitted to, jinja2 and requests:
text alone 0.71 and 0.66, vectors alone 0.59 and 0.64, both as equals by rank 0.71 and 0.73, these 0.87 and 0.91."""

LEAST_SIMILARITY = 0.25
"""Cosine below which what only vectors found is no answer."""

SENSIBLE_SIMILARITY = 0.37
"""Cosine that the best chunk has to a question with sense. With this and the next, 93% of 96 questions without sense
about six repositories have no hit at all, and each of 1,670 with sense has some."""

SENSIBLE_COVERAGE = 0.5
"""Share of the words of a question with sense, but those that every sentence has, that one chunk has."""


class Scale(msgspec.Struct, frozen=True):
    """Makes the cosines of another embedder look like those of the default one, to which weights and floors were
    fitted, by what both say of questions without sense about code (`embedding.choice` measures that)."""

    mean: float = 0.027
    spread: float = 0.062

    def apply(self, similarity: float) -> float:
        return DEFAULT_SCALE.mean + (similarity - self.mean) * DEFAULT_SCALE.spread / self.spread


DEFAULT_SCALE = Scale()


def score(signals: Signals) -> float:
    return sum(map(mul, _WEIGHTS, msgspec.structs.astuple(signals)))


def is_answer(signals: Signals, why: Sequence[str]) -> bool:
    """Whether it is worth showing at all."""
    return list(why) != ["vector"] or signals.vector >= LEAST_SIMILARITY


_WEIGHTS = msgspec.structs.astuple(WEIGHTS)


class Words:
    """The words of a question, as names and paths are compared with them."""

    def __init__(self, query: str) -> None:
        said = parts(query)
        self.stems = frozenset(map(stem, said))
        self._telling = frozenset(map(stem, telling(said)))
        self._rare = frozenset(stem(part) for part in said if part not in _COMMON)

    def coverage(self, text: str) -> float:
        """Share of the telling words that `text` has."""
        return len(self._rare.intersection(map(stem, words(text)))) / max(len(self._rare), 1)

    def share_of(self, found: frozenset[str]) -> tuple[float, float]:
        """(share of these stems that the question has, share of the question's words among them)."""
        if not found or not self.stems:
            return 0.0, 0.0
        return len(found & self.stems) / len(found), len(found & self._telling) / len(self._telling)


@lru_cache(_REMEMBERED)
def stems_of(text: str) -> frozenset[str]:
    """Of the single words of a name or a path."""
    return frozenset(map(stem, parts(text)))


def telling(found: Sequence[str]) -> Sequence[str]:
    """The words of a question without those that every sentence has; all of a short one, which may be a name."""
    if len(found) <= _SHORT:
        return found
    return [word for word in found if word not in _COMMON] or found


def is_aside(path: frozenset[str], asked: Words) -> bool:
    """Whether a path of these stems is of tests, examples or documents, and the question asks for none."""
    return not _ASIDE.isdisjoint(path) and _ASIDE.isdisjoint(asked.stems)


_SHORT = 5
"""Words of a question that is more likely some words of a name than a sentence."""

_COMMON = frozenset(
    words(
        "a an and any are as at be been by can could do does doing for from had has have how i if in into is it its "
        "may me might my no not of on or our shall should so some such than that the their them then there these they "
        "this those to was we were what when where which while who why will with would you your"
    )
)
"""Of questions only: in code `for`, `is` and `not` are names like others."""


_ENDINGS = re.compile(r"(?<=\w{3})(?:ations?|ings?|ions?|ers?|ors?|ies|ed|es|e|s|y)$")


def stem(word: str) -> str:
    """Near enough for names: `retrying`, `retries` and `retry` are one word."""
    return _ENDINGS.sub("", _ENDINGS.sub("", word))


_ASIDE = frozenset(map(stem, parts("test tests testing doc docs example examples changes changelog history")))
