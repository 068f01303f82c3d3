"""A set of hash keys that takes eight bytes for each: there may be a million chunk texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

_DIGITS = 16
"""Hexadecimal digits of a key that are kept: 64 bits. Among a million keys, one that is taken for another has a
chance of 3 in 100 million, and would cost one chunk its vector."""

_RECENT = 4_096
"""So many keys wait in an ordinary set before they are merged into the array, which copies it."""


class KeySet:
    """Keys as hexadecimal digits, or, many at once, as their bytes side by side."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._sorted = np.unique(np.fromiter(map(_number, keys), np.uint64))
        self._recent: set[int] = set()

    def __contains__(self, key: str) -> bool:
        number = _number(key)
        if number in self._recent:
            return True
        at = int(np.searchsorted(self._sorted, np.uint64(number)))
        return at < len(self._sorted) and int(self._sorted[at]) == number

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def update(self, keys: Iterable[str]) -> None:
        fresh = {_number(key) for key in keys if key not in self}
        recent = self._recent | fresh
        if len(recent) > _RECENT:
            self._sorted = np.union1d(self._sorted, np.fromiter(recent, np.uint64, len(recent)))
            recent = set[int]()
        self._recent = recent

    def difference_update(self, keys: Iterable[str]) -> None:
        gone = {_number(key) for key in keys}
        self._sorted = np.setdiff1d(self._sorted, np.fromiter(gone, np.uint64, len(gone)))
        self._recent = self._recent - gone

    def among(self, packed: bytes, width: int) -> Any:
        """For keys of `width` bytes side by side: an array that tells of each whether it is in this set."""
        numbers = np.frombuffer(packed, np.uint8).reshape(-1, width)[:, : _DIGITS // 2]
        numbers = np.ascontiguousarray(numbers).view(">u8").ravel().astype(np.uint64)
        found = np.isin(numbers, self._sorted, assume_unique=False)
        if self._recent:
            found |= np.isin(numbers, np.fromiter(self._recent, np.uint64, len(self._recent)))
        return found


def _number(key: str) -> int:
    return int(key[:_DIGITS], 16)
