"""Opens a streaming POST to an engine and gives its server-sent events one by one, with every fault named.

All kinds of endpoint stand on this. Time is bounded in three places: until the connection stands, until the
first event, and between events; a prefill may take minutes, a gap between two tokens must not. Size is bounded
too: nothing that a server sends, however wrong, may fill the memory. What is read is a little more than the
specification asks for (WHATWG HTML, section 9.2.6), since servers differ: several `data:` lines of one event,
events without a blank line between them, a bare JSON object, a stream that ends without `[DONE]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any, cast

import httpx
import msgspec

from engine.endpoints.faults import (
    EngineRequestError,
    Fault,
    JsonObject,
    PromptTooLargeError,
    brief,
    message_in,
    status_error,
    transport_error,
)

__all__ = [
    "EngineRequestError",
    "Fault",
    "JsonObject",
    "PromptTooLargeError",
    "Timeouts",
    "drained",
    "events",
    "get_json",
    "http_client",
    "message_in",
    "shown",
]

JSON = "application/json"

STATUS_TIMEOUT_S = 5.0

KEEPALIVE_S = 4.0
"""How long an idle connection is kept; SGLang's server closes its side after 5 s."""

MAX_LINE_BYTES = 16 * 1024**2
"""SGLang repeats the whole answer in each event: 65,536 tokens as text and as ids are about 1 MB."""

MAX_BODY_BYTES = 4 * 1024**2
"""Of an answer about a server itself; the longest lists of models have some hundred kilobytes."""

MAX_ERROR_BYTES = 64 * 1024
"""Of an error's body, of which only the first words are repeated."""

ERROR_BODY_TIMEOUT_S = 5.0
"""For the body of an error, once its status is known."""

MAX_EVENT_LINES = 256
"""Of one event; our servers send one each."""

STREAM_KINDS = ("text/event-stream", "text/plain", "application/octet-stream")
"""Content types under which servers stream events; some name none at all."""

AFTER_LAST_S = 1.0
"""For what a server sends after the last text: its figures, and the end of the stream."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Timeouts(msgspec.Struct, frozen=True):
    """In seconds. The first token waits for the queue and the prefill, so its limit is generous."""

    connect_s: float = 5.0
    first_event_s: float = 300.0
    between_events_s: float = 60.0


def _import_backend() -> None:
    """What httpcore would import with the first request, for 40 ms on the event loop: clients are made in a thread."""
    with contextlib.suppress(ImportError):  # another version may have none of that name
        importlib.import_module("anyio._backends._asyncio")


def http_client(url: str, key: str, timeouts: Timeouts) -> httpx.AsyncClient:
    """A client for one endpoint. Proxies of the environment are for other machines, never for this one.
    Connections are not limited: a prefill that waits must not hold back the request that cancels it.
    A user and password in `url` are sent, and shown nowhere: httpx logs the addresses that it is given.
    Raises EngineRequestError where `url` is none, or the key cannot be sent."""
    address = _address(url)
    if key and address.userinfo:
        raise EngineRequestError(
            "refused",
            f"for {shown(url)} both a key and, in the address, a user and password are set, and a request can carry "
            "only one of them (Authorization): take either out of the settings",
        )
    if not key.isascii() or not key.isprintable():
        raise EngineRequestError(
            "refused", f"the key for {shown(url)} has characters that no header can carry; check the setting"
        )
    _import_backend()
    return httpx.AsyncClient(
        base_url=address.copy_with(userinfo=b""),
        auth=(address.username, address.password) if address.userinfo else None,
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=httpx.Timeout(timeouts.first_event_s, connect=timeouts.connect_s),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=8, keepalive_expiry=KEEPALIVE_S),
        trust_env=address.host not in LOOPBACK,
    )


def shown(url: str) -> str:
    """The address as people, logs and status may see it: without what only the server should know. Raises
    EngineRequestError where `url` is none."""
    return str(_address(url).copy_with(userinfo=b"", query=None, fragment=None))


def _address(url: str) -> httpx.URL:
    """httpx itself takes what has no scheme, and fails at the first request as if the server had."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme in ("http", "https") and address.host:
        return address
    bare = url.rpartition("@")[2].partition("?")[0]
    raise EngineRequestError(
        "request", f"{bare!r} is no address of a server; it has to be a URL such as http://127.0.0.1:8000"
    )


