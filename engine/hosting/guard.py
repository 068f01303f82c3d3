"""The guard around the host's ASGI app: every route asks for the key, and no browser page gets through.

It stands outside of SGLang's own middleware, so that routes which SGLang leaves open (`/metrics`,
`/health_generate`), its documentation pages, its websockets and its CORS answers are all behind it.
A page in a browser can reach ports of this machine; its requests carry an `Origin`, or, after DNS rebinding,
a foreign `Host`. Neither is ever sent by Foreword, so both are refused before the key is looked at.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY_VIOLATION = 1008
"""The close code of a refused websocket (RFC 6455, section 7.4.1)."""


class Refusal(NamedTuple):
    """Why a request does not get through, as the caller reads it."""

    status: int
    error: str
    message: str


class Guard:
    """An ASGI app that passes on to `app` only what carries `key` and was addressed to this machine's
    `port`."""

    def __init__(self, app: AsgiApp, *, key: str, port: int) -> None:
        self._app = app
        self._key = key.encode()
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost", "[::1]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope.get("headers", []))
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refuse_http(send, refusal)
        else:
            await refuse_websocket(scope, receive, send, refusal)

    def _refusal(self, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
        hosts = [value.lower() for name, value in headers if name.lower() == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return Refusal(
                403, "foreign_host", "Address the engine as 127.0.0.1, localhost or [::1], with its port."
            )
        if any(name.lower() == b"origin" for name, _ in headers):
            return Refusal(
                403, "origin", "Requests with an Origin header are refused: no web page may use the engine."
            )
        credentials = [value for name, value in headers if name.lower() == b"authorization"]
        if len(credentials) != 1:
            return Refusal(401, "no_key", "Send the key of engine.json once, as `Authorization: Bearer KEY`.")
        scheme, _, key = credentials[0].partition(b" ")
        matches = hmac.compare_digest(key.strip(), self._key)
        if scheme.lower() != b"bearer" or not matches:
            return Refusal(
                401,
                "wrong_key",
                "This is not the engine's key; read engine.json again: it may have restarted.",
            )
        return None


def response_messages(prefix: str, status: int, body: object) -> list[Message]:
    """The two ASGI messages of a small JSON answer; `prefix` is `http` or `websocket.http`."""
    encoded = msgspec.json.encode(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(encoded)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return [
        {"type": f"{prefix}.response.start", "status": status, "headers": headers},
        {"type": f"{prefix}.response.body", "body": encoded, "more_body": False},
    ]


async def refuse_http(send: Send, refusal: Refusal) -> None:
    """Answer without reading the body: nothing of an unknown caller is parsed."""
    body = {"error": refusal.error, "message": refusal.message}
    for message in response_messages("http", refusal.status, body):
        await send(message)


async def refuse_websocket(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """Refuse the handshake, with a JSON body where the server can send one, else by closing before
    accepting."""
    await receive()  # `websocket.connect`
    if "websocket.http.response" in (scope.get("extensions") or {}):
        body = {"error": refusal.error, "message": refusal.message}
        for message in response_messages("websocket.http", refusal.status, body):
            await send(message)
        return
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal.error})
