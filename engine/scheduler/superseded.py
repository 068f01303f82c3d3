"""Remembers aborts that overtook their requests, so that such a request is dropped when it comes.

SGLang forgets an abort whose request it does not know yet, and then answers the request in full for nobody.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

REMEMBERED_S = 30.0
"""A request that arrives later than this after its abort was stuck longer than any client waits."""
REMEMBERED = 1024
"""Ids of each kind: some hundred bytes each, and hundreds of keystrokes."""


class Superseded:
    """Bounded in number and in time; ids that have arrived are remembered too, for their aborts are not
    early."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._aborted = Recent(REMEMBERED, REMEMBERED_S)
        self._arrived = Recent(REMEMBERED, REMEMBERED_S)

    def abort(self, rid: str) -> bool:
        """Note an abort; returns whether it came before its request."""
        now_s = self._clock()
        early = not self._arrived.holds(rid, now_s)
        if early:
            self._aborted.add(rid, now_s)
        return early

    def arrive(self, rid: str) -> bool:
        """Note a request; returns whether it is to be dropped, for its abort was here before it."""
        now_s = self._clock()
        dropped = self._aborted.take(rid, now_s)
        self._arrived.add(rid, now_s)
        return dropped


class Recent:
    """The last `limit` ids of the last `age_s` seconds."""

    def __init__(self, limit: int, age_s: float) -> None:
        self._limit = limit
        self._age_s = age_s
        self._seen_s: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen_s)

    def add(self, rid: str, now_s: float) -> None:
        self._seen_s[rid] = now_s
        self._seen_s.move_to_end(rid)
        while self._seen_s and (len(self._seen_s) > self._limit or self._oldest_age_s(now_s) > self._age_s):
            self._seen_s.popitem(last=False)

    def holds(self, rid: str, now_s: float) -> bool:
        seen_s = self._seen_s.get(rid)
        return seen_s is not None and now_s - seen_s <= self._age_s

    def take(self, rid: str, now_s: float) -> bool:
        held = self.holds(rid, now_s)
        self._seen_s.pop(rid, None)
        return held

    def _oldest_age_s(self, now_s: float) -> float:
        return now_s - next(iter(self._seen_s.values()))
