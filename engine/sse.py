"""Opens a streaming POST to an engine and gives its server-sent events one by one, with every fault named.

Both kinds of endpoint stand on this. Time is bounded in three places: until the connection stands, until the
first event, and between events; a prefill may take minutes, a gap between two tokens must not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, Literal, cast

import httpx
import msgspec

Fault = Literal[
    "unreachable", "refused", "busy", "draining", "timeout", "dropped", "protocol", "request", "aborted"
]
"""What kind of thing went wrong: `refused` is about keys, `request` about what was sent, `protocol` about
what came back, `busy` passes by itself, `draining` does not (the host is leaving and has or wants a
successor), `aborted` was ended by somebody else."""

MAX_ERROR_CHARACTERS = 300
"""How much of a server's own words an error repeats."""

STATUS_TIMEOUT_S = 5.0

KEEPALIVE_S = 4.0
"""How long an idle connection is kept; SGLang's server closes its side after 5 s."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

JsonObject = dict[str, Any]


class EngineRequestError(Exception):
    """A request to an engine failed. The text says what happened, to what, and what to do."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault: Fault = fault


class Timeouts(msgspec.Struct, frozen=True):
    """In seconds. The first token waits for the queue and the prefill, so its limit is generous."""

    connect_s: float = 5.0
    first_event_s: float = 300.0
    between_events_s: float = 60.0


def http_client(url: str, key: str, timeouts: Timeouts) -> httpx.AsyncClient:
    """A client for one endpoint. Proxies of the environment are for other machines, never for this one.
    Connections are not limited: a prefill that waits must not hold back the request that cancels it.
    A user and password in `url` are sent, and shown nowhere: httpx logs the addresses that it is given.
    Raises EngineRequestError where `url` is none."""
    address = _address(url)
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


async def get_json(http: httpx.AsyncClient, path: str, name: str) -> JsonObject:
    """The JSON object that a server answers to a question about itself. Raises EngineRequestError."""
    refuse_closed(http, name)
    try:
        response = await http.get(path, timeout=STATUS_TIMEOUT_S)
    except httpx.HTTPError as error:
        raise transport_error(name, error, started=False) from error
    if response.status_code != HTTPStatus.OK:
        raise status_error(name, response, path)
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError as error:
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
    on_admitted: Callable[[], None] | None = None,
) -> AsyncGenerator[JsonObject, None]:
    """The JSON documents of the answer's `data:` stream, up to `[DONE]`. Raises EngineRequestError for all
    else.

    `on_admitted` is called when the server has answered with its headers. Closing the generator closes the
    connection at once.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeouts.first_event_s
    late = f"{name} sent no first token within {timeouts.first_event_s:g} s"
    response: httpx.Response | None = None
    try:
        async with asyncio.timeout_at(deadline):
            response = await _open(http, path, body, name)
        if on_admitted is not None:
            on_admitted()
        lines = response.aiter_lines()
        while True:
            async with asyncio.timeout_at(deadline):
                payload = await _next_payload(lines, name)
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


async def _open(http: httpx.AsyncClient, path: str, body: bytes, name: str) -> httpx.Response:
    """The open answer, its headers looked at. Raises EngineRequestError when it is not an event stream."""
    refuse_closed(http, name)
    request = http.build_request("POST", path, content=body, headers={"Content-Type": "application/json"})
    response = await http.send(request, stream=True)
    kind = response.headers.get("content-type", "")
    if response.status_code == HTTPStatus.OK and "text/event-stream" in kind:
        return response
    try:
        await response.aread()
    finally:
        await response.aclose()
    if response.status_code != HTTPStatus.OK:
        raise status_error(name, response, path)
    raise EngineRequestError(
        "protocol",
        f"{name} answered {path} with {kind or 'no content type'} instead of a stream of events; "
        f"is there another kind of server at this address? It began: {_brief(response.text)!r}",
    )


async def _next_payload(lines: AsyncIterator[str], name: str) -> JsonObject | None:
    """The next `data:` document, None at `[DONE]`. Other fields of an event carry nothing for us."""
    async for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return None
        try:
            document = json.loads(data)
        except json.JSONDecodeError as error:
            raise EngineRequestError(
                "protocol", f"{name} sent an event that is no JSON: {_brief(data)!r}"
            ) from error
        if not isinstance(document, dict):
            raise EngineRequestError("protocol", f"{name} sent an event that is no object: {_brief(data)!r}")
        return cast("JsonObject", document)
    raise EngineRequestError("dropped", f"{name} ended its answer before it was complete; ask again")


def status_error(name: str, response: httpx.Response, path: str) -> EngineRequestError:
    """What an HTTP status other than 200 means for the person who reads it."""
    status, said = response.status_code, _brief(error_text(response))
    if status == HTTPStatus.UNAUTHORIZED:
        return EngineRequestError(
            "refused",
            f"{name} refused the key (401); it was restarted with another one, or the setting is wrong",
        )
    if status == HTTPStatus.FORBIDDEN:
        return EngineRequestError(
            "refused", f"{name} refused this caller (403): {said}; check address and key"
        )
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        return EngineRequestError(
            "request",
            f"{name} knows no {path} ({status}: {said}); check the endpoint's address, kind and model",
        )
    if status == HTTPStatus.SERVICE_UNAVAILABLE and _is_draining(response):
        return EngineRequestError(
            "draining", f"{name} is leaving and takes no new requests; its successor has another address"
        )
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        return EngineRequestError(
            "busy", f"{name} takes no requests now ({status}: {said}); ask again shortly"
        )
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return EngineRequestError("request", f"{name} did not accept the request ({status}): {said}")
    return EngineRequestError("protocol", f"{name} failed ({status}): {said}; its log says more")


def transport_error(name: str, error: httpx.HTTPError, *, started: bool) -> EngineRequestError:
    """What a failed connection means for the person who reads it."""
    what = _brief(str(error) or type(error).__name__)
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return EngineRequestError("unreachable", f"{name} cannot be reached ({what}); is it running?")
    if isinstance(error, httpx.TimeoutException):
        return EngineRequestError(
            "timeout", f"{name} did not answer in time ({what}); it may be overloaded or stuck"
        )
    if started:
        return EngineRequestError(
            "dropped", f"{name} dropped the connection during its answer ({what}); ask again"
        )
    return EngineRequestError(
        "dropped", f"{name} dropped the connection before it answered ({what}); ask again"
    )


def error_text(response: httpx.Response) -> str:
    """The server's own words: SGLang, vLLM and FastAPI each put them somewhere else in a JSON object."""
    try:
        document = response.json()
    except ValueError:
        return response.text
    return message_in(document) or response.text


def message_in(document: object) -> str:
    """The message of an error document, empty where it has none."""
    if isinstance(document, str):
        return document
    if isinstance(document, dict):
        fields = cast("JsonObject", document)
        for key in ("message", "error", "detail"):
            if found := message_in(fields.get(key)):
                return found
    return ""


def _is_draining(response: httpx.Response) -> bool:
    """Whether our own host says that it leaves (`attendance.refuse_draining`)."""
    try:
        document = response.json()
    except ValueError:
        return False
    return isinstance(document, dict) and cast("JsonObject", document).get("error") == "draining"


def _brief(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= MAX_ERROR_CHARACTERS else words[:MAX_ERROR_CHARACTERS] + "…"
