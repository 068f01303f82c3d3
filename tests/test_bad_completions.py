"""Documents and engines at their worst: every request ends, with a reason, and the next one works."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from misbehaving import EVENTS, Exchange, served
from raw_client import RawClient, at, server
from scripted import ScriptedEndpoint
from test_completion import Session
from test_server_protocol import engine_ready

from lsp import writing
from lsp.settings import Settings

GOOD = "foo(a)\n"


PLACES = [
    ('s = "😀"; x = \n', 0, 6),  # inside a surrogate pair
    ('s = "é"; x = \n', 0, 9999),  # beyond the line
    ("a = 1\r\nb = \n\tc = \r\r\n", 2, 5),  # line ends and tabs of all kinds
    ("a = 1\rb = ", 1, 4),
    ("\ufeffx = ", 0, 5),
    ("x = \ud800\n", 0, 4),  # half a character
    ("x\u2028 = \n", 0, 5),  # a separator that is no line end
    ("", 0, 0),
    ("\0 = \n", 0, 4),
    ("(" * 5_000, 0, 5_000),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_documents(tmp_path: Path, encoding: str) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.completion(GOOD)

    async with served(behave) as (url, _), server(tmp_path) as client:
        engine = {"kind": "openai", "url": url, "model": "m"}
        await client.initialize({"index": False, "engine": engine}, general={"positionEncodings": [encoding]})
        await engine_ready(client)
        for number, (text, line, character) in enumerate(PLACES):
            client.open(f"untitled:{number}", text)
            answer = await client.inline(f"untitled:{number}", line, character)
            assert answer["items"] or (await client.status())["lastEmptyReason"], text
        client.open("untitled:good", "x = \n")
        assert (await client.inline("untitled:good", 0, 4))["items"][0]["insertText"] == "foo(a)"
        assert not client.logged_as(1), client.logged()


async def dies(exchange: Exchange) -> None:
    await exchange.send(EVENTS)
    await exchange.event({"choices": [{"index": 0, "text": "fo", "finish_reason": None}]})
    await exchange.drop()


async def refuses(exchange: Exchange) -> None:
    await exchange.answer(500, b"broken")


async def speaks_nonsense(exchange: Exchange) -> None:
    await exchange.send(EVENTS + b"data: {nonsense\n\n")


async def loops(exchange: Exchange) -> None:
    """And keeps to no limit."""
    await exchange.send(EVENTS)
    while True:
        await exchange.event({"choices": [{"index": 0, "text": "a", "finish_reason": None}]})


async def writes_blank_lines(exchange: Exchange) -> None:
    await exchange.send(EVENTS)
    while True:
        await exchange.event({"choices": [{"index": 0, "text": "\n", "finish_reason": None}]})


@pytest.mark.parametrize("method", ["textDocument/inlineCompletion", "foreword/completion"])
@pytest.mark.parametrize("worst", [dies, refuses, speaks_nonsense, loops, writes_blank_lines])
async def test_engines(tmp_path: Path, worst, method: str) -> None:
    behaviours = [worst]

    async def behave(exchange: Exchange) -> None:
        if exchange.path != "/v1/completions":
            await exchange.answer(404, b"{}")
        elif behaviours:
            await behaviours.pop()(exchange)
        else:
            await exchange.completion(GOOD)

    async with served(behave) as (url, _), server(tmp_path) as client:
        await client.initialize({"index": False, "engine": {"kind": "openai", "url": url, "model": "m"}})
        await engine_ready(client)
        client.open("untitled:1", "def f():\n    x = \n")
        answer = await client.result(method, at("untitled:1", 1, 8))
        assert not answer.get("items") and not answer.get("text")
        assert (await client.status())["lastEmptyReason"]
        assert await the_next_one_works(client)
        assert not client.logged_as(1), client.logged()


async def the_next_one_works(client: RawClient) -> bool:
    client.change("untitled:1", 2, {"text": "def f():\n    y = \n"})
    async with asyncio.timeout(20):
        while not (await client.inline("untitled:1", 1, 8))["items"]:
            await asyncio.sleep(0.05)  # an engine that has failed is looked for anew
    return True


@pytest.mark.parametrize("text", ["    ", "a", "\n"])
async def test_a_model_that_never_comes_to_an_end(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Whatever it writes, and however slowly."""
    monkeypatch.setattr(writing, "GIVE_UP_S", 0.2)
    endpoint = ScriptedEndpoint(text * 100_000, piece=1, delay_s=0.03)
    session = Session(endpoint)
    outcome = await session.ask("def f():\n    ▮\n")
    assert not outcome.text and outcome.reason
    assert endpoint.closed_early == 1
    endpoint._text, endpoint._delay_s = "    foo()\nx = 1\n", 0.0
    assert (await session.ask("def f():\n    ▮\n", version=2)).text == "foo()", "that was no answer to keep"


async def test_what_is_whole_by_then_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "GIVE_UP_S", 0.5)
    endpoint = ScriptedEndpoint("    b = a\n    c = b\n" + "    d = [\n" * 1_000, piece=10, delay_s=0.02)
    session = Session(endpoint)
    session.completions._settings = lambda: Settings(wait_s=120.0)
    assert (await session.ask("def f(a):\n    ▮\n")).text.startswith("b = a")


async def test_a_document_that_is_closed_and_opened_again_while_it_is_written() -> None:
    endpoint = ScriptedEndpoint(GOOD, piece=1, delay_s=0.02)
    session = Session(endpoint)
    asked = asyncio.create_task(session.ask("x = ▮\n"))
    await asyncio.sleep(0.05)
    session.documents.close("untitled:1")
    session.completions.forget("untitled:1")
    assert (await session.ask("y = ▮\n", version=1)).text == "foo(a)"
    assert (await asked).reason == "the document was closed"
