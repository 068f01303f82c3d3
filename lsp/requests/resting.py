"""The place where a cursor rests is read ahead, so that the first key there finds its prompt cached.

Whoever stays at a place may write there, and an engine without a GPU reads a prompt for seconds. It is read a slice at
a time behind everybody else, never on battery, and no further once somebody waits for a completion: that begins with
as much of it as was read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from lsp.documents import Snapshot, key_of
from lsp.links.engine_link import EngineLink

if TYPE_CHECKING:
    from lsp.requests.asking import Asking

LOOK_S = 1.0
"""How often it is looked whether the engine is ready, where it is about to be."""

PATIENCE_S = 600.0
"""For engine and index. Who has not moved for longer is elsewhere."""

SOON = ("starting", "ready")
"""States of an engine for which it is worth waiting: one that has left is not fetched for this."""

WANTED = "a completion is wanted"
NOT_READY = f"engine and index were not ready within {PATIENCE_S:.0f} s"


class _Place(msgspec.Struct, frozen=True):
    """What is read for one cursor of a line serves every other one."""

    key: str
    version: int
    line: int


class Resting:
    """Of one server. `why_wait` says why the machine should not work ahead now, empty where it may."""

    def __init__(
        self,
        asking: Asking,
        engine: EngineLink,
        wanted: Callable[[], bool],
        why_wait: Callable[[], str] | None = None,
    ) -> None:
        self._asking = asking
        self._engine = engine
        self._wanted = wanted
        self._why_wait = why_wait or _why_wait
        self._last: _Place | None = None
        self._reading: asyncio.Task[None] | None = None
        self._told: dict[str, Any] = {"uri": None, "tokens": 0, "reason": ""}

    def at(self, snapshot: Snapshot, offset: int) -> None:
        """The cursor rests here, for now: what was being read for another place is read no further."""
        place = _place(snapshot, offset)
        if place == self._last or not self._wanted():
            return
        self._end()
        self._last = place
        self._told = {"uri": snapshot.uri, "tokens": 0, "reason": ""}
        self._reading = asyncio.create_task(self._read(snapshot, offset), name=f"read ahead {snapshot.uri}")

    def asked(self, snapshot: Snapshot, offset: int) -> None:
        """Somebody waits for a completion, for which this place is read."""
        self._last = _place(snapshot, offset)
        if self._end():
            self._told["reason"] = WANTED

    def closed(self, key: str) -> None:
        """Its document was closed."""
        if self._last is not None and self._last.key == key:
            self._last = None
            self._end()

    def describe(self) -> dict[str, Any]:
        """For the status: of what document so many tokens are read ahead, and why no more."""
        return dict(self._told)

    def _end(self) -> bool:
        """Whether something was under way."""
        reading, self._reading = self._reading, None
        return reading is not None and not reading.done() and reading.cancel()

    async def _read(self, snapshot: Snapshot, offset: int) -> None:
        told = self._told
        told["reason"] = await self._until_ready(snapshot) or await asyncio.to_thread(self._why_wait)
        if not told["reason"]:
            told["tokens"], told["reason"] = await self._asking.read_ahead(snapshot, offset)

    async def _until_ready(self, snapshot: Snapshot) -> str:
        """Why it is not worth the wait, empty once engine and index are there."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self._engine.engine is None:
                    if self._engine.state not in SOON:
                        return "no engine is running"
                    await asyncio.sleep(LOOK_S)
                await self._asking.indexed(snapshot)
        except TimeoutError:
            return NOT_READY
        return ""


def _place(snapshot: Snapshot, offset: int) -> _Place:
    return _Place(key_of(snapshot.uri), snapshot.version, snapshot.text.count("\n", 0, offset))


def _why_wait() -> str:
    from indexer.children.manners import why_wait

    return why_wait()
