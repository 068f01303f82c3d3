"""The real server process over stdio: capabilities, documents, malformed messages, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from misbehaving import Exchange, served
from raw_client import NO_INDEX, RawClient, at, server

FORBIDDEN = ("torch", "sglang", "lancedb", "transformers", "pandas", "sentence_transformers")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[RawClient]:
    async with server(tmp_path, FOREWORD_DEBUG="1") as running:
        yield running


async def test_where_the_cursor_rests_is_taken_of_open_documents(client: RawClient) -> None:
    await client.initialize(NO_INDEX)
    client.open("untitled:1", "x = 1\n")
    client.notify("foreword/cursor", at("untitled:1", 0, 3))
    assert (await client.status())["readAhead"] == {
        "uri": "untitled:1",
        "tokens": 0,
        "reason": "no engine is running",
    }
    client.notify("foreword/cursor", at("untitled:2", 0, 3))
    client.notify("foreword/cursor", at("untitled:1", 9, 0))
    client.notify("foreword/cursor", {"textDocument": {"uri": "untitled:1"}})
    assert (await client.status())["readAhead"]["uri"] == "untitled:1"
    assert "Ignored foreword/cursor" in client.logged()


async def test_capabilities(client: RawClient) -> None:
    result = await client.initialize(notebookDocument={"synchronization": {}})
    told = result["capabilities"]
    assert told["inlineCompletionProvider"] == {}
    assert told["textDocumentSync"] == {"openClose": True, "change": 2, "save": True}
    assert told["workspace"]["workspaceFolders"] == {"supported": True, "changeNotifications": True}
    assert told["notebookDocumentSync"]["notebookSelector"] == [{"notebook": "*"}]
    assert "completionProvider" not in told
    assert result["serverInfo"]["name"] == "foreword"


async def test_completion_items_are_there_for_those_who_ask(client: RawClient) -> None:
    result = await client.initialize({**NO_INDEX, "completionItems": True})
    assert result["capabilities"]["completionProvider"] == {}
    client.open("untitled:1", "x = ")
    answer = await client.result("textDocument/completion", at("untitled:1", 0, 4))
    assert answer == {"isIncomplete": True, "items": []}


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["utf-8", "utf-16"], "utf-8"), (["utf-32"], "utf-32"), (["utf-16"], "utf-16"), (None, "utf-16")],
)
async def test_position_encoding(client: RawClient, offered: list[str] | None, chosen: str) -> None:
    result = await client.initialize(general={"positionEncodings": offered} if offered else {})
    assert result["capabilities"]["positionEncoding"] == chosen
    assert (await client.status())["server"]["encoding"] == chosen


async def test_an_empty_answer_has_its_reason_in_the_status_and_never_pops_up(client: RawClient) -> None:
    await client.initialize()
    client.open("untitled:1", "x = ")
    assert await client.inline("untitled:1", 0, 4) == {"items": []}
    status = await client.status()
    assert "foreword.engine.kind is none" in status["lastEmptyReason"]
    assert status["engine"]["state"] == "off"
    assert status["lastEmptyReason"] in client.logged()
    assert not [each for each in client.notifications if each["method"] == "window/showMessage"]


async def test_a_reason_is_logged_once_not_at_every_keystroke(client: RawClient) -> None:
    await client.initialize()
    client.open("untitled:1", "x = ")
    for _ in range(3):
        await client.inline("untitled:1", 0, 4)
    assert client.logged().count("No completion") == 1


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("untitled:never", "not open"),
        ("file:///nowhere/a.py", "not open"),
        ("nonsense", "not open"),
        ("", "not open"),
    ],
)
async def test_documents_that_nobody_opened(client: RawClient, uri: str, reason: str) -> None:
    await client.initialize()
    assert await client.inline(uri, 3, 3) == {"items": []}
    assert reason in (await client.status())["lastEmptyReason"]


async def test_a_closed_document_is_not_open(client: RawClient) -> None:
    await client.initialize()
    client.open("untitled:1", "x = ")
    client.notify("textDocument/didClose", {"textDocument": {"uri": "untitled:1"}})
    await client.inline("untitled:1", 0, 0)
    assert "not open" in (await client.status())["lastEmptyReason"]


async def test_secrets(client: RawClient, tmp_path: Path) -> None:
    await client.initialize(root=tmp_path)
    uri = (tmp_path / ".env").as_uri()
    client.open(uri, "KEY=", "dotenv")
    assert await client.inline(uri, 0, 4) == {"items": []}
    assert "excluded file" in (await client.status())["lastEmptyReason"]


async def test_strange_positions_and_changes_are_survived(client: RawClient) -> None:
    await client.initialize()
    client.open("untitled:1", "a\r\nb😀\u2028c\n")
    client.change("untitled:1", 2, {"range": span(9, 9, 99, 9), "text": "end"})
    client.change("untitled:1", 3, {"range": span(1, 2, 0, 0), "text": "reversed"})
    client.change("untitled:1", 4, {"text": "whole"})
    client.change("untitled:never", 2, {"text": "lost"})
    for position in [(0, 0), (0, 9999), (2_000_000_000, 0)]:
        assert await client.inline("untitled:1", *position) == {"items": []}
    assert "untitled:never was changed without having been opened" in client.logged()


async def test_notebook_cells_are_documents(client: RawClient) -> None:
    await client.initialize(notebookDocument={"synchronization": {}})
    cells = [{"kind": 2, "document": f"nb:{n}"} for n in (1, 2)]
    items = [{"uri": f"nb:{n}", "languageId": "python", "version": 1, "text": "x"} for n in (1, 2)]
    notebook = {"uri": "file:///n.ipynb", "notebookType": "jupyter", "version": 1, "cells": cells}
    client.notify("notebookDocument/didOpen", {"notebookDocument": notebook, "cellTextDocuments": items})
    content = [{"document": {"uri": "nb:2", "version": 2}, "changes": [{"text": "y = "}]}]
    structure = {"array": {"start": 0, "deleteCount": 1}, "didClose": [{"uri": "nb:1"}]}
    change = {"cells": {"structure": structure, "textContent": content}}
    client.notify(
        "notebookDocument/didChange",
        {"notebookDocument": {"uri": "file:///n.ipynb", "version": 2}, "change": change},
    )
    await client.inline("nb:2", 0, 4)
    assert "engine.kind" in (await client.status())["lastEmptyReason"]
    await client.inline("nb:1", 0, 0)
    assert "not open" in (await client.status())["lastEmptyReason"]


async def engine_ready(client: RawClient) -> None:
    async with asyncio.timeout(20):
        while (await client.status())["engine"]["state"] != "ready":
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("method", ["textDocument/inlineCompletion", "foreword/completion"])
async def test_a_line_beyond_the_document_asks_no_model(client: RawClient, method: str) -> None:
    """A character beyond its line is another matter: the protocol says that it is the line's end."""

    async def broken(exchange: Exchange) -> None:
        await exchange.answer(500, b"broken")

    async with served(broken) as (url, exchanges):
        await client.initialize({"index": False, "engine": {"kind": "openai", "url": url, "model": "m"}})
        await engine_ready(client)
        client.open("untitled:1", "x = 1\ny = ")
        answer = await client.result(method, at("untitled:1", 2, 0))
        assert not answer.get("items") and not answer.get("text")
        assert (await client.status())["lastEmptyReason"] == "there is no such line"
        assert not exchanges
        await client.result(method, at("untitled:1", 1, 9999))
        assert "y =<|fim_suffix|>" in exchanges[0].json["prompt"]


