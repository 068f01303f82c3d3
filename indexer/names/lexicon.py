"""All names that a root defines, to be found by the words they are made of: what somebody writes about often names what
they will call."""

from __future__ import annotations

import heapq
import math
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache

from indexer.parsing.words import parts

_SHORTEST_WORD = 3
"""Characters: `to`, `is`, `of` are in names of every kind."""

_MOST_NAMES = 4_000
"""Names that share one word. A word of more says nothing, and would cost milliseconds."""


class Lexicon:
    """Word → names. Only grows, as the names of a root do; from any thread."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._names: defaultdict[str, list[str]] = defaultdict(list)
        self.learn(names)

    def learn(self, names: Iterable[str]) -> None:
        """Names that were not known before."""
        with self._lock:
            for name in names:
                self._count += 1
                for word in _words_of_name(name):
                    self._names[word].append(name)

    def like(self, said: Mapping[str, float], most: int) -> list[tuple[str, float]]:
        """Names that are made of these words (word → how much it counts, at most 1), the likest first, each with how
        like it is: 1 where all of its words are said, rare words counting more."""
        with self._lock:
            total = max(1, self._count)
            scores: defaultdict[str, float] = defaultdict(float)
            for word, weight in said.items():
                names = self._names.get(word, ())
                if 0 < len(names) <= _MOST_NAMES:
                    worth = weight * _rarity(len(names), total)
                    for name in names:
                        scores[name] += worth
            found = [
                (name, score / self._whole(name, total))
                for name, score in heapq.nlargest(
                    2 * most, scores.items(), key=lambda pair: (pair[1], pair[0])
                )
            ]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:most]

    def likeness(self, name: str, said: Mapping[str, float]) -> float:
        """How like one name is."""
        words = _words_of_name(name)
        if said.keys().isdisjoint(words):
            return 0.0
        with self._lock:
            total = max(1, self._count)
            worth = [(word, _rarity(max(1, len(self._names.get(word, ()))), total)) for word in words]
        return sum(said.get(word, 0.0) * rare for word, rare in worth) / sum(rare for _, rare in worth)

    def _whole(self, name: str, total: int) -> float:
        return sum(_rarity(max(1, len(self._names.get(word, ()))), total) for word in _words_of_name(name))


def words_of(text: str) -> list[str]:
    """The words that names are compared by, each once, in order."""
    return list(dict.fromkeys(word for word in parts(text) if len(word) >= _SHORTEST_WORD))


@lru_cache(maxsize=16_384)
def _words_of_name(name: str) -> tuple[str, ...]:
    return tuple(words_of(name))


def _rarity(names: int, total: int) -> float:
    return math.log(1 + total / names)
