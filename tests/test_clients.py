"""The real server before each client's own capabilities: what comes is something that this client may receive."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from index_service import isolate, repository, stop_service
from language_clients import CLIENTS, LanguageClient
from misbehaving import Exchange, served
from raw_client import ANSWER_TIMEOUT_S, RawClient, at, server

FILES = {"shop/pricing.py": "class Prices:\n    def net(self, gross):\n        return gross\n"}
TYPED = "from shop.pricing import Prices\n\n\ndef total(gross):\n    return Prices().n"
WRITTEN = "et(gross)\n"
PLAIN_TEXT, SNIPPET = 1, 2
"""InsertTextFormat."""

ASKED_OF_A_CLIENT = {
    "window/workDoneProgress/create": ("window", "workDoneProgress"),
    "workspace/configuration": ("workspace", "configuration"),
    "workspace/applyEdit": ("workspace", "applyEdit"),
    "workspace/workspaceFolders": ("workspace", "workspaceFolders"),
    "window/showDocument": ("window", "showDocument", "support"),
}
"""Requests of a server, and what a client announces that answers them."""


def announced(capabilities: dict[str, Any], *path: str) -> Any:
    found: Any = capabilities
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def dynamic(capabilities: dict[str, Any], method: str) -> bool:
    """Whether a client lets a server register this method later."""
    room, _, name = method.partition("/")
    return bool(announced(capabilities, room, name, "dynamicRegistration"))


async def writes(exchange: Exchange) -> None:
    if exchange.path.endswith("/models"):
        await exchange.answer(200, b'{"data": [{"id": "script"}]}')
    else:
        await exchange.completion(WRITTEN)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One index service for all clients, as for all editors of a user."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        isolate(patch, home)
        yield home
        asyncio.run(stop_service())


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_a_client_receives_only_what_it_may(client: LanguageClient, home: Path, tmp_path: Path) -> None:
    root = repository(tmp_path / "repository", FILES)
    async with served(writes) as (url, _), server(home, root) as raw:
        options = {
            "engine": {"kind": "openai", "url": url, "model": "script", "api": "completions"},
            "completionItems": True,
            "symbols": {"languages": ["python"]},
        }
        result = await raw.initialize(options, root, **client.capabilities)
        uri = (root / "shop" / "order.py").as_uri()
        raw.open(uri, TYPED)
        await indexed(raw)
        line, character = TYPED.count("\n"), len(TYPED.rpartition("\n")[2])
        items = (await raw.result("textDocument/completion", at(uri, line, character)))["items"]
        inline = (await raw.inline(uri, line, character))["items"]
        symbols = await raw.result("textDocument/documentSymbol", {"textDocument": {"uri": uri}})
        told = result["capabilities"]
        check_announcements(told, client.capabilities)
        check_requests(raw, client.capabilities)
        check_progress(raw)
        check_items(items, client.capabilities)
        assert [each["insertText"] for each in inline] == [WRITTEN.rstrip()], "plain text, never a snippet"
        symbol = announced(client.capabilities, "textDocument", "documentSymbol") or {}
        tree = symbol.get("hierarchicalDocumentSymbolSupport", False)
        assert symbols and all(("location" in each) != tree for each in symbols)
        ours = [each for each in raw.notifications if each["method"].startswith("foreword/")]
        assert not ours, "nobody has asked for them"
        assert not [each for each in raw.notifications if each["method"] == "window/showMessage"]
        assert await raw.leave() == 0


async def indexed(raw: RawClient) -> None:
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while True:
            status = await raw.status()
            roots = status["index"].get("roots", [])
            if roots and roots[0]["state"] == "ready" and status["engine"]["state"] == "ready":
                return
            await asyncio.sleep(0.05)


def check_announcements(told: dict[str, Any], capabilities: dict[str, Any]) -> None:
    offered = announced(capabilities, "general", "positionEncodings") or ["utf-16"]
    assert told["positionEncoding"] == offered[0], "the client's first choice"
    assert told["textDocumentSync"]["change"] in (1, 2)
    assert told["inlineCompletionProvider"] == {}
    for method in ("documentSymbol", "workspace/symbol"):
        where = method if "/" in method else f"textDocument/{method}"
        name = "workspaceSymbolProvider" if "/" in method else "documentSymbolProvider"
        assert bool(told.get(name)) != dynamic(capabilities, where), "announced in one of the two ways"


def check_requests(raw: RawClient, capabilities: dict[str, Any]) -> None:
    for request in raw.requests:
        method = request["method"]
        if method == "client/registerCapability":
            for each in request["params"]["registrations"]:
                assert dynamic(capabilities, each["method"]), each
        elif method == "client/unregisterCapability":
            raise AssertionError("nothing was to be taken back")
        else:
            assert announced(capabilities, *ASKED_OF_A_CLIENT[method]), f"{method} was not announced"


def check_progress(raw: RawClient) -> None:
    """Only with a token that the client has been asked to create."""
    created = [
        each["params"]["token"] for each in raw.requests if each["method"] == "window/workDoneProgress/create"
    ]
    for each in raw.notifications:
        if each["method"] == "$/progress":
            assert each["params"]["token"] in created


def check_items(items: list[dict[str, Any]], capabilities: dict[str, Any]) -> None:
    (item,) = items
    can = announced(capabilities, "textDocument", "completion", "completionItem") or {}
    assert item.get("insertTextFormat", PLAIN_TEXT) != SNIPPET, "code is no snippet"
    modes = announced(can, "insertTextModeSupport", "valueSet")
    assert modes is None or item.get("insertTextMode") in (None, *modes)
    assert set(item["textEdit"]) == {"range", "newText"}, "no separate ranges to insert and to replace"
    assert item["textEdit"]["newText"].endswith(WRITTEN.rstrip())
    assert isinstance(item.get("documentation", ""), str), "plain text, which no client has to announce"
    kinds = announced(capabilities, "textDocument", "completion", "completionItemKind", "valueSet")
    assert item["kind"] in (kinds or range(1, 19)), "of the protocol's first version where nothing is said"