async def get_json(
    http: httpx.AsyncClient, path: str, name: str, question: bytes | None = None
) -> JsonObject:
    """The JSON object that a server answers to a question about itself, which is sent to it where it takes more than
    a path to ask it. Raises EngineRequestError."""
    refuse_closed(http, name)
    method = "GET" if question is None else "POST"
    try:
        async with (
            asyncio.timeout(STATUS_TIMEOUT_S),
            http.stream(method, path, content=question) as response,
        ):
            body = await _some(response, MAX_BODY_BYTES)
    except TimeoutError as error:
        raise EngineRequestError(
            "timeout",
            f"{name} did not answer {path} within {STATUS_TIMEOUT_S:g} s; it may be overloaded or stuck",
        ) from error
    except httpx.HTTPError as error:
        raise transport_error(name, error, started=False) from error
    if response.status_code != HTTPStatus.OK:
        raise status_error(name, response.status_code, response.headers, body, path)
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EngineRequestError(
            "protocol", f"{name} answered {path} with no JSON object: {error}"
        ) from error


def refuse_closed(http: httpx.AsyncClient, name: str) -> None:
    """A closed client would raise RuntimeError, which says nothing to the person who reads it."""
    if http.is_closed:
        raise EngineRequestError(
            "unreachable", f"the connection to {name} was closed on this side; ask again over a new one"
        )


async def events(
    http: httpx.AsyncClient,
    path: str,
    body: bytes,
    *,
    name: str,
    timeouts: Timeouts,
    media_type: str = JSON,
    on_sent: Callable[[], None] | None = None,
    on_admitted: Callable[[], None] | None = None,
) -> AsyncGenerator[JsonObject, None]:
    """The JSON documents of the answer's `data:` stream, up to `[DONE]`. Raises EngineRequestError for all
    else.

    `on_sent` is called when the whole body has left: before that no server can run the request. `on_admitted`
    is called when the server has answered with its headers. Closing the generator closes the connection at
    once.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeouts.first_event_s
    late = f"{name} sent no first token within {timeouts.first_event_s:g} s"
    response: httpx.Response | None = None
    try:
        async with asyncio.timeout_at(deadline):
            response = await _open(http, path, body, media_type, name, on_sent)
        if on_admitted is not None:
            on_admitted()
        async with _payloads(response, name) as payloads:
            while True:
                async with asyncio.timeout_at(deadline):
                    payload = await anext(payloads)
                if payload is None:
                    return
                yield payload
                deadline = loop.time() + timeouts.between_events_s
                late = f"{name} fell silent for {timeouts.between_events_s:g} s in the middle of its answer"
    except TimeoutError as error:
        remedy = "it may be overloaded or stuck; look at its log, or ask for less context"
        raise EngineRequestError("timeout", f"{late}; {remedy}") from error
    except httpx.HTTPError as error:
        raise transport_error(name, error, started=response is not None) from error
    finally:
        if response is not None:
            await response.aclose()


async def drained(stream: AsyncGenerator[JsonObject, None]) -> JsonObject | None:
    """Reads to the end of a stream whose answer is complete, so that its connection serves again; the last
    document on the way. What goes wrong there is nobody's concern any more."""
    last: JsonObject | None = None
    with contextlib.suppress(EngineRequestError, TimeoutError):
        async with asyncio.timeout(AFTER_LAST_S):
            async for document in stream:
                last = document
    return last


