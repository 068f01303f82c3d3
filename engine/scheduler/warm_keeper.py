"""Decides whether a base is worth warming now, so that one that keeps being evicted is not read in a loop.

A base is a long prefix that many prompts of a workspace share. Pure logic: whoever warms asks `decide` first and
tells `warmed` and `seen` what came of it.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence

import msgspec

from engine.scheduler.warm import LET_GO, Warmed, page_of

FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0
"""After an eviction the next warm-up waits, each time twice as long: an hour between two is nothing to the
machine, and a base that is in use stays cached without us."""
REMEMBERED = 64
"""Bases: a few per workspace, of the workspaces of days."""


class Decision(msgspec.Struct, frozen=True):
    warm: bool
    reason: str
    cached: bool = False
    """All of it, as far as is known."""


class Base(msgspec.Struct):
    tokens: int
    cached: bool = False
    """As far as is known."""
    evictions: int = 0
    not_before_s: float = 0.0


class WarmKeeper:
    """What is known of the bases, the least recently used forgotten first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bases: OrderedDict[bytes, Base] = OrderedDict()

    def decide(self, ids: Sequence[int], share_tokens: int) -> Decision:
        """Whether to warm `ids` now; `share_tokens` is what this workspace may take of the KV pool."""
        base = self._base(ids)
        if base.tokens > share_tokens:
            return Decision(
                False,
                f"it has {base.tokens} tokens, and this workspace's share of the cache is {share_tokens}",
            )
        if base.cached:
            return Decision(False, "it is cached, as far as is known", cached=True)
        wait_s = base.not_before_s - self._clock()
        if wait_s > 0:
            return Decision(False, f"it was evicted {times(base.evictions)}; not again for {wait_s:.0f} s")
        return Decision(True, f"it was evicted {times(base.evictions)}" if base.evictions else "it is new")

    def warmed(self, ids: Sequence[int], result: Warmed) -> None:
        """Note how a warm-up of `ids` ended."""
        base = self._base(ids)
        base.cached = result.tokens >= base.tokens
        if not base.cached and result.stopped == LET_GO:
            self._evicted(base)

    def seen(self, ids: Sequence[int], cached_tokens: int) -> None:
        """Note how much of `ids` a prompt that begins with them found cached."""
        base = self._base(ids)
        rounded = cached_tokens > 0 and page_of(base.tokens, cached_tokens) > 0
        if rounded or cached_tokens >= base.tokens - 1:
            base.cached = True
        elif base.cached:
            self._evicted(base)

    def _evicted(self, base: Base) -> None:
        base.cached = False
        wait_s = min(FIRST_WAIT_S * 2**base.evictions, LONGEST_WAIT_S)
        base.evictions += 1
        base.not_before_s = self._clock() + wait_s

    def _base(self, ids: Sequence[int]) -> Base:
        key = hashlib.blake2b(array("i", ids).tobytes(), digest_size=16).digest()
        base = self._bases.setdefault(key, Base(len(ids)))
        self._bases.move_to_end(key)
        while len(self._bases) > REMEMBERED:
            self._bases.popitem(last=False)
        return base


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
