"""One request of the client's at a time for each document: a newer one ends an older one, with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import msgspec

REPLACED = "a newer request took its place"

Said = TypeVar("Said")


class _Running(msgspec.Struct):
    task: asyncio.Task[Any]
    ended_because: str = ""


class Turns:
    """Of one server. `cancelled` is awaited when the client has cancelled a document's request and none took its
    place: by its end nothing that was done for that goes on."""

    def __init__(self, cancelled: Callable[[str], Awaitable[None]]) -> None:
        self._cancelled = cancelled
        self._running: dict[str, _Running] = {}

    async def take(self, key: str, work: Coroutine[Any, Any, Said]) -> Said | str:
        """What came of a request for this document, or why it was ended. Nothing is awaited before it is known to
        whoever asks next, so that of two requests one always ends the other."""
        self.end(key, REPLACED)
        running = self._running[key] = _Running(asyncio.create_task(work, name=f"complete {key}"))
        try:
            return await running.task
        except asyncio.CancelledError:
            if not _being_cancelled():
                return running.ended_because
            if self._running.get(key) is running:
                del self._running[key]
                await self._cancelled(key)
            raise
        finally:
            if self._running.get(key) is running:
                del self._running[key]

    def end(self, key: str, why: str) -> None:
        """Ends the request for this document, if there is one."""
        older = self._running.pop(key, None)
        if older is not None:
            older.ended_because = why
            older.task.cancel()

    def __len__(self) -> int:
        return len(self._running)


def _being_cancelled() -> bool:
    """Whether it is the caller who is cancelled, not only the work that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
