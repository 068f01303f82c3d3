"""OpenAI-compatible endpoints: what is sent, how the answer is put together, what is said when it fails."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from misbehaving import EVENTS, Exchange, served

from engine.endpoints.client import EngineRequestError, Sampling, Timeouts, collect
from engine.endpoints.openai import OpenAIEndpoint
from engine.prompts import Prompt

PROMPT = Prompt(
    ids=[1, 2, 3],
    text="<|fim_prefix|>abc<|fim_suffix|>z<|fim_middle|>",
    window="abc",
    suffix="z",
    taken_off="",
    window_start_line=0,
    tokens=3,
)
QUICK = Timeouts(connect_s=1.0, first_event_s=0.3, between_events_s=0.3)


def text(piece: str, finish: str | None = None) -> dict:
    return {"object": "text_completion", "choices": [{"index": 0, "text": piece, "finish_reason": finish}]}


USAGE = {
    "choices": [],
    "usage": {"prompt_tokens": 7, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}},
}
BARE_USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 4}}

STREAMS = [
    pytest.param(
        [text("a"), text("b"), text("", "stop"), USAGE], "ab", (7, 4, 5), id="usage in an event of its own"
    ),
    pytest.param(
        [text("a"), text("b", "length"), BARE_USAGE], "ab", (7, 4, None), id="cached tokens not told"
    ),
    pytest.param([text("a"), text("b", "stop")], "ab", (3, 2, None), id="no usage: events and our own count"),
]


@pytest.mark.parametrize(("events", "whole", "counts"), STREAMS)
@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
async def test_text_and_usage(events, whole, counts, path):
    async def behave(exchange: Exchange):
        await exchange.send(EVENTS)
        for event in events:
            await exchange.event(event)
        await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, exchanges):
        server = OpenAIEndpoint(url + path, "secret", "some-model", context_tokens=8192, timeouts=QUICK)
        got = [one async for one in server.generate(PROMPT, Sampling(8, stop=("\n",)), priority=2)]
        await server.close()
    assert got[-1].text == whole == "".join(one.delta for one in got)
    assert (got[-1].prompt_tokens, got[-1].completion_tokens, got[-1].cached_tokens) == counts
    assert got[-1].finished and not any(one.finished for one in got[:-1])
    sent = exchanges[0].json
    assert (
        exchanges[0].path == "/v1/completions"
        and sent["prompt"] == PROMPT.text
        and sent["model"] == "some-model"
    )
    assert (
        "priority" not in sent and "suffix" not in sent and "secret" in exchanges[0].headers["authorization"]
    )


async def test_a_server_that_lays_out_the_suffix_itself():
    async def behave(exchange: Exchange):
        await exchange.send(EVENTS)
        await exchange.event(text("b", "stop"))
        await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, exchanges):
        server = OpenAIEndpoint(url, "", "m", context_tokens=8192, takes_suffix=True)
        await collect(server, PROMPT, Sampling(8))
        await server.close()
    assert exchanges[0].json["prompt"] == "abc" and exchanges[0].json["suffix"] == "z"
    assert "authorization" not in exchanges[0].headers
    assert any("other files is not sent" in limit for limit in server.limits)


def stream_of(*events: dict, done: bool = True):
    async def behave(exchange: Exchange):
        await exchange.send(EVENTS)
        for event in events:
            await exchange.event(event)
        if done:
            await exchange.send(b"data: [DONE]\n\n")

    return behave


async def hangs(exchange: Exchange):
    await exchange.send(EVENTS)
    await exchange.event(text("a"))
    await exchange.until_closed()


async def whole_answer(exchange: Exchange):
    await exchange.answer(200, b'{"choices": [{"text": "abc"}]}')


async def unknown_model(exchange: Exchange):
    await exchange.answer(404, b'{"error": {"message": "model some-model not found"}}')


async def wrong_key(exchange: Exchange):
    await exchange.answer(401, b'{"error": {"message": "Incorrect API key provided: secret"}}')


FAULTS = [
    (hangs, "timeout", "silent"),
    (whole_answer, "protocol", "instead of a stream"),
    (unknown_model, "request", "model some-model not found"),
    (wrong_key, "refused", "refused the key"),
    (stream_of(text("a")), "dropped", "without saying why"),
    (stream_of(text("a"), done=False), "dropped", "before it was complete"),
    (stream_of(text("", "abort")), "aborted", "aborted"),
    (stream_of({"error": {"message": "out of memory"}}), "request", "out of memory"),
    (stream_of({"choices": "none"}), "protocol", "no completion"),
]


@pytest.mark.parametrize(("behaviour", "fault", "says"), FAULTS)
async def test_faults_are_named(behaviour, fault, says):
    async with served(behaviour) as (url, _):
        server = OpenAIEndpoint(url, "secret", "some-model", context_tokens=8192, timeouts=QUICK)
        with pytest.raises(EngineRequestError) as caught:
            await collect(server, PROMPT, Sampling(8))
        await server.close()
    assert caught.value.fault == fault
    assert says in str(caught.value) and "secret" not in str(caught.value)


async def test_cancel_closes_the_connection():
    closed = asyncio.Event()

    async def behave(exchange: Exchange):
        await exchange.send(EVENTS)
        await exchange.event(text("a"))
        await exchange.until_closed()
        closed.set()

    async with served(behave) as (url, _):
        server = OpenAIEndpoint(url, "", "m", context_tokens=8192)
        async with aclosing(server.generate(PROMPT, Sampling(8))) as chunks:
            assert (await anext(chunks)).text == "a"
        await asyncio.wait_for(closed.wait(), 1.0)
        await server.close()


async def test_grammars_are_refused_rather_than_ignored():
    server = OpenAIEndpoint("http://127.0.0.1:9", "", "m", context_tokens=8192)
    with pytest.raises(EngineRequestError, match="takes no grammar"):
        await collect(server, PROMPT, Sampling(8, regex="a+"))
    await server.close()


async def test_a_server_whose_model_has_no_name():
    server = OpenAIEndpoint("http://127.0.0.1:9", "", "", context_tokens=8192)
    with pytest.raises(EngineRequestError) as caught:
        await collect(server, PROMPT, Sampling(8))
    await server.close()
    assert str(caught.value).startswith("the server at http://127.0.0.1:9 cannot be reached (")
    assert "foreword engine" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:9", "localhost:9/v1", "ftp://a", "http://", "http://a:b", "//a"]
)
def test_addresses_that_are_no_url(url):
    with pytest.raises(EngineRequestError, match="has to be a URL such as http://"):
        OpenAIEndpoint(url, "", "m", context_tokens=8192)


def test_a_key_and_credentials_in_the_address_exclude_each_other():
    """Both would go in the same header."""
    with pytest.raises(EngineRequestError, match="take either out of the settings") as caught:
        OpenAIEndpoint("http://user:pass@host:9/v1", "secret", "m", context_tokens=8192)
    assert "http://host:9" in str(caught.value)
    assert all(word not in str(caught.value) for word in ("secret", "pass@", "user:"))


def test_credentials_of_a_wrong_address_are_not_shown():
    with pytest.raises(EngineRequestError, match="'host:9' is no address") as caught:
        OpenAIEndpoint("user:pass@host:9?key=secret", "", "m", context_tokens=8192)
    assert "pass" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.engine
async def test_real_completions_interface(engine_host):
    """SGLang's own OpenAI interface is a real server of this kind."""
    server = OpenAIEndpoint(engine_host.url, engine_host.key, engine_host.model, context_tokens=8192)
    prompt = Prompt(
        ids=None,
        text="def add(a, b):\n    return a +",
        window="",
        suffix="",
        taken_off="",
        window_start_line=0,
        tokens=12,
    )
    chunks = [one async for one in server.generate(prompt, Sampling(8))]
    assert len(chunks) > 1 and chunks[-1].text == "".join(one.delta for one in chunks)
    assert chunks[-1].prompt_tokens > 5 and 0 < chunks[-1].completion_tokens <= 8
    assert (await server.status())["data"]
    await server.close()
