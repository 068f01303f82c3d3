"""Which names most files of a root refer to: counted in the background after each whole pass."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from indexer.roots.live import LiveRoot
from indexer.store.contents import STORE_ERRORS

if TYPE_CHECKING:
    from indexer.store.store import Store

_log = logging.getLogger(__name__)

_LEAST = 2
"""Files. What one alone refers to is popular nowhere, and is most of all names."""

_FIRST = 500
"""Names that are kept in order; nobody asks for more."""

SETTLING_S = 0.5
"""Names of 650 files are counted in 0.1 s, those of 50,000 in seconds, for which no first completion shall wait."""


class Counted(msgspec.Struct, frozen=True):
    counts: dict[str, int] = {}
    """Name → files that refer to it."""
    first: Sequence[str] = ()
    """The names that most files refer to, in order."""


_NOT_COUNTED = Counted()


class Renown:
    """`counted` from any thread, the rest on the event loop."""

    def __init__(self, live: Callable[[], LiveRoot]) -> None:
        self.counted = _NOT_COUNTED
        self._live = live
        self._task: asyncio.Task[None] | None = None
        self._started_s = 0.0

    def start(self, store: Store) -> None:
        """Files may refer to other names by now."""
        self.stop()
        self._started_s = time.monotonic()
        self._task = asyncio.create_task(self._count(store), name="names that are referred to most")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def settled(self, timeout_s: float = SETTLING_S) -> None:
        """Until names were counted once, or that takes longer than so much since it began: a pack that was made before
        is another one, and stays while it serves."""
        left_s = self._started_s + timeout_s - time.monotonic()
        if self._task is not None and self.counted is _NOT_COUNTED and left_s > 0:
            await asyncio.wait([self._task], timeout=left_s)

    async def _count(self, store: Store) -> None:
        live = self._live()
        try:
            counted = await asyncio.to_thread(store.names_by_use, set(live.now.paths_by_key))
        except STORE_ERRORS as failed:
            _log.info("names could not be counted: %s", failed)  # the last ones serve until the next pass
            return
        self.counted = await asyncio.to_thread(among, counted, live)


def among(counted: Mapping[str, int], live: LiveRoot) -> Counted:
    """Of these counts those of names that the root itself defines."""
    known = {name: count for name, count in counted.items() if count >= _LEAST and any(live.defining(name))}
    return Counted(known, sorted(known, key=lambda name: (-known[name], name))[:_FIRST])