async def _open(
    http: httpx.AsyncClient,
    path: str,
    body: bytes,
    media_type: str,
    name: str,
    on_sent: Callable[[], None] | None,
) -> httpx.Response:
    """The open answer, its headers looked at. Raises EngineRequestError when it is not an event stream."""
    refuse_closed(http, name)

    async def sent() -> AsyncIterator[bytes]:
        yield body
        if on_sent is not None:
            on_sent()  # asked for more: all of it has been handed to the system

    headers = {"Content-Type": media_type, "Content-Length": str(len(body))}
    response = await http.send(http.build_request("POST", path, content=sent(), headers=headers), stream=True)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code == HTTPStatus.OK and (not kind or kind in STREAM_KINDS):
        return response
    began = b""
    try:
        async with asyncio.timeout(ERROR_BODY_TIMEOUT_S):
            began = await _some(response, MAX_ERROR_BYTES)
    except TimeoutError:
        began = b"(the rest did not come)"  # the status says enough
    finally:
        await response.aclose()
    if response.status_code != HTTPStatus.OK:
        raise status_error(name, response.status_code, response.headers, began, path)
    raise EngineRequestError(
        "protocol",
        f"{name} answered {path} with {kind} instead of a stream of events; is there another kind of server at "
        f"this address? It began: {brief(began.decode(errors='replace'))!r}",
    )


async def _some(response: httpx.Response, limit: int) -> bytes:
    """The body, or its first `limit` bytes: some servers never stop."""
    taken = bytearray()
    async for piece in response.aiter_bytes():
        taken += piece
        if len(taken) > limit:
            break
    return bytes(taken[:limit])


# ---------------------------------------------------------------- from bytes to documents


@asynccontextmanager
async def _payloads(
    response: httpx.Response, name: str
) -> AsyncGenerator[AsyncGenerator[JsonObject | None, None], None]:
    """Both generators closed at once, also when the reader is cancelled."""
    async with aclosing(_lines(response, name)) as lines, aclosing(_documents(lines, name)) as documents:
        yield documents


async def _lines(response: httpx.Response, name: str) -> AsyncGenerator[str, None]:
    rest = bytearray()
    looked = 0
    async for piece in response.aiter_bytes():
        rest += piece
        while (end := rest.find(b"\n", looked)) >= 0:
            yield rest[:end].decode(errors="replace").rstrip("\r").removeprefix("\ufeff")
            del rest[: end + 1]
            looked = 0
        looked = len(rest)
        if looked > MAX_LINE_BYTES:
            raise EngineRequestError(
                "protocol",
                f"{name} sent a line of more than {MAX_LINE_BYTES // 1024**2} MiB; is there another kind of "
                "server at this address?",
            )
    if rest:
        yield rest.decode(errors="replace")


async def _documents(lines: AsyncGenerator[str, None], name: str) -> AsyncGenerator[JsonObject | None, None]:
    """Each event's document; None at `[DONE]`. Other fields of an event carry nothing for us."""
    part, count = "", 0
    async for line in lines:
        data = _data_of(line)
        if data is None and (line or not part):
            continue
        if data == "[DONE]":
            yield None
            return
        part, count = "\n".join(filter(None, (part, data))), count + 1
        try:
            document = json.loads(part)
        except (ValueError, RecursionError) as error:
            if data is not None and count < MAX_EVENT_LINES:
                continue  # an event of several lines; the blank line that ends it tells
            said = f"{name} sent an event that is no JSON: {brief(part)!r}"
            raise EngineRequestError("protocol", said) from error
        if not isinstance(document, dict):
            raise EngineRequestError("protocol", f"{name} sent an event that is no object: {brief(part)!r}")
        part, count = "", 0
        yield cast("JsonObject", document)
    raise EngineRequestError("dropped", f"{name} ended its answer before it was complete; ask again")


def _data_of(line: str) -> str | None:
    """What a line carries: of a `data:` field, or of a JSON object that some servers send bare."""
    if line.startswith("data:"):
        return line.removeprefix("data:").strip() or None
    return line if line.startswith("{") else None
