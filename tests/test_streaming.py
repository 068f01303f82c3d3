"""Completions told while they grow, by the real server process, from a real HTTP server that writes what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from misbehaving import EVENTS, Exchange, served
from raw_client import RawClient, at, server
from test_server_protocol import engine_ready

BLOCK = ["\n    b = a", "\n    if b:", "\n        b = 2", "\n    return b", "\n\n\ndef g(", "):\n"]
WHOLE = "\n    b = a\n    if b:\n        b = 2\n    return b"


class Model:
    """Writes `pieces`, each when it is let go."""

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = pieces
        self.steps = asyncio.Semaphore(0)
        self.hung_up = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.path != "/v1/completions":  # it is looked at after its first answer
            await exchange.answer(404, b"{}")
            return
        await exchange.send(EVENTS)
        try:
            for piece in self.pieces:
                await self.steps.acquire()
                await exchange.event({"choices": [{"index": 0, "text": piece, "finish_reason": None}]})
            await exchange.event({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
            await exchange.send(b"data: [DONE]\n\n")
        finally:
            self.hung_up.set()

    def write(self, pieces: int = 99) -> None:
        for _ in range(pieces):
            self.steps.release()


@asynccontextmanager
async def editor(folder: Path, model: Model) -> AsyncIterator[tuple[RawClient, list[Exchange]]]:
    async with served(model) as (url, exchanges), server(folder) as client:
        await client.initialize({"index": False, "engine": {"kind": "openai", "url": url, "model": "m"}})
        await engine_ready(client)
        yield client, exchanges


def told(client: RawClient, token: str | int) -> list[Any]:
    progress = [each["params"] for each in client.notifications if each["method"] == "$/progress"]
    return [each["value"] for each in progress if each["token"] == token]


def texts(client: RawClient, token: str | int) -> list[str]:
    items = told(client, token)
    assert all(len(each) == 1 for each in items)
    return [item["insertText"] for (item,) in items]


@pytest.mark.parametrize("token", ["growing", 7])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
async def test_an_inline_completion_grows(tmp_path: Path, token: str | int, ending: str) -> None:
    model = Model(BLOCK)
    async with editor(tmp_path, model) as (client, _):
        client.open("untitled:1", f"def f(a):{ending}")
        request = {**at("untitled:1", 0, 9), "partialResultToken": token}
        _, answer = client.start("textDocument/inlineCompletion", request)
        for count in range(1, 4):
            model.write(1)
            await client.until(lambda count=count: len(told(client, token)) >= count)
        assert not answer.done()
        model.write()
        (item,) = (await asyncio.wait_for(answer, 20))["result"]["items"]
    grown = texts(client, token)
    assert all(later.startswith(earlier) for earlier, later in pairwise(grown))
    assert item["insertText"] == WHOLE.replace("\n", ending) == grown[-1]
    cursor = {"line": 0, "character": 9}
    assert {str(each[0]["range"]) for each in told(client, token)} == {str({"start": cursor, "end": cursor})}


async def test_nobody_is_told_who_has_not_asked(tmp_path: Path) -> None:
    model = Model(BLOCK)
    model.write()
    async with editor(tmp_path, model) as (client, _):
        client.open("untitled:1", "def f(a):\n")
        assert (await client.inline("untitled:1", 0, 9))["items"]
        with_token = {**at("untitled:1", 0, 9), "partialResultToken": None}
        assert (await client.result("textDocument/inlineCompletion", with_token))["items"]
    assert not [each for each in client.notifications if each["method"] == "$/progress"]


@pytest.mark.parametrize("token", [True, 1.5, {}, []])
async def test_a_token_that_is_none(tmp_path: Path, token: object) -> None:
    async with server(tmp_path) as client:
        await client.initialize()
        client.open("untitled:1", "x = ")
        request = {**at("untitled:1", 0, 4), "partialResultToken": token}
        answer = await client.answer("textDocument/inlineCompletion", request)
        assert answer["error"]["code"] == -32602 and "partialResultToken" in answer["error"]["message"]
        assert await client.inline("untitled:1", 0, 4) == {"items": []}


async def test_whoever_types_along_is_told_the_rest(tmp_path: Path) -> None:
    model = Model(BLOCK)
    async with editor(tmp_path, model) as (client, exchanges):
        client.open("untitled:1", "def f(a):\n")
        older_request = {**at("untitled:1", 0, 9), "partialResultToken": "older"}
        _, older = client.start("textDocument/inlineCompletion", older_request)
        model.write(2)
        await client.until(lambda: len(told(client, "older")) >= 2)
        client.change("untitled:1", 2, {"text": "def f(a):\n    b\n"})
        _, newer = client.start(
            "textDocument/inlineCompletion", {**at("untitled:1", 1, 5), "partialResultToken": "newer"}
        )
        model.write(1)
        await client.until(lambda: told(client, "newer"))  # it has joined what is under way
        model.write()
        (item,) = (await asyncio.wait_for(newer, 20))["result"]["items"]
        assert (await asyncio.wait_for(older, 20))["result"]["items"] == []
    assert item["insertText"] == WHOLE.removeprefix("\n    b")
    grown = texts(client, "newer")
    assert grown[0].startswith(" = a") and grown[-1] == item["insertText"]
    assert [each.path for each in exchanges].count("/v1/completions") == 1


async def test_of_a_version_that_is_gone_nothing_is_told(tmp_path: Path) -> None:
    for method in ("textDocument/inlineCompletion", "foreword/completion"):
        model = Model(BLOCK)
        async with editor(tmp_path, model) as (client, _):
            client.open("untitled:1", "def f(a):\n")
            request = {**at("untitled:1", 0, 9), "partialResultToken": "t"}
            _, answer = client.start(method, request)
            model.write(1)
            await client.until(lambda client=client: told(client, "t"))
            client.change("untitled:1", 2, {"text": "def f(a):\n    c\n"})
            await client.status()
            before = len(told(client, "t"))
            model.write()
            result = (await asyncio.wait_for(answer, 20))["result"]
            assert not result.get("items") and not result.get("text")
            assert (await client.status())["lastEmptyReason"] == "the document has changed since"
            await asyncio.wait_for(model.hung_up.wait(), 20)
        assert len(told(client, "t")) == before


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
async def test_our_own_method_tells_the_text_as_it_comes(tmp_path: Path, ending: str) -> None:
    model = Model(BLOCK)
    model.write()
    async with editor(tmp_path, model) as (client, _):
        client.open("untitled:1", f"def f(a):{ending}")
        request = {**at("untitled:1", 0, 9), "partialResultToken": "t"}
        answer = await client.result("foreword/completion", request)
    grown = [each["text"] for each in told(client, "t")]
    assert grown[-1] == answer["text"] == WHOLE.replace("\n", ending)
    assert all(later.startswith(earlier) for earlier, later in pairwise(grown))
    assert answer["completionTokens"] > 0 and answer["reason"] == ""
