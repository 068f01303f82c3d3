"""Several endpoints in the settings of a real server: who completes, what the status says, and who writes edits."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from editor import editor
from misbehaving import EVENTS, Exchange, free_port, served
from raw_client import RawClient, server

from engine.endpoints.edit_route import EditScope
from engine.endpoints.failover import FailoverEndpoint
from engine.endpoints.openai import OpenAIEndpoint
from lsp.links.engine_link import EngineLink
from lsp.links.engines import Engine, NoEngine, configured, workspace_hash
from lsp.settings import EngineSettings, Settings, read_settings

FOREWORD = Path(sys.executable).with_name("foreword")
COMEBACK_TIMEOUT_S = 20.0
"""The first back-off is about a second."""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[RawClient]:
    async with server(tmp_path) as one:
        yield one


def writes(text: str):
    async def behave(exchange: Exchange) -> None:
        if exchange.path == "/v1/models":
            await exchange.answer(200, b'{"data": [{"id": "m", "max_model_len": 8192}]}')
        else:
            await exchange.completion(*text, "\n")

    return behave


def openai(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "openai", "url": url, "model": "m", "api": "completions", **more}


def end_of(text: str) -> tuple[int, int]:
    return text.count("\n"), len(text) - text.rfind("\n") - 1


class Typist:
    """Types `x = `, over and over, and reads what the server suggests."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._documents = 0

    async def completion(self) -> str:
        self._documents += 1
        uri = f"untitled:{self._documents}"
        self._client.open(uri, "x = ")
        items = (await self._client.inline(uri, 0, 4))["items"]
        return items[0]["insertText"] if items else ""


async def ready(client: RawClient) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (status := (await client.status())["engine"])["state"] != "ready":
            assert status["state"] != "failed", status
            await asyncio.sleep(0.05)
    return status


async def test_the_second_completes_while_the_first_is_dead_and_the_first_comes_back(
    client: RawClient,
) -> None:
    async with served(writes("second")) as (second, _):
        port = free_port()  # not before: the second could be given the very same one
        engine = openai(f"http://127.0.0.1:{port}", key="secret", fallbacks=[openai(second)])
        await client.initialize({"index": False, "engine": engine})
        await ready(client)
        typist = Typist(client)
        assert await typist.completion() == "second"
        told = (await client.status())["engine"]
        dead, alive = told["endpoints"]
        assert (dead["state"], alive["state"]) == ("waiting", "ready")
        assert "cannot be reached" in dead["lastError"] and dead["triedAgainInS"] is not None
        assert told["endpoint"] == alive["endpoint"] == told["roles"]["completion"]["endpoint"]
        assert len([line for line in client.logged().splitlines() if "cannot be reached" in line]) == 1
        async with served(writes("first"), port), asyncio.timeout(COMEBACK_TIMEOUT_S):
            while await typist.completion() != "first":
                await asyncio.sleep(0.1)
        told = (await client.status())["engine"]
        assert [each["state"] for each in told["endpoints"]] == ["ready", "ready"]
        assert "is back" in client.logged()
        assert await typist.completion() == "second", "and once more"
    assert "secret" not in json.dumps(told) + client.logged()


@pytest.mark.parametrize("how", ["before headers", "after headers"])
async def test_one_that_hangs_is_left_after_a_while(client: RawClient, how: str) -> None:
    async def hangs(exchange: Exchange) -> None:
        if how == "after headers":
            await exchange.send(EVENTS)
        await exchange.until_closed()

    async with served(hangs) as (first, _), served(writes("second")) as (second, _):
        engine = openai(first, firstTextS=0.5, fallbacks=[openai(second)])
        await client.initialize({"index": False, "engine": engine})
        await ready(client)
        assert await Typist(client).completion() == "second"
        dead = (await client.status())["engine"]["endpoints"][0]
        assert "wrote nothing for 0.5 s" in dead["lastError"]


FAILS = {
    "a web page": lambda exchange: exchange.answer(200, b"<html>hello</html>", "text/html"),
    "garbage": lambda exchange: exchange.send(EVENTS + b"data: {nonsense\n\n"),
    "gone": lambda exchange: exchange.drop(),
    "wrong key": lambda exchange: exchange.answer(401, b"{}"),
    "no such path": lambda exchange: exchange.answer(404, b"{}"),
    "overloaded": lambda exchange: exchange.answer(429, b"{}", headers="retry-after: 1\n"),
    "broken": lambda exchange: exchange.answer(500, b"{}"),
}


@pytest.mark.parametrize("how", FAILS)
async def test_alone_it_gives_the_reason_and_the_server_lives(client: RawClient, how: str) -> None:
    async def fails(exchange: Exchange) -> None:
        await FAILS[how](exchange)

    async with served(fails) as (url, _):
        await client.initialize({"index": False, "engine": openai(url)})
        await ready(client)
        assert await Typist(client).completion() == ""
        status = await client.status()
        assert url in status["lastEmptyReason"]
        assert status["engine"]["endpoints"][0]["lastError"]
    async with served(writes("better")) as (url, _):  # and the next set of settings works
        changed = {"settings": {"foreword": {"engine": openai(url)}}}
        client.notify("workspace/didChangeConfiguration", changed)
        async with asyncio.timeout(20):
            while await (Typist(client)).completion() != "better":
                await asyncio.sleep(0.1)


