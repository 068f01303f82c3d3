"""All names that a root defines, to be found by the words they are made of: what somebody writes about often names what
they will call."""

from __future__ import annotations

import math
import threading
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache

from indexer.parsing.words import parts

_SHORTEST_WORD = 3
"""Characters: `to`, `is`, `of` are in names of every kind."""

_MOST_NAMES = 4_000
"""Names that share one word. A word of more says nothing, and would cost milliseconds."""


_WEIGHED = 20_000
"""Names whose words are weighed, some 8 MB: more than the packs of one part of a root ask about."""

_NUMBER = "I"
"""Of `array`: 32 bits on every system that Python 3.11 runs on."""


class Lexicon:
    """Word → names. Only grows, as the names of a root do; from any thread."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._all: list[str] = []
        self._names: defaultdict[str, array[int]] = defaultdict(lambda: array(_NUMBER))
        """Word → numbers of names."""
        self._weighed: dict[str, tuple[tuple[tuple[str, float], ...], float]] = {}
        """Of names, how rare each word is, and the sum; until others are learned."""
        self.learn(names)

    def __len__(self) -> int:
        """Names."""
        return len(self._all)

    def learn(self, names: Iterable[str]) -> None:
        """Names that were not known before."""
        with self._lock:
            self._weighed = {}
            for name in names:
                for word in _words_of_name(name):
                    self._names[word].append(len(self._all))
                self._all.append(name)

    def like(self, said: Mapping[str, float], most: int) -> list[tuple[str, float]]:
        """Names that are made of these words (word → how much it counts, at most 1), the likest first, each with how
        like it is: 1 where all of its words are said, rare words counting more."""
        with self._lock:
            best = self._best(said, 2 * most)
            found = [(name, score / self._weights(name)[1]) for score, name in best]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:most]

    def _best(self, said: Mapping[str, float], most: int) -> list[tuple[float, str]]:
        """So many names whose words count most together, with how much that is."""
        import numpy as np  # the editor's server imports this module, and has no use for it

        total = max(1, len(self._all))
        spoken = [(weight, names) for word, weight in said.items() if (names := self._names.get(word))]
        told = [(weight, names) for weight, names in spoken if len(names) <= _MOST_NAMES]
        if not told:
            return []
        worth = [weight * _rarity(len(names), total) for weight, names in told]
        numbers = np.concatenate([np.array(names, np.uint32) for _, names in told])
        scores = np.bincount(numbers, np.repeat(worth, [len(names) for _, names in told]))
        there = np.flatnonzero(scores)
        if len(there) > most:  # all that score like the last of them: names decide between those
            there = there[scores[there] >= np.partition(scores[there], -most)[-most]]
        found = zip(scores[there].tolist(), (self._all[number] for number in there.tolist()), strict=True)
        return sorted(found, reverse=True)[:most]

    def likeness(self, name: str, said: Mapping[str, float]) -> float:
        """How like one name is."""
        words = _words_of_name(name)
        if said.keys().isdisjoint(words):
            return 0.0
        with self._lock:
            weights, whole = self._weights(name)
        return sum([said.get(word, 0.0) * rare for word, rare in weights]) / whole

    def _weights(self, name: str) -> tuple[tuple[tuple[str, float], ...], float]:
        """How rare each of its words is, and the sum."""
        known = self._weighed.get(name)
        if known is None:
            total = max(1, len(self._all))
            rare = [
                (word, _rarity(max(1, len(self._names.get(word, ()))), total))
                for word in _words_of_name(name)
            ]
            if len(self._weighed) >= _WEIGHED:
                self._weighed = {}
            known = self._weighed[name] = tuple(rare), sum(weight for _, weight in rare)
        return known


def words_of(text: str) -> list[str]:
    """The words that names are compared by, each once, in order."""
    return list(dict.fromkeys(word for word in parts(text) if len(word) >= _SHORTEST_WORD))


@lru_cache(maxsize=16_384)
def _words_of_name(name: str) -> tuple[str, ...]:
    return tuple(words_of(name))


def _rarity(names: int, total: int) -> float:
    return math.log(1 + total / names)
