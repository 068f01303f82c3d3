"""Whether anybody needs the host: counts requests inside the guard, refuses new ones while it drains.

The host leaves when it has drained, or when no request came for its idle time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.hosting.guard import AsgiApp, Message, Receive, Scope, Send, response_messages
from engine.scheduler.workspaces import UNNAMED, Workspaces

WORKSPACE_HEADER = b"x-foreword-workspace"
"""A hash by which a client names the workspace that it asks for."""
LONGEST_NAME = 128
"""Bytes; whatever is longer is no hash."""

_LOOKS = ("/foreword/host", "/foreword/steps", "/foreword/cached")
"""Whoever only looks does not keep the host: a status that is polled would keep it for ever."""

_NOT_WORK = (*_LOOKS, "/foreword/drain", "/abort_request")
"""Whoever only looks, or cancels, does not share the cache, and is served when new requests are refused."""

LOOK_AT_FOLDER_S = 60
"""How often the host looks whether it can still be found: two system calls a minute, idle or not."""

DRAIN_LIMIT_S = 60
"""What still runs after this long is cut off: a caller that hangs must not keep an old host alive."""


class Attendance:
    """An ASGI app around `app`, and the one task that decides when to leave."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        idle_exit_s: float,
        clock: Callable[[], float],
        still_known: Callable[[], bool],
        on_draining: Callable[[], None],
    ) -> None:
        """`still_known` says whether callers can find this host; one that nobody can find leaves."""
        self._app = app
        self._still_known = still_known
        self._on_draining = on_draining
        self._idle_exit_s = idle_exit_s
        self._clock = clock
        self._last_seen_s = clock()
        self._open_requests = 0
        self.workspaces = Workspaces(clock)
        self._changed = asyncio.Event()
        self._drain_began_s: float | None = None
        self.draining = False
        self.ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if self.draining and scope["path"] not in _NOT_WORK:
            await refuse_draining(scope, receive, send)
            return
        if scope["path"] in _LOOKS:
            await self._app(scope, receive, send)
            return
        if self.ready and scope["path"] not in _NOT_WORK:  # the host's own warm-up is nobody's
            self.workspaces.seen(workspace_of(scope))
        self._open_requests += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open_requests -= 1
            self._last_seen_s = self._clock()
            if self.draining:
                self._changed.set()

    def mark_ready(self) -> None:
        """Count idle time from now: loading is not idling."""
        self.ready = True
        self._last_seen_s = self._clock()

    def drain(self) -> None:
        """Finish what runs, take nothing new, then leave. Call from the event loop."""
        if not self.draining:
            self.draining = True
            self._drain_began_s = self._clock()
            self._on_draining()
        self._changed.set()

    async def until_unneeded(self) -> str:
        """Wait until the host should leave, and say why. Wakes only when its time may have come."""
        while True:
            if not self.draining and not self._still_known():
                print("The runtime folder is no longer this host's; nobody finds it there.", flush=True)
                self.drain()
            reason, wait_s = self._leave_or_wait()
            if reason:
                return reason
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), timeout=min(wait_s, LOOK_AT_FOLDER_S))
            except TimeoutError:
                continue

    def _leave_or_wait(self) -> tuple[str, float]:
        """Why to leave now, or an empty reason and the seconds until it is worth asking again."""
        now_s = self._clock()
        if self._drain_began_s is not None:
            left_s = self._drain_began_s + DRAIN_LIMIT_S - now_s
            if self._open_requests == 0:
                return "drained", 0
            return ("drained, cutting off what still ran", 0) if left_s <= 0 else ("", left_s)
        idle_s = now_s - self._last_seen_s
        if not self.ready or self._open_requests:
            return "", self._idle_exit_s
        if idle_s >= self._idle_exit_s:
            return f"no request for {idle_s:.0f} s", 0
        return "", self._idle_exit_s - idle_s


def workspace_of(scope: Scope) -> str:
    """The name that the request carries, or that of all who give none."""
    for name, value in scope.get("headers", ()):
        if name.lower() == WORKSPACE_HEADER and len(value) <= LONGEST_NAME:
            return value.decode("latin-1")
    return UNNAMED


async def refuse_draining(scope: Scope, receive: Receive, send: Send) -> None:
    body = {
        "error": "draining",
        "message": "This engine is leaving; read engine.json again for its successor.",
    }
    if scope["type"] == "http":
        messages: list[Message] = response_messages("http", 503, body)
    else:
        await receive()
        # RFC 6455: service restart
        messages = [{"type": "websocket.close", "code": 1012, "reason": "draining"}]
    for message in messages:
        await send(message)
