"""The vectors of one embedder in memory, small enough to stay there and fast enough to be compared one by one.

A vector is kept as int8 with one scale of its own, beside the signs of its numbers, less their mean over all
vectors, as bits. A question is compared with all bits first (their Hamming distance estimates the angle: Charikar,
STOC 2002), then with the int8 of the nearest of them; few vectors are compared as int8 at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from indexer.store.contents import TEXT_KEY_BYTES

Keys = NDArray[np.uint64]
"""The first eight bytes of text keys. Two of a million texts share them, and a vector, once in 30 million stores."""
Rows = NDArray[np.int32]
"""Row numbers; -1 for none."""
Floats = NDArray[np.float32]
Levels = NDArray[np.int8]
Bits = NDArray[np.uint64]

LEVELS = 127

_ALL_AT_ONCE = 3_000
"""Vectors whose int8 take as long as the bits of 100,000."""

_REREAD = 1_500
"""Nearest by bits that are compared as int8."""

_LEAST_CAPACITY = 1_024
_GROWTH = 1.5
_NO_KEYS: Keys = np.empty(0, np.uint64)


def short_keys(text_keys: Iterable[str]) -> Keys:
    """Of text keys as the store writes them, in hexadecimal."""
    return np.fromiter((int(key[:16], 16) for key in text_keys), np.uint64)


def packed_keys(packed: bytes) -> Keys:
    """Of text keys as contents hold them, as bytes side by side."""
    return np.frombuffer(packed, ">u8")[:: TEXT_KEY_BYTES // 8].astype(np.uint64)


def quantized(vectors: Floats) -> tuple[Levels, Floats]:
    """int8 [n, dimensions] and float32 [n] whose product is nearest to `vectors` [n, dimensions]."""
    scales = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), np.finfo(np.float32).tiny) / LEVELS
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales.astype(np.float32)


class Vectors(msgspec.Struct, frozen=True):
    """What was in memory at one moment. Rows are numbered for as long as this object lives."""

    levels: Levels
    """[capacity, dimensions]"""
    scales: Floats
    bits: Bits
    """[64-bit words, capacity]: a column per vector, so that a word of all vectors is one run of memory."""
    mean: Floats
    keys: Keys
    """Sorted."""
    order: Rows
    """Row of each of `keys`."""

    def __len__(self) -> int:
        return len(self.keys)

    def rows_of(self, keys: Keys) -> Rows:
        """The row of each key, -1 where it has none."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int32)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self.order[places], np.int32(-1))

    def similarities(self, question: Floats, rows: Rows) -> Floats:
        # not by BLAS, whose threads would wait for each other on a busy machine
        products = np.einsum("rd,d->r", self.levels[rows].astype(np.float32), question)
        return products * self.scales[rows]

    def nearest(self, question: Floats, among: Rows, count: int) -> tuple[Rows, Floats]:
        """Places in `among` (rows, none of them -1) of the `count` vectors most similar to `question`, best first, and
        their similarities."""
        places = np.arange(len(among), dtype=np.int32)
        if len(among) > max(_ALL_AT_ONCE, _REREAD):
            distances = self._distances(question, among)
            places = np.argpartition(distances, _REREAD)[:_REREAD].astype(np.int32)
        found = self.similarities(question, among[places])
        # equal ones in the order of `among`, so that the same question has the same answer
        best = np.lexsort((places, -found))[:count]
        return places[best], found[best]

    def _distances(self, question: Floats, among: Rows) -> NDArray[np.uint16]:
        signs = _signs((question - self.mean)[None])[:, 0]
        count = len(self.keys)
        most = 2 * len(among) >= count  # then comparing all is cheaper than gathering some
        distances = np.zeros(count if most else len(among), np.uint16)
        for word, sign in zip(self.bits, signs, strict=True):
            distances += np.bitwise_count((word[:count] if most else word[among]) ^ sign)
        return distances[among] if most else distances


class VectorMemory:
    """Written by one thread at a time, read by any through `current`."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._lock = threading.Lock()
        self._centred_at = 0
        """Number of vectors of which `mean` is the mean."""
        self.current = self._empty(0)

    def add(self, keys: Keys, vectors: Floats) -> None:
        """Those that are not there yet. `vectors` is [n, dimensions]."""
        self.add_quantized(keys, *quantized(vectors))

    def add_quantized(self, keys: Keys, levels: Levels, scales: Floats) -> None:
        with self._lock:
            keys, first = np.unique(keys, return_index=True)
            fresh = self.current.rows_of(keys) < 0
            if fresh.any():
                self._append(keys[fresh], levels[first[fresh]], scales[first[fresh]])

    def remove(self, keys: Keys) -> None:
        with self._lock:
            self._keep(~np.isin(self.current.keys, keys))

    def keep(self, keys: Keys) -> None:
        """Removes all others."""
        with self._lock:
            self._keep(np.isin(self.current.keys, keys))

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        before = self.current
        rows = before.order[kept]
        self.current, self._centred_at = self._empty(0), 0
        if len(rows):
            self._append(before.keys[kept], before.levels[rows], before.scales[rows])

    def _append(self, keys: Keys, levels: Levels, scales: Floats) -> None:
        """Readers of the object before see none of it: it lies behind their last row, or elsewhere."""
        now = self.current
        first, end = len(now), len(now) + len(keys)
        if end > len(now.scales):
            grown = self._empty(max(int(end * _GROWTH), _LEAST_CAPACITY))
            grown.levels[:first], grown.scales[:first] = now.levels[:first], now.scales[:first]
            grown.bits[:, :first] = now.bits[:, :first]
            now = msgspec.structs.replace(grown, mean=now.mean, keys=now.keys, order=now.order)
        now.levels[first:end], now.scales[first:end] = levels, scales
        mean, bits, since = now.mean, now.bits, first
        if end >= 2 * self._centred_at:
            mean = _mean(now.levels[:end], now.scales[:end])
            bits, since = np.empty_like(bits), 0  # readers go on with those of the mean before
            self._centred_at = end
        bits[:, since:end] = _signs(_floats(now.levels[since:end], now.scales[since:end]) - mean)
        places = np.searchsorted(now.keys, keys)
        self.current = msgspec.structs.replace(
            now,
            mean=mean,
            bits=bits,
            keys=np.insert(now.keys, places, keys),
            order=np.insert(now.order, places, np.arange(first, end, dtype=np.int32)),
        )

    def _empty(self, capacity: int) -> Vectors:
        words = -(-self._dimensions // 64)
        return Vectors(
            levels=np.empty((capacity, self._dimensions), np.int8),
            scales=np.empty(capacity, np.float32),
            bits=np.empty((words, capacity), np.uint64),
            mean=np.zeros(self._dimensions, np.float32),
            keys=_NO_KEYS,
            order=np.empty(0, np.int32),
        )


def _floats(levels: Levels, scales: Floats) -> Floats:
    return levels.astype(np.float32) * scales[:, None]


_MEAN_OF = 20_000
"""Vectors that are enough for a mean; all of 500,000 as float32 would be 800 MB."""


def _mean(levels: Levels, scales: Floats) -> Floats:
    step = max(1, len(levels) // _MEAN_OF)
    return _floats(levels[::step], scales[::step]).mean(axis=0)


def _signs(vectors: Floats) -> Bits:
    """[words, n]: bit b of word w is the sign of number 64 w + b."""
    count, dimensions = vectors.shape
    padded = np.zeros((count, -(-dimensions // 64) * 64), np.bool_)
    padded[:, :dimensions] = vectors > 0
    return np.packbits(padded, axis=1).view(np.uint64).T.copy()