async def test_an_address_that_is_no_url_is_told(client: RawClient) -> None:
    await client.initialize(
        {"index": False, "engine": {"kind": "openai", "url": "127.0.0.1:9", "model": "m"}}
    )
    await client.until(lambda: "has to be a URL such as" in client.logged())
    assert (await client.status())["engine"]["state"] == "failed"


@pytest.mark.parametrize("method", ["textDocument/inlineCompletion", "foreword/completion"])
@pytest.mark.parametrize("how", ["cancel", "newer", "close", "cell closed"])
async def test_what_nobody_waits_for_is_ended_at_the_model(client: RawClient, method: str, how: str) -> None:
    hung_up = asyncio.Event()

    async def never(exchange: Exchange) -> None:
        await exchange.until_closed()
        hung_up.set()

    async with served(never) as (url, exchanges):
        engine = {"kind": "openai", "url": url, "model": "m"}
        await client.initialize({"index": False, "engine": engine})
        await engine_ready(client)
        uri = "untitled:1"
        client.open(uri, "x = ")
        request_id, answer = client.start(method, at(uri, 0, 4))
        async with asyncio.timeout(20):
            while not exchanges:
                await asyncio.sleep(0.02)
        if how == "cancel":
            client.notify("$/cancelRequest", {"id": request_id})
        elif how == "newer":
            client.start(method, at(uri, 0, 3))
        elif how == "close":
            client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        else:
            notebook = {"notebookDocument": {"uri": "file:///n.ipynb"}, "cellTextDocuments": [{"uri": uri}]}
            client.notify("notebookDocument/didClose", notebook)
        said = await asyncio.wait_for(answer, 20)
        await asyncio.wait_for(hung_up.wait(), 20)
    if how == "cancel":
        assert said["error"]["code"] == -32800
    else:
        assert not said["result"].get("items") and not said["result"].get("text")


