"""What is found out about a server, and what of it becomes a limit."""

from __future__ import annotations

import json

import pytest
from misbehaving import Exchange, free_port, served

from engine.endpoints.client import EngineRequestError, SGLangEndpoint, Timeouts
from engine.endpoints.openai import OpenAIEndpoint
from engine.endpoints.probe import NO_ABORTS, read_models

QUICK = Timeouts(connect_s=1.0, first_event_s=0.5, between_events_s=0.5)


def answering(**paths: object):
    """A server that answers these paths (`_` stands for `/`) with JSON, or with a status, and knows no others."""
    known = {"/" + name.replace("_", "/"): value for name, value in paths.items()}

    async def behave(exchange: Exchange):
        value = known.get(exchange.path, 404)
        if isinstance(value, int):
            await exchange.answer(value, b'{"detail": "so it is"}')
        else:
            await exchange.answer(200, json.dumps(value).encode())

    return behave


def named(paths: dict[str, object]):
    async def behave(exchange: Exchange):
        value = paths.get(exchange.path, 404)
        if isinstance(value, int):
            await exchange.answer(value, b"")
        else:
            await exchange.answer(200, json.dumps(value).encode())

    return behave


MODELS = {"data": [{"id": "qwen", "max_model_len": 4096}]}
HOST = {"/foreword/host": {"model": "qwen"}}
SERVER = {"/model_info": {"model_path": "/m"}, "/v1/models": MODELS, "/v1/loads": {}, "/abort_request": {}}
ROUTER = {
    "/get_model_info": {"model_path": "/m"},
    "/v1/models": {"data": [{"id": "/m", "owned_by": "local"}]},
    "/workers": {"workers": [{"url": "http://a"}, {"url": "http://b"}]},
}
"""As sglang's router 0.3.2 answers."""

FOUND = [
    pytest.param(HOST, [], 8192, id="a host of ours misses nothing"),
    pytest.param(SERVER, ["workspaces", "window is 4,096"], 4096, id="an SGLang server"),
    pytest.param(
        ROUTER,
        ["workspaces", "router in front of 2 workers", "passes no aborts on", "how busy"],
        8192,
        id="router",
    ),
    pytest.param(
        {}, ["workspaces", "passes no aborts on", "which model", "how busy"], 8192, id="whatever it is"
    ),
    pytest.param({**SERVER, "/v1/models": ["x"]}, ["workspaces"], 8192, id="a list that is none"),
]


@pytest.mark.parametrize(("paths", "limits", "window"), FOUND)
async def test_sglang(paths: dict[str, object], limits: list[str], window: int):
    async with served(named(paths)) as (url, _):
        server = SGLangEndpoint(
            url, "", model="m", context_tokens=8192, timeouts=QUICK, limits=["known before"]
        )
        for _ in range(2):  # a second look does not add them again
            await server.probe()
        await server.close()
    first, *told = server.limits
    assert first == "known before"
    assert [any(wanted in limit for limit in told) for wanted in limits] == [True] * len(limits), told
    assert len(told) == len(limits)
    assert server.context_tokens == window


async def test_a_router_gets_no_aborts_once_that_is_known():
    async with served(named(ROUTER)) as (url, exchanges):
        server = SGLangEndpoint(url, "", model="m", context_tokens=8192, timeouts=QUICK)
        await server._send_aborts("x" * 32, (0.01,))
        assert server.limits == [NO_ABORTS]
        await server.close()
    assert [exchange.path for exchange in exchanges] == ["/abort_request"]


@pytest.mark.parametrize(("status", "fault"), [(401, "refused"), (403, "refused"), (500, "protocol")])
async def test_nothing_is_assumed_of_a_server_that_does_not_let_us_in(status: int, fault: str):
    async with served(answering(foreword_host=status, v1_models=status)) as (url, _):
        for server in (
            SGLangEndpoint(url, "", model="m", context_tokens=8192, timeouts=QUICK),
            OpenAIEndpoint(url, "", "m", context_tokens=8192, timeouts=QUICK),
        ):
            with pytest.raises(EngineRequestError) as caught:
                await server.probe()
            assert caught.value.fault == fault
            await server.close()


async def test_nobody_there():
    server = SGLangEndpoint(f"http://127.0.0.1:{free_port()}", "", model="m", context_tokens=8192)
    with pytest.raises(EngineRequestError, match="cannot be reached"):
        await server.probe()
    await server.close()


OPENAI = [
    pytest.param("qwen", MODELS, None, "qwen", 4096, id="the model and its window"),
    pytest.param("", MODELS, None, "qwen", 4096, id="one model alone needs no name"),
    pytest.param("other", MODELS, "does not offer 'other'; it has qwen", "other", 8192, id="another model"),
    pytest.param("", {"data": [{"id": "a"}, {"id": "b"}]}, "a model without a name; it has a, b", "", 8192),
    pytest.param("m", {}, "does not tell which models", "m", 8192, id="no models"),
    pytest.param("m", 404, "does not tell which models", "m", 8192, id="no list"),
]


@pytest.mark.parametrize(("model", "listed", "limit", "now", "window"), OPENAI)
async def test_openai(model: str, listed: object, limit: str | None, now: str, window: int):
    async with served(answering(v1_models=listed)) as (url, _):
        server = OpenAIEndpoint(url, "", model, context_tokens=8192, timeouts=QUICK)
        before = len(server.limits)
        await server.probe()
        await server.close()
    assert (server.model, server.context_tokens) == (now, window)
    added = server.limits[before:]
    assert len(added) == (1 if limit or window < 8192 else 0)
    assert limit is None or limit in added[0]


@pytest.mark.parametrize(
    ("document", "models", "windows"),
    [
        (
            {"data": [{"id": "a", "context_length": 5}, {"id": "b", "max_model_len": "x"}]},
            ["a", "b"],
            {"a": 5},
        ),
        ({"data": [1, None, {}, {"id": 7}, {"id": "c", "max_model_len": -1}]}, ["c"], {}),
        ({"data": "none"}, [], {}),
        ({}, [], {}),
    ],
)
def test_lists_of_models(document: dict, models: list[str], windows: dict[str, int]):
    facts = read_models(document)
    assert (facts.models, facts.windows) == (models, windows)
