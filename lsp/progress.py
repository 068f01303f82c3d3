"""Work-done progress at the client, from the first report to the end; a log line where the client shows none. Where
nothing is reported for a while it tells how long the stage under way has taken: a bar that stands still looks dead.

LSP 3.17, "Work Done Progress": a server-initiated one must be created by a request before it begins.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from lsprotocol import types
from pygls.exceptions import JsonRpcException

if TYPE_CHECKING:
    from lsp.session import ForewordServer

INTERVAL_S = 0.25
"""More reports a second than four cannot be read."""

TICK_S = 1.0
"""Without a report for so long the time is told: twice within what looks like standing still."""

PERCENT = 100


class Report(Protocol):
    """Says what is under way."""

    def __call__(self, message: str, done: int = 0, total: int = 0) -> None: ...


class Progress:
    """One bar. `report` may be called as often as one likes, also before the client has agreed to show it."""

    def __init__(
        self,
        server: ForewordServer,
        title: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        on_cancel: Callable[[], None] | None = None,
        token: str | int | None = None,
    ) -> None:
        """With `on_cancel` the client may offer to cancel what is under way. `token` is the client's own for this,
        where it has sent one (LSP 3.17, "Client Initiated Progress")."""
        self._server = server
        self._title = title
        self._clock = clock
        self._is_the_clients = token is not None
        self._token = str(uuid.uuid4()) if token is None else token
        self._on_cancel = on_cancel
        self._latest = ("", 0, 0)
        self._begun = False
        self._ended: str | None = None
        self._reported_at = 0.0
        self._stage_began = clock()
        self._ticking: asyncio.Task[None] | None = None
        self._opening = asyncio.create_task(self._open(), name=f"progress: {title}")

    def report(self, message: str, done: int = 0, total: int = 0) -> None:
        if self._ended is not None:
            return
        if message != self._latest[0]:
            self._stage_began = self._clock()
        self._latest = (message, done, total)
        if self._begun and self._clock() - self._reported_at >= INTERVAL_S:
            self._reported_at = self._clock()
            self._notify(types.WorkDoneProgressReport(message=message, percentage=_percentage(done, total)))

    def end(self, message: str) -> None:
        """The last word; calls after the first one do nothing."""
        if self._ended is not None:
            return
        self._ended = message
        self._server.cancellable.pop(self._token, None)
        if self._ticking is not None:
            self._ticking.cancel()
        if self._begun:
            self._notify(types.WorkDoneProgressEnd(message=message))

    async def _open(self) -> None:
        """Creates the bar at the client. The answer is waited for without limit: cancelling the wait would
        turn a late answer into an error (pygls), and until it comes nothing but this task waits."""
        if self._is_the_clients:
            self._begin()
            return
        window = self._server.client_capabilities.window
        if window is None or not window.work_done_progress:
            self._server.log_info(self._title)
            return
        parameters = types.WorkDoneProgressCreateParams(token=self._token)
        try:
            await self._server.window_work_done_progress_create_async(parameters)
        except JsonRpcException as refused:
            self._server.log_info(f"{self._title} (the client shows no progress: {refused})")
            return
        self._begin()

    def _begin(self) -> None:
        if self._ended is not None:
            return  # over before anybody could have seen it
        message, done, total = self._latest
        self._begun = True
        if self._on_cancel is not None:
            self._server.cancellable[self._token] = self._on_cancel
        self._notify(
            types.WorkDoneProgressBegin(
                title=self._title,
                message=message or None,
                percentage=_percentage(done, total),
                cancellable=self._on_cancel is not None,
            )
        )
        self._reported_at = self._clock()
        self._ticking = asyncio.create_task(self._tick(), name=f"progress that stands still: {self._title}")

    async def _tick(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            now = self._clock()
            if now - self._reported_at >= TICK_S:
                self._reported_at = now
                message, done, total = self._latest
                told = ", ".join(filter(None, (message, f"{now - self._stage_began:.0f} s")))
                self._notify(types.WorkDoneProgressReport(message=told, percentage=_percentage(done, total)))

    def _notify(
        self, value: types.WorkDoneProgressBegin | types.WorkDoneProgressReport | types.WorkDoneProgressEnd
    ) -> None:
        self._server.progress(types.ProgressParams(token=self._token, value=value))


def _percentage(done: int, total: int) -> int | None:
    return min(PERCENT, max(0, done * PERCENT // total)) if total > 0 else None
