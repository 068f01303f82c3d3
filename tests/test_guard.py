"""The guard: what gets through to the engine, what is refused, and how the refusal reads."""

from __future__ import annotations

import json

import pytest

from engine.hosting.guard import Guard

KEY = "k" * 43
PORT = 4321
HOST = (b"host", b"127.0.0.1:4321")
AUTH = (b"authorization", b"Bearer " + KEY.encode())


async def call(headers, *, kind="http", path="/generate", method="POST", extensions=None):
    """(whether the app was reached, what was sent) for one request through the guard."""
    reached, sent = [], []

    async def app(scope, receive, send):
        reached.append(scope["type"])

    async def receive():
        return {"type": f"{kind}.connect"}

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "path": path, "headers": headers, "extensions": extensions or {}}
    if kind == "http":
        scope["method"] = method
    await Guard(app, key=KEY, port=PORT)(scope, receive, send)
    return bool(reached), sent


@pytest.mark.parametrize("host", [b"127.0.0.1:4321", b"localhost:4321", b"LOCALHOST:4321", b"[::1]:4321"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_lets_through(host, kind):
    assert await call([(b"host", host), AUTH], kind=kind) == (True, [])


REFUSED = [
    ("no key", [HOST], 401, "no_key"),
    ("wrong key", [HOST, (b"authorization", b"Bearer wrong")], 401, "wrong_key"),
    ("key of another length", [HOST, (b"authorization", b"Bearer " + KEY.encode() + b"k")], 401, "wrong_key"),
    ("empty key", [HOST, (b"authorization", b"Bearer ")], 401, "wrong_key"),
    ("not ASCII", [HOST, (b"authorization", b"Bearer \xff\xfe")], 401, "wrong_key"),
    ("another scheme", [HOST, (b"authorization", b"Basic " + KEY.encode())], 401, "wrong_key"),
    ("two keys", [HOST, AUTH, AUTH], 401, "no_key"),
    ("an Origin", [HOST, AUTH, (b"origin", b"http://127.0.0.1:4321")], 403, "origin"),
    ("a null Origin", [HOST, AUTH, (b"Origin", b"null")], 403, "origin"),
    ("an empty Origin", [HOST, AUTH, (b"origin", b"")], 403, "origin"),
    ("no Host", [AUTH], 403, "foreign_host"),
    ("a rebound name", [(b"host", b"evil.example:4321"), AUTH], 403, "foreign_host"),
    ("another port", [(b"host", b"127.0.0.1:80"), AUTH], 403, "foreign_host"),
    ("no port", [(b"host", b"127.0.0.1"), AUTH], 403, "foreign_host"),
    ("two Hosts", [HOST, HOST, AUTH], 403, "foreign_host"),
]


@pytest.mark.parametrize(
    ("headers", "status", "error"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
@pytest.mark.parametrize("path", ["/generate", "/metrics", "/health_generate", "/docs", "/no/such/route"])
async def test_refuses_http(headers, status, error, path):
    for method in ("GET", "POST", "OPTIONS"):
        reached, (start, body) = await call(headers, path=path, method=method)
        assert not reached
        assert start["status"] == status
        answer = json.loads(body["body"])
        assert answer["error"] == error
        assert answer["message"].endswith(".")
        names = {name for name, _ in start["headers"]}
        assert not any(name.startswith(b"access-control") for name in names), "CORS must not be answered"
        assert (b"www-authenticate" in names) == (status == 401)
        assert KEY not in body["body"].decode()


@pytest.mark.parametrize(
    ("headers", "status", "error"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_refuses_websockets(headers, status, error):
    reached, (close,) = await call(headers, kind="websocket")
    assert not reached
    assert close == {"type": "websocket.close", "code": 1008, "reason": error}

    reached, (start, body) = await call(headers, kind="websocket", extensions={"websocket.http.response": {}})
    assert not reached
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    assert json.loads(body["body"])["error"] == error


async def test_lifespan_passes():
    assert await call([], kind="lifespan") == (True, [])


@pytest.mark.parametrize("kind", ["webtransport", "unknown"])
async def test_unknown_protocols_need_the_key_too(kind):
    reached, _ = await call([HOST], kind=kind)
    assert not reached