async def test_one_that_cannot_be_set_up_is_told_beside_those_that_can(client: RawClient) -> None:
    async with served(writes("second")) as (second, _):
        engine = openai("not-a-url", fallbacks=[openai(second), {"kind": "sglang"}])
        await client.initialize({"index": False, "engine": engine})
        await ready(client)
        assert await Typist(client).completion() == "second"
        status = await client.status()
        states = {each["endpoint"]: each["state"] for each in status["engine"]["endpoints"]}
        assert states["the openai server with m at not-a-url"] == "unusable"
        assert any("fallbacks[1].url is empty" in each for each in status["complaints"])


# ---------------------------------------------------------------- with a real host

ADDITION = "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))\nprint(add(3, 4))\nprint("


@pytest.mark.engine
async def test_the_embedded_engine_as_fallback(engine_home, engine_host, tmp_path: Path) -> None:
    """It is started, here found, by the first request that needs it; that one is not kept waiting."""
    dead = openai(
        f"http://127.0.0.1:{free_port()}", fallbacks=[{"kind": "embedded", "model": "smollm2-135m"}]
    )
    async with editor(tmp_path, {"index": False, "engine": dead}) as one:
        await one.until(lambda status: status["engine"]["state"] == "ready")
        uri = one.open(tmp_path / "a.py", ADDITION)
        async with asyncio.timeout(120):
            while (item := await one.completion(uri, *end_of(ADDITION))) is None:
                await asyncio.sleep(0.1)
        assert item.insert_text.startswith("add(")
        first, second = (await one.status())["engine"]["endpoints"]
        assert (first["state"], second["state"], second["kind"]) == ("waiting", "ready", "sglang")
        assert second["model"] == "smollm2-135m"


@pytest.mark.engine
async def test_a_remote_sglang_server_is_the_same_client(engine_home, engine_host, tmp_path: Path) -> None:
    engine = {"kind": "sglang", "url": engine_host.url, "key": engine_host.key, "model": "smollm2-135m"}
    async with editor(tmp_path, {"index": False, "engine": engine}) as one:
        await one.until(lambda status: status["engine"]["state"] == "ready")
        uri = one.open(tmp_path / "a.py", ADDITION)
        item = await one.completion(uri, *end_of(ADDITION))
        assert item is not None and item.insert_text.startswith("add(")
        status = await one.until(lambda status: status["engine"]["endpoints"][0]["reachable"])
        assert status["engine"]["limits"] == []
        assert status["lastCompletion"]["cachedTokens"] is not None
        assert engine_host.key not in json.dumps(status)


# ---------------------------------------------------------------- edits


def link_of(given: dict[str, Any]) -> tuple[EngineLink, Settings]:
    return EngineLink(lambda title: None, lambda said: None), read_settings(given).settings  # type: ignore[arg-type]


async def started(link: EngineLink, settings: Settings) -> None:
    link.start(settings)
    async with asyncio.timeout(60):
        while link.state == "starting":
            await asyncio.sleep(0.02)


SMALL, LARGE = EditScope(1, 5, 0), EditScope(3, 5, 0)

EDITS = [
    ({}, "one", "one", "one model is configured"),
    ({"engine": openai("http://small")}, "small", "small", "one model is configured"),
    ({"largeEngine": openai("http://large")}, "one", "large", "3 files, more than 1"),
    (
        {"engine": openai("http://small"), "largeEngine": openai("http://large")},
        *("small", "large", "3 files, more than 1"),
    ),
    ({"largeEngine": openai("http://large"), "smallFiles": 3}, "one", "one", "within the small"),
]


@pytest.mark.parametrize(("edit", "small", "large", "why"), EDITS)
async def test_who_writes_an_edit(edit: dict[str, Any], small: str, large: str, why: str) -> None:
    link, settings = link_of({"engine": openai("http://one"), "edit": edit})
    await started(link, settings)
    one, other = await link.editor(SMALL), await link.editor(LARGE)
    assert (
        f"http://{small}" in one.engine.endpoint.name,
        f"http://{large}" in other.engine.endpoint.name,
    ) == (
        True,
        True,
    )
    assert why in other.route.reason
    told = (await link.describe())["roles"]["edit"]
    assert ("large" in told) == ("largeEngine" in edit)
    assert ("off: one model" in told["rule"]) != ("largeEngine" in edit)
    again = await link.editor(LARGE)
    assert again.engine is other.engine
    await link.close()
    assert link.engine is None


async def test_edits_have_fallbacks_too() -> None:
    async with served(writes("fine")) as (url, _):
        edit = {"engine": openai(f"http://127.0.0.1:{free_port()}", fallbacks=[openai(url)])}
        link, settings = link_of({"engine": {"kind": "none"}, "edit": edit})
        link.start(settings)
        editor = await link.editor(SMALL)
        assert isinstance(editor.engine.endpoint, FailoverEndpoint)
        assert len((await link.describe())["roles"]["edit"]["small"]["endpoints"]) == 2
        await link.close()


