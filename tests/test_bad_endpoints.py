"""What servers may send, hold back or refuse, and what is said about it; every kind of endpoint stands on this."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import email.utils
import subprocess
import sys

import pytest
from misbehaving import EVENTS, Exchange, free_port, served

from engine.endpoints import sse
from engine.endpoints.chat import ChatEndpoint
from engine.endpoints.client import EngineRequestError, Sampling, SGLangEndpoint, Timeouts, collect
from engine.endpoints.openai import OpenAIEndpoint
from engine.endpoints.sse import PromptTooLargeError, get_json, http_client
from engine.prompts import Prompt

PROMPT = Prompt(
    ids=[1, 2, 3], text="abc", window="abc", suffix="", taken_off="", window_start_line=0, tokens=3
)
QUICK = Timeouts(connect_s=1.0, first_event_s=0.5, between_events_s=0.5)
SAMPLING = Sampling(8)


def sglang(url: str, key: str = "secret") -> SGLangEndpoint:
    return SGLangEndpoint(url, key, model="m", context_tokens=8192, timeouts=QUICK)


def openai(url: str, key: str = "secret") -> OpenAIEndpoint:
    return OpenAIEndpoint(url, key, "m", context_tokens=8192, timeouts=QUICK)


def chat(url: str, key: str = "secret") -> ChatEndpoint:
    return ChatEndpoint(url, key, "m", context_tokens=8192, timeouts=QUICK)


KINDS = pytest.mark.parametrize("make", [sglang, openai, chat])


def raw(*pieces: bytes):
    async def behave(exchange: Exchange):
        for piece in pieces:
            await exchange.send(piece)

    return behave


def refusing(status: int, headers: str = "", body: bytes = b'{"error": {"message": "so it is"}}'):
    async def behave(exchange: Exchange):
        await exchange.answer(status, body, headers=headers)

    return behave


async def endless_line(exchange: Exchange):
    await exchange.send(EVENTS + b"data: ")
    with contextlib.suppress(ConnectionError):
        while True:
            await exchange.send(b"x" * 65536)


async def endless_event(exchange: Exchange):
    await exchange.send(EVENTS)
    with contextlib.suppress(ConnectionError):
        while True:
            await exchange.send(b"data: {\n" * 1000)


async def endless_error(exchange: Exchange):
    await exchange.send(b"HTTP/1.1 500 X\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while True:
            await exchange.send(b"so it is " * 8000)


async def drop(exchange: Exchange):
    await exchange.drop()


NESTED = b"[" * 100_000

FAULTS = [
    (endless_line, "protocol", "a line of more than"),
    (endless_event, "protocol", "no JSON"),
    (endless_error, "protocol", "so it is"),
    (raw(EVENTS, b'data: {"a": ', NESTED, b"\n\n"), "protocol", "no JSON"),
    (raw(EVENTS, b"data: {\n\n"), "protocol", "no JSON"),
    (raw(EVENTS, b'data: "text"\n\n'), "protocol", "no object"),
    (raw(EVENTS, b"data: {}\n\n"), None, ""),
    (raw(EVENTS, b'data: {"trunc'), "dropped", "before it was complete"),
    (raw(EVENTS, b"<html>\n<p>hello</p>\n"), "dropped", "before it was complete"),
    (raw(EVENTS), "dropped", "before it was complete"),
    (raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>"), "protocol", "instead of a stream"),
    (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), "dropped", "before it was complete"),
    (raw(b"\x16\x03\x01\x02\x00nonsense\r\n\r\n"), "dropped", "is that of an HTTP server"),
    (drop, "dropped", "before it answered"),
    (refusing(401), "refused", "refused the key"),
    (refusing(403), "refused", "so it is"),
    (refusing(404), "request", "check the endpoint's address, kind and model"),
    (refusing(405, body=b""), "request", "check the endpoint's address, kind and model"),
    (refusing(302, "location: http://elsewhere/\n"), "request", "to http://elsewhere/"),
    (refusing(400, body=NESTED), "request", "did not accept"),
    (refusing(429), "busy", "ask again shortly"),
    (refusing(503), "busy", "ask again shortly"),
    (refusing(500), "protocol", "its log says more"),
]


@KINDS
@pytest.mark.parametrize(("behave", "fault", "says"), FAULTS)
async def test_faults(make, behave, fault, says, monkeypatch):
    monkeypatch.setattr(sse, "MAX_LINE_BYTES", 1024**2)
    async with served(behave) as (url, _):
        server = make(url)
        with pytest.raises(EngineRequestError) as caught:
            await collect(server, PROMPT, SAMPLING)
        await server.close()
    assert fault is None or caught.value.fault == fault
    assert says in str(caught.value) and "secret" not in str(caught.value)
    assert len(str(caught.value)) < 1000


async def test_an_abort_is_not_read_without_end():
    """Nothing that a server says about an abort is of use, so nothing of it is kept."""
    sent = 0

    async def talkative(exchange: Exchange):
        nonlocal sent
        await exchange.send(EVENTS)
        while exchange.path == "/abort_request":
            await exchange.send(b"x" * 65536)
            sent += 65536
        await exchange.until_closed()

    async with served(talkative) as (url, _):
        server = SGLangEndpoint(url, "", model="m", context_tokens=100)
        asking = asyncio.create_task(collect(server, PROMPT, SAMPLING))
        await asyncio.sleep(0.3)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.sleep(0.5)
        await server.close()
    assert 0 < sent < 32 * 1024**2


@KINDS
@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("retry-after: 7\n", 7.0, 7.0),
        ("retry-after: {in_two_days}\n", 170_000.0, 172_800.0),
        ("retry-after: Wed, 21 Oct 2015 07:28:00 GMT\n", 0.0, 0.0),
        ("retry-after: soon\n", None, None),
        ("retry-after: ²\n", None, None),
        ("", None, None),
    ],
)
async def test_retry_after(make, header, least, most):
    in_two_days = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
    header = header.replace("{in_two_days}", email.utils.format_datetime(in_two_days))
    async with served(refusing(429, header)) as (url, _):
        server = make(url)
        with pytest.raises(EngineRequestError) as caught:
            await collect(server, PROMPT, SAMPLING)
        await server.close()
    told = caught.value.retry_after_s
    assert told is None if least is None else told is not None and least <= told <= most


@KINDS
async def test_tls_to_a_plain_port(make):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with listening:
        server = make(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        with pytest.raises(
            EngineRequestError, match=r"to begin with http:// instead of https://\?"
        ) as caught:
            await collect(server, PROMPT, SAMPLING)
        await server.close()
    assert caught.value.fault == "unreachable"


@KINDS
@pytest.mark.parametrize(
    "url", ["", "a", "http://", "https:///v1", "file:///etc/passwd", "http://[::1", "\n"]
)
async def test_addresses(make, url):
    with pytest.raises(EngineRequestError, match="has to be a URL such as"):
        make(url)


@KINDS
@pytest.mark.parametrize("key", ["naïve", "two\nlines", "\x00"])
async def test_keys_that_no_header_can_carry(make, key):
    with pytest.raises(EngineRequestError, match="no header can carry") as caught:
        make("http://127.0.0.1:9", key)
    assert key not in str(caught.value)


@KINDS
async def test_a_prompt_larger_than_the_window_is_not_sent(make):
    async with served(drop) as (url, exchanges):
        server = make(url)
        large = Prompt([1] * 8185, "a" * 8185, "", "", "", 0, 8185)
        with pytest.raises(PromptTooLargeError) as caught:
            await collect(server, large, SAMPLING)
        await server.close()
    assert exchanges == []
    said = str(caught.value)
    assert "8,185 tokens" in said and "8,192" in said and "foreword.budgetTokens" in said


TOLERATED = [
    pytest.param([b'data: {"choices": [{"text": "a", "finish_reason": "stop"}]}\n\n'], id="no [DONE]"),
    pytest.param([b'data:{"choices":[{"text":"a","finish_reason":"stop"}]}\r\n\r\n'], id="CRLF, no blank"),
    pytest.param(
        [b'\xef\xbb\xbfdata: {"choices": [{"text": "a", "finish_reason": "stop"}]}\n'], id="byte order mark"
    ),
    pytest.param(
        [b'data: {"choices":\ndata: [{"text": "a", "finish_reason": "stop"}]}\n\n'],
        id="an event of two lines",
    ),
    pytest.param(
        [b'data: {"choices": [{"text": "a"}]}\ndata: {"choices": [{"finish_reason": "stop"}]}\n'],
        id="no blank line between events",
    ),
    pytest.param([b'{"choices": [{"text": "a", "finish_reason": "stop"}]}\n'], id="a bare object"),
    pytest.param(
        [
            b": hi\n\nevent: x\nid: 7\nretry: 1\ndata: {",
            b'"choices": [{"text": "a", "fin',
            b'ish_reason": "stop"}]}\n',
        ],
        id="comments, other fields, torn apart",
    ),
    pytest.param(
        [
            b'data: {"choices": null, "id": "x"}\n\ndata: {"choices": [{"text": "a", "finish_reason": "stop"}]}\n\n'
        ],
        id="an event without choices",
    ),
    pytest.param(
        [b'data: {"choices": [{"text": "a", "finish_reason": "stop"}]}\n\ndata: nonsense\n\n'],
        id="nonsense after the end",
    ),
]


@pytest.mark.parametrize("kind", [b"text/event-stream; charset=utf-8", b"text/plain", b""])
@pytest.mark.parametrize("pieces", TOLERATED)
async def test_what_is_understood_all_the_same(pieces, kind):
    head = (
        b"HTTP/1.1 200 OK\r\n"
        + (b"content-type: " + kind + b"\r\n" if kind else b"")
        + b"connection: close\r\n\r\n"
    )
    async with served(raw(head, *pieces)) as (url, _):
        server = openai(url)
        answer = await collect(server, PROMPT, SAMPLING)
        await server.close()
    assert (answer.text, answer.finish_reason) == ("a", "stop")


async def test_a_server_that_hangs_after_its_last_word():
    async def behave(exchange: Exchange):
        await exchange.send(EVENTS + b'data: {"choices": [{"text": "a", "finish_reason": "stop"}]}\n\n')
        await exchange.until_closed()

    async with served(behave) as (url, _):
        server = openai(url)
        assert (await collect(server, PROMPT, SAMPLING)).text == "a"
        await server.close()


# ---------------------------------------------------------------- questions about a server


STATUS_FAULTS = [
    (refusing(200, body=b"[1]"), "protocol"),
    (refusing(200, body=NESTED), "protocol"),
    (refusing(200, body=b"\xff\xfe"), "protocol"),
    (refusing(404), "request"),
    (drop, "dropped"),
]


@pytest.mark.parametrize(("behave", "fault"), STATUS_FAULTS)
async def test_questions(behave, fault):
    async with served(behave) as (url, _), http_client(url, "", QUICK) as http:
        with pytest.raises(EngineRequestError) as caught:
            await get_json(http, "/v1/models", "it")
    assert caught.value.fault == fault


async def test_an_answer_that_trickles(monkeypatch):
    """Each byte comes in time, the whole never does."""
    monkeypatch.setattr(sse, "STATUS_TIMEOUT_S", 0.3)

    async def behave(exchange: Exchange):
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                await exchange.send(b" ")
                await asyncio.sleep(0.02)

    async with served(behave) as (url, _), http_client(url, "", QUICK) as http:
        with pytest.raises(EngineRequestError) as caught:
            await get_json(http, "/v1/models", "it")
    assert caught.value.fault == "timeout"


# ---------------------------------------------------------------- what is given up is never run


async def test_given_up_before_the_whole_body_has_left():
    """The server has seen a part: it cannot run that, so there is nothing to abort."""
    opened: list[asyncio.StreamReader] = []
    seen = bytearray()
    closed = asyncio.Event()

    async def read_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(reader)
        begun.set()
        await asyncio.sleep(0.3)  # by then the client has gone; what the system held is all that comes
        with contextlib.suppress(ConnectionError):
            seen.extend(await reader.read())
        closed.set()
        writer.close()

    begun = asyncio.Event()
    listening = await asyncio.start_server(read_slowly, "127.0.0.1", 0, limit=1024)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        server = SGLangEndpoint(url, "", model="m", context_tokens=10**8)
        count = 10_000_000
        asked = asyncio.create_task(
            collect(server, Prompt([12345] * count, "", "", "", "", 0, count), SAMPLING)
        )
        await begun.wait()
        await asyncio.sleep(0.1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await asyncio.wait_for(closed.wait(), 10)
        await server.close()
    assert len(opened) == 1, "no abort was sent"
    assert b"/generate" in seen and len(seen) < 6 * count, "the body did not leave as a whole"


async def test_given_up_before_there_is_a_connection():
    server = sglang(f"http://127.0.0.1:{free_port()}")
    asked = asyncio.create_task(collect(server, PROMPT, SAMPLING))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert server._aborts == set()
    await server.close()


def test_a_first_request_imports_nothing():
    """It would on the event loop, between two keys."""
    code = (
        "import asyncio, sys, httpx\n"
        "from engine.endpoints.sse import Timeouts, http_client\n"
        f"client = http_client('http://127.0.0.1:{free_port()}', '', Timeouts())\n"
        "known = set(sys.modules)\n"
        "try:\n"
        "    asyncio.run(client.get('/'))\n"
        "except httpx.ConnectError:\n"
        "    print(sorted(set(sys.modules) - known))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.strip() == "[]"