async def test_keys_of_our_own_answers_are_camel_case(client: RawClient) -> None:
    await client.initialize()
    client.open("untitled:1", "x = ")
    answer = await client.result("foreword/completion", at("untitled:1", 0, 4))
    assert set(answer) == {
        *("text", "reason", "completionTokens", "promptTokens", "cachedTokens", "ttftS", "totalS"),
        *("segments", "notes"),
    }
    assert not [
        key
        for part in (await client.status()).values()
        if isinstance(part, dict)
        for key in part
        if "_" in key
    ]


async def test_folders_come_and_go(client: RawClient, tmp_path: Path) -> None:
    await client.initialize(root=tmp_path)
    other = tmp_path / "other"
    event = {"added": [folder(other)], "removed": [folder(tmp_path)]}
    client.notify("workspace/didChangeWorkspaceFolders", {"event": event})
    assert (await client.status())["server"]["roots"] == [str(other)]


async def test_root_uri_where_there_are_no_folders(client: RawClient, tmp_path: Path) -> None:
    await client.result("initialize", {"capabilities": {}, "rootUri": tmp_path.as_uri(), "processId": None})
    client.notify("textDocument/didSave", {"textDocument": {"uri": "untitled:1"}})
    assert (await client.status())["server"]["roots"] == [str(tmp_path)]


async def test_wrong_settings_are_told_in_the_log(client: RawClient) -> None:
    await client.initialize({**NO_INDEX, "maxLines": 0})
    changed = {"settings": {"foreword": {"waitS": "long"}}}
    client.notify("workspace/didChangeConfiguration", changed)
    complaints = (await client.status())["complaints"]
    assert [each.partition(" cannot")[0] for each in complaints] == ["foreword.maxLines", "foreword.waitS"]
    assert "foreword.maxLines cannot be 0" in client.logged()


async def test_the_server_loads_no_model_runtime_and_no_store(client: RawClient, tmp_path: Path) -> None:
    """After a completion has gone as far as it can go here."""
    await client.initialize(
        {"index": False, "engine": {"kind": "openai", "url": "http://127.0.0.1:9", "model": "m"}}
    )
    client.open("untitled:1", "def f():\n    ")
    await client.until(lambda: True)
    for _ in range(100):
        if (await client.status())["engine"]["state"] == "ready":
            break
        await asyncio.sleep(0.05)
    await client.inline("untitled:1", 1, 4)
    assert "127.0.0.1:9" in (await client.status())["lastEmptyReason"]
    modules = await client.result("foreword/loadedModules")
    assert "engine.endpoints.openai" in modules
    assert "engine.hosting.launcher" not in modules  # nothing of a host of our own, which needs fcntl
    loaded = {module.partition(".")[0] for module in modules}
    assert loaded.isdisjoint(FORBIDDEN), loaded.intersection(FORBIDDEN)


async def test_what_only_requests_to_an_engine_or_the_command_line_need_is_not_waited_for(
    client: RawClient,
) -> None:
    await client.initialize({"index": False, "engine": {"kind": "none"}})
    loaded = {module.partition(".")[0] for module in await client.result("foreword/loadedModules")}
    assert loaded.isdisjoint({"httpx", "typer", "rich"})


async def test_modules_are_told_for_debugging_only(tmp_path: Path) -> None:
    async with server(tmp_path) as client:
        await client.initialize()
        assert (await client.answer("foreword/loadedModules"))["error"]["code"] == -32601


# ---------------------------------------------------------------- malformed messages


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("textDocument/inlineCompletion", {}),
        ("textDocument/inlineCompletion", {"textDocument": {}, "position": 4, "context": []}),
        (
            "textDocument/inlineCompletion",
            {**at("untitled:1", 0, 0), "position": {"line": -1, "character": 0}},
        ),
        ("textDocument/inlineCompletion", []),
        ("textDocument/inlineCompletion", "text"),
        ("textDocument/inlineCompletion", None),
        ("workspace/executeCommand", {"command": 1.5}),
        ("workspace/executeCommand", {"command": "unknown"}),
        ("textDocument/hover", {"textDocument": {"uri": "a"}, "position": {"line": 0, "character": 0}}),
        ("$/unknown", {}),
        ("foreword/completion", {"textDocument": {"uri": "a"}}),
        ("foreword/unknown", {"a": {"jsonrpc": "2.0", "id": 9}}),
    ],
)
async def test_every_request_is_answered(client: RawClient, method: str, params: Any) -> None:
    await client.initialize()
    client.send({"id": 900, "method": method, "params": params})
    answer = await asyncio.wait_for(client.expect(900), 5)
    assert answer["error"]["code"] in (-32601, -32602), answer
    assert answer["error"]["message"]
    assert (await client.status())["server"]["pid"]
    assert not client.logged_as(1)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{nonsense", -32700),
        (b"\xff\xfe", -32700),
        (b"", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"3", -32600),
        (b'{"id": 1.5, "method": "shutdown", "jsonrpc": "2.0"}', -32600),
        (b'{"id": null, "method": "shutdown", "jsonrpc": "2.0"}', -32600),
        (b'{"jsonrpc": "2.0"}', -32600),
        (b'{"jsonrpc": "2.0", "method": 3}', -32600),
    ],
)
async def test_what_is_no_message_is_answered_without_an_id(
    client: RawClient, body: bytes, code: int
) -> None:
    await client.initialize()
    client.send_body(body)
    await client.until(lambda: client.loose_errors)
    assert client.loose_errors[0]["error"]["code"] == code
    assert (await client.status())["server"]["pid"]