@pytest.mark.parametrize("given_up", [False, True])
async def test_a_model_for_edits_that_comes_too_late_is_closed(
    monkeypatch: pytest.MonkeyPatch, given_up: bool
) -> None:
    """The settings change, or the server ends, while a thread still sets it up."""
    begun, release = threading.Event(), threading.Event()
    made: list[Engine] = []

    def slowly(settings: EngineSettings, model: str) -> Engine:
        begun.set()
        release.wait(60)
        made.append(configured(settings, model))
        return made[-1]

    monkeypatch.setattr("lsp.links.roles.configured", slowly)
    link, settings = link_of({"engine": {"kind": "none"}, "edit": {"engine": openai("http://small")}})
    link.start(settings)
    asking = asyncio.create_task(link.editor(SMALL))
    await asyncio.to_thread(begun.wait, 60)
    if given_up:
        asking.cancel()
    await link.restart(settings)
    release.set()
    (outcome,) = await asyncio.gather(asking, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError if given_up else NoEngine), outcome
    async with asyncio.timeout(60):
        while not made or not is_closed(made[0]):
            await asyncio.sleep(0.01)
    assert (await link.editor(SMALL)).engine is made[1]
    assert not is_closed(made[1])
    await link.close()
    assert is_closed(made[1])
    with pytest.raises(NoEngine, match="ask again"):
        await link.editor(SMALL)


def is_closed(engine: Engine) -> bool:
    assert isinstance(engine.endpoint, FailoverEndpoint)
    endpoint = engine.endpoint._members[0].member.endpoint
    assert isinstance(endpoint, OpenAIEndpoint)
    return endpoint._http.is_closed


async def test_models_for_edits_outlast_a_new_start_of_the_other() -> None:
    link, settings = link_of({"engine": {"kind": "none"}, "edit": {"engine": openai("http://small")}})
    link.start(settings)
    one = (await link.editor(SMALL)).engine
    link.start(settings)  # as after a failure
    assert (await link.editor(SMALL)).engine is one
    await link.close()
    assert is_closed(one)


async def test_no_engine_for_edits_gives_the_reason() -> None:
    link, settings = link_of({"engine": {"kind": "none"}})
    link.start(settings)
    with pytest.raises(NoEngine, match="switched off"):
        await link.editor(SMALL)


def test_a_workspace_is_named_without_telling_it() -> None:
    one = workspace_hash(["/home/me/b", "/home/me/a"])
    assert one == workspace_hash(["/home/me/a", "/home/me/b"]) != workspace_hash(["/home/me/a"])
    assert len(one) == 16 and "home" not in one
    assert workspace_hash([]) == ""


def test_a_workspace_cannot_be_guessed() -> None:
    """Another process names the same folders otherwise."""
    code = "from lsp.links.engines import workspace_hash; print(workspace_hash(['/home/me/a']))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert len(other.stdout.strip()) == 16
    assert other.stdout.strip() != workspace_hash(["/home/me/a"])


# ---------------------------------------------------------------- commands


async def told_by(tmp_path: Path, settings: dict[str, Any], *command: str) -> tuple[int, str, str]:
    (tmp_path / "run").mkdir(mode=0o700, exist_ok=True)
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    environment = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = await asyncio.create_subprocess_exec(
        *(FOREWORD, *command, "--settings", str(tmp_path / "settings.json")),
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_commands_tell_of_configured_endpoints(tmp_path: Path) -> None:
    async with served(writes("fine")) as (url, _):
        dead = f"http://127.0.0.1:{free_port()}"
        settings = {
            "engine": openai(url, key="secret", fallbacks=[openai(dead)]),
            "edit": {"engine": openai(dead)},
        }
        code, out, _ = await told_by(tmp_path, settings, "engine", "status", "--json")
        assert code == 0 and "secret" not in out
        roles = json.loads(out)["endpoints"]
        assert [(role["role"], [each["reachable"] for each in role["endpoints"]]) for role in roles] == [
            ("completion", [True, False]),
            ("edit", [False]),
        ]
        assert roles[0]["endpoints"][0]["context_tokens"] < 8192 + 1
        code, out, _ = await told_by(tmp_path, settings, "engine", "status")
        assert code == 0 and url in out and "cannot be reached" in " ".join(out.split())
        code, out, _ = await told_by(tmp_path, settings, "doctor", "--json")
        findings = [each for each in json.loads(out) if each["check"].endswith("endpoint")]
        assert [each["level"] for each in findings] == ["ok", "error", "error"]
        assert code == 1


async def test_a_file_of_settings_that_is_none(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(FOREWORD, "doctor", "--settings", str(tmp_path / "missing.json")), stderr=subprocess.PIPE
    )
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"missing.json cannot be read" in err and b"Traceback" not in err
