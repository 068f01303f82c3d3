"""Who shares the KV pool: the workspaces that asked lately, and what each may count on.

The rule, as the status shows it: an eighth of the pool is left to the requests that run; the rest is divided
evenly among the workspaces seen in the last ten minutes. Nothing is taken from anybody: the prefix cache evicts
what was used longest ago, and a share is how much a workspace may warm ahead without pushing out another.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

LIVE_S = 600.0
"""Somebody who reads or thinks for longer than this comes back to a prompt that is read anew."""
REMEMBERED = 256
"""Workspaces; more than a machine of one user has open, and a caller cannot fill the memory with names."""
RESERVED_SHARE = 8
"""One part in so many is for what running requests do not share: text at the cursor, and answers."""
UNNAMED = ""
"""All callers who do not name their workspace."""


class Workspaces:
    """The workspaces by name, in the order in which they were last seen."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen_s: OrderedDict[str, float] = OrderedDict()

    def seen(self, name: str) -> None:
        self._seen_s[name] = self._clock()
        self._seen_s.move_to_end(name)
        while len(self._seen_s) > REMEMBERED:
            self._seen_s.popitem(last=False)

    def live(self) -> int:
        now_s = self._clock()
        return sum(now_s - seen_s <= LIVE_S for seen_s in self._seen_s.values())


def kv_share_tokens(pool_tokens: int, live: int) -> int:
    """What one of `live` workspaces may take of the pool; all of it but the reserve where nobody is live."""
    return (pool_tokens - pool_tokens // RESERVED_SHARE) // max(1, live)