async def test_a_request_of_another_json_rpc_is_answered(client: RawClient) -> None:
    await client.initialize()
    client.send_body(b'{"id": 900, "method": "shutdown"}')
    assert (await asyncio.wait_for(client.expect(900), 5))["error"]["code"] == -32600


async def test_answers_that_nobody_waits_for_are_survived(client: RawClient) -> None:
    await client.initialize()
    client.send({"id": "unknown", "result": {}})
    client.send({"id": None, "error": {"code": 1, "message": "x"}})
    client.notify("$/cancelRequest", {"id": "unknown"})
    client.notify("$/cancelRequest", {})
    client.notify("textDocument/didChange", {"textDocument": 4})
    assert (await client.status())["server"]["pid"]
    assert not [each for each in client.notifications if each["method"] == "window/showMessage"]


async def test_headers_in_another_spelling(client: RawClient) -> None:
    body = b'{"jsonrpc": "2.0", "id": 900, "method": "foreword/status"}'
    client.send_bytes(b"content-type: x; charset=utf-8\r\ncontent-length:%d\r\n\r\n" % len(body) + body)
    assert (await asyncio.wait_for(client.expect(900), 5))["error"]["code"] == -32002


async def test_a_header_that_cannot_be_read_ends_the_server_with_a_word(client: RawClient) -> None:
    client.send_bytes(b"Content-Length: many\r\n\r\n{}")
    await client.until(lambda: client.loose_errors)
    assert "Content-Length" in client.loose_errors[0]["error"]["message"]
    assert await client.ended() == 1


async def test_the_order_of_life(client: RawClient) -> None:
    assert (await client.answer("textDocument/inlineCompletion", at("a", 0, 0)))["error"]["code"] == -32002
    await client.initialize()
    assert (await client.answer("initialize", {"capabilities": {}}))["error"]["code"] == -32600
    await client.result("shutdown")
    assert (await client.answer("foreword/status"))["error"]["code"] == -32600
    client.notify("exit")
    assert await client.ended() == 0


# ---------------------------------------------------------------- how it ends


async def test_exit_without_shutdown_is_status_1(client: RawClient) -> None:
    await client.initialize()
    client.notify("exit")
    assert await client.ended() == 1


async def test_the_end_of_input_ends_it(client: RawClient) -> None:
    await client.initialize()
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert await client.ended() == 1


async def test_the_death_of_its_editor_ends_it(client: RawClient) -> None:
    editor = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(60)"])  # noqa: ASYNC220
    try:
        await client.result(
            "initialize", {"processId": editor.pid, "capabilities": {}, "initializationOptions": NO_INDEX}
        )
        client.notify("initialized")
        await client.status()
    finally:
        editor.kill()
        editor.wait()
    assert await client.ended() == 1


async def test_an_editor_that_cannot_be_seen_is_not_watched(client: RawClient) -> None:
    """As under `docker exec`: its number belongs to another system. The end of input is enough."""
    gone = subprocess.Popen([sys.executable, "-I", "-c", ""])  # noqa: ASYNC220
    gone.wait()
    await client.result(
        "initialize", {"processId": gone.pid, "capabilities": {}, "initializationOptions": NO_INDEX}
    )
    client.notify("initialized")
    await asyncio.sleep(0.5)
    assert (await client.status())["server"]["pid"] == client.process.pid


async def test_an_interrupt_ends_it(client: RawClient) -> None:
    await client.initialize()
    os.kill(client.process.pid, signal.SIGINT)
    assert await client.ended() == 130


async def test_a_client_that_reads_nothing_does_not_stop_the_server(tmp_path: Path) -> None:
    """Its answers pile up beyond what the pipe holds; the last message is read all the same."""
    async with server(tmp_path) as client:
        await client.initialize()
        client._reading.cancel()
        for number in range(2_000):
            client.send({"id": 10_000 + number, "method": "foreword/status"})
        client.notify("exit")
        assert await client.ended() == 1


def span(start_line: int, start: int, end_line: int, end: int) -> dict[str, Any]:
    return {
        "start": {"line": start_line, "character": start},
        "end": {"line": end_line, "character": end},
    }


def folder(path: Path) -> dict[str, str]:
    return {"uri": path.as_uri(), "name": path.name}
