"""The SGLang client: what it sends, how it cancels, and what it says when a server misbehaves."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import socket
import time
from contextlib import aclosing
from itertools import pairwise

import msgspec
import pytest
from misbehaving import EVENTS, Exchange, served

from engine.endpoints import token_body
from engine.endpoints.client import EngineRequestError, Priority, Sampling, SGLangEndpoint, Timeouts, collect
from engine.endpoints.openai import OpenAIEndpoint
from engine.models.model import SamplingAdvice
from engine.prompts import Prompt

PROMPT = Prompt(
    ids=[1, 2, 3], text="abc", window="abc", suffix="", taken_off="", window_start_line=0, tokens=3
)
QUICK = Timeouts(connect_s=2.0, first_event_s=1.0, between_events_s=1.0)
"""For servers that hang."""
PATIENT = Timeouts(connect_s=10.0, first_event_s=30.0, between_events_s=30.0)
"""For servers that answer, on however busy a machine."""


def endpoint(url: str, key: str = "secret", timeouts: Timeouts = QUICK) -> SGLangEndpoint:
    return SGLangEndpoint(
        url, key, model="test-model", context_tokens=8192, stop_ids=(0, 2), timeouts=timeouts
    )


def chunk(text: str, ids: list[int], completion: int, finish: dict | None = None) -> dict:
    meta = {
        "id": "x",
        "prompt_tokens": 3,
        "completion_tokens": completion,
        "cached_tokens": 2,
        "finish_reason": finish,
    }
    return {"text": text, "output_ids": ids, "meta_info": meta}


STOP = {"type": "stop", "matched": 2}

STREAMS = [
    pytest.param(
        [chunk("a", [5], 1), chunk("ab", [5, 6], 2), chunk("ab", [5, 6, 2], 3, STOP)],
        ["a", "b", ""],
        id="whole text in each chunk",
    ),
    pytest.param(
        [chunk("a", [5], 1), chunk("b", [6], 2), chunk("", [2], 3, STOP)],
        ["a", "b", ""],
        id="only what is new in each chunk",
    ),
    pytest.param(
        [chunk(" ", [5], 1), chunk(" ", [5], 2), chunk(" ", [5], 3), chunk("x", [7], 4, STOP)],
        [" ", " ", " ", "x"],
        id="the same text again is new text when ids are new",
    ),
    pytest.param([chunk("abc", [5, 6, 7], 3, STOP)], ["abc"], id="one chunk"),
    pytest.param(
        [chunk("a\n", [5], 1), chunk("a", [5, 6], 2, STOP)],
        ["a\n", ""],
        id="a stop string found late is taken off",
    ),
]


@pytest.mark.parametrize(("chunks", "deltas"), STREAMS)
async def test_text_is_put_together(chunks, deltas):
    async def behave(exchange: Exchange):
        await exchange.send(EVENTS)
        for document in chunks:
            await exchange.event(document)
        await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, exchanges):
        engine = endpoint(url)
        got = [one async for one in engine.generate(PROMPT, Sampling(8, stop=("\n\n",)), priority=3)]
        await engine.close()
    assert [one.delta for one in got] == deltas
    assert got[-1].finished == "stop" and got[-1].cached_tokens == 2 and got[-1].prompt_tokens == 3
    assert [exchange.path for exchange in exchanges] == ["/generate"], (
        "nothing is aborted that ended by itself"
    )
    sent = exchanges[0].json
    assert sent["input_ids"] == [1, 2, 3] and sent["priority"] == 3 and sent["stream"] is True
    assert len(sent["rid"]) == 32 and "text" not in sent
    assert sent["sampling_params"]["stop_token_ids"] == [0, 2]
    assert exchanges[0].headers["authorization"] == "Bearer secret"


async def test_what_edits_ask_for_and_who_asks():
    async def behave(exchange: Exchange):
        await exchange.send(EVENTS)
        await exchange.event(chunk("a", [5], 1, STOP))
        await exchange.send(b"data: [DONE]\n\n")

    advice = SamplingAdvice(temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05, max_tokens=4096)
    sampling = msgspec.structs.replace(Sampling.advised(advice, stop=("x",)), json_schema="{}")
    assert Sampling.advised(advice, max_tokens=9999).max_tokens == 4096
    async with served(behave) as (url, exchanges):
        engine = SGLangEndpoint(url, "", model="m", context_tokens=8192, workspace="abc", packs_ids=True)
        text_only = msgspec.structs.replace(PROMPT, ids=None)
        await collect(engine, text_only, sampling, priority=Priority.EDIT)
        engine.introduce("")
        await collect(engine, text_only, Sampling(8), priority=Priority.WARM_UP)
        await engine.close()
    edit, warm_up = exchanges
    assert (edit.headers["x-foreword-workspace"], "x-foreword-workspace" in warm_up.headers) == ("abc", False)
    assert (edit.json["priority"], warm_up.json["priority"]) == (0, -10)
    sent = edit.json["sampling_params"]
    assert (sent["temperature"], sent["top_p"], sent["top_k"], sent["repetition_penalty"]) == (
        0.7,
        0.8,
        20,
        1.05,
    )
    assert (sent["max_new_tokens"], sent["json_schema"], sent["stop"]) == (4096, "{}", ["x"])
    assert warm_up.json["sampling_params"]["top_k"] == -1


@pytest.mark.parametrize("is_host", [True, False])
async def test_only_a_host_of_ours_is_told_who_asks(is_host: bool):
    """One at an address of the settings is known as a host when it was looked at."""

    async def behave(exchange: Exchange):
        if exchange.path == "/foreword/host" and is_host:
            await exchange.answer(200, b'{"model": "m"}')
        elif exchange.path == "/generate":
            await exchange.send(EVENTS)
            await exchange.event(chunk("a", [5], 1, STOP))
            await exchange.send(b"data: [DONE]\n\n")
        else:
            await exchange.answer(404, b"{}")

    async with served(behave) as (url, exchanges):
        engine = SGLangEndpoint(url, "", model="m", context_tokens=8192, workspace="abc")
        await collect(engine, PROMPT, Sampling(8))
        await engine.probe()
        await collect(engine, PROMPT, Sampling(8))
        await engine.close()
    first, *probes, last = exchanges
    assert "x-foreword-workspace" not in first.headers
    assert all("x-foreword-workspace" not in each.headers for each in probes if each.path == "/foreword/host")
    assert last.headers.get("x-foreword-workspace") == ("abc" if is_host else None)


@pytest.mark.parametrize("knows_it", [True, False])
async def test_a_host_of_ours_gets_ids_as_bytes(knows_it: bool):
    """An older one is asked as any server, and not the other way again."""

    async def behave(exchange: Exchange):
        if exchange.path == token_body.PATH and not knows_it:
            await exchange.answer(404, b'{"detail": "Not Found"}')
            return
        await exchange.send(EVENTS)
        await exchange.event(chunk("a", [5], 1, STOP))
        await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, exchanges):
        engine = SGLangEndpoint(url, "", model="m", context_tokens=8192, packs_ids=True, stop_ids=(7,))
        for _ in range(2):
            assert (await collect(engine, PROMPT, Sampling(8), priority=Priority.COMPLETION)).text == "a"
        text_only = msgspec.structs.replace(PROMPT, ids=None)
        assert (await collect(engine, text_only, Sampling(8))).text == "a"
        await engine.close()
    paths = [exchange.path for exchange in exchanges]
    if not knows_it:
        assert paths == [token_body.PATH, "/generate", "/generate", "/generate"]
        return
    assert paths == [token_body.PATH, token_body.PATH, "/generate"]
    assert exchanges[0].headers["content-type"] == token_body.MEDIA_TYPE
    request, ids = token_body.decode(exchanges[0].body)
    assert (list(ids), request.priority, request.sampling_params["stop_token_ids"]) == ([1, 2, 3], 10, [7])
    assert exchanges[2].json["text"] == "abc"


async def hang_before_headers(exchange: Exchange):
    await exchange.until_closed()


async def hang_after_headers(exchange: Exchange):
    await exchange.send(EVENTS)
    await exchange.until_closed()


async def hang_in_the_middle(exchange: Exchange):
    await exchange.send(EVENTS)
    await exchange.event(chunk("a", [5], 1))
    await exchange.until_closed()


async def drop_in_the_middle(exchange: Exchange):
    await exchange.send(EVENTS.replace(b"connection: close", b"transfer-encoding: chunked"))
    await exchange.send(b"40\r\ndata: {")


async def end_in_the_middle(exchange: Exchange):
    await exchange.send(EVENTS)
    await exchange.event(chunk("a", [5], 1))


async def done_without_reason(exchange: Exchange):
    await exchange.send(EVENTS)
    await exchange.event(chunk("a", [5], 1))
    await exchange.send(b"data: [DONE]\n\n")


async def no_json(exchange: Exchange):
    await exchange.send(EVENTS + b"data: {nonsense\n\n")


async def no_object(exchange: Exchange):
    await exchange.send(EVENTS + b"data: [1, 2]\n\n")


async def other_chunks(exchange: Exchange):
    await exchange.send(EVENTS)
    await exchange.event({"choices": [{"text": "a"}]})


async def no_http(exchange: Exchange):
    await exchange.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def error_in_the_stream(exchange: Exchange):
    await exchange.send(EVENTS)
    await exchange.event(
        {"error": {"message": "The input (9000 tokens) is longer than the context", "code": 400}}
    )
    await exchange.send(b"data: [DONE]\n\n")


async def aborted_by_another(exchange: Exchange):
    await exchange.send(EVENTS)
    await exchange.event(chunk("", [], 0, {"type": "abort", "message": "Abort in waiting queue"}))


def status(code: int, body: bytes = b'{"error": {"message": "so it is"}}', kind: str = "application/json"):
    async def behave(exchange: Exchange):
        await exchange.answer(code, body, kind)

    return behave


FAULTS = [
    (hang_before_headers, "timeout", "no first token within 1 s"),
    (hang_after_headers, "timeout", "no first token within 1 s"),
    (hang_in_the_middle, "timeout", "silent for 1 s"),
    (drop_in_the_middle, "dropped", "dropped the connection during its answer"),
    (end_in_the_middle, "dropped", "before it was complete"),
    (done_without_reason, "dropped", "before it was complete"),
    (no_json, "protocol", "no JSON: '{nonsense'"),
    (no_object, "protocol", "no object"),
    (other_chunks, "protocol", "not SGLang's"),
    (no_http, "dropped", "before it answered"),
    (error_in_the_stream, "request", "9000 tokens"),
    (aborted_by_another, "aborted", "Abort in waiting queue"),
    (status(401), "refused", "refused the key"),
    (status(403), "refused", "so it is"),
    (status(404, b"Not Found", "text/plain"), "request", "knows no /generate"),
    (status(400), "request", "so it is"),
    (status(503, b'{"detail": "draining"}'), "busy", "draining"),
    (status(500, b"<html>boom</html>", "text/html"), "protocol", "boom"),
    (status(200, b"<html>a web page</html>", "text/html"), "protocol", "a web page"),
]


@pytest.mark.parametrize(("behaviour", "fault", "says"), FAULTS)
async def test_faults_are_named_and_the_client_stays_usable(behaviour, fault, says):
    healthy = False

    async def behave(exchange: Exchange):
        if exchange.path == "/abort_request":
            await exchange.answer(200, b"")
        elif healthy:
            await exchange.send(EVENTS)
            await exchange.event(chunk("fine", [5], 1, STOP))
            await exchange.send(b"data: [DONE]\n\n")
        else:
            await behaviour(exchange)

    async with served(behave) as (url, _):
        engine = endpoint(url, timeouts=QUICK if fault == "timeout" else PATIENT)
        with pytest.raises(EngineRequestError) as caught:
            await collect(engine, PROMPT, Sampling(8))
        assert caught.value.fault == fault
        assert says in str(caught.value) and url in str(caught.value) and "secret" not in str(caught.value)
        healthy = True
        assert (await collect(engine, PROMPT, Sampling(8))).text == "fine"
        await engine.close()


async def test_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        engine = endpoint(url)
        with pytest.raises(EngineRequestError, match="cannot be reached") as caught:
            await collect(engine, PROMPT, Sampling(8))
        assert caught.value.fault == "unreachable"
        with pytest.raises(EngineRequestError, match="cannot be reached"):
            await engine.status()
        await engine.close()


@pytest.mark.parametrize("moment", ["before headers", "prefill", "decode"])
@pytest.mark.parametrize("way", ["close", "cancel"])
async def test_cancel_closes_the_connection_and_aborts(moment, way):
    closed, began = asyncio.Event(), asyncio.Event()

    async def behave(exchange: Exchange):
        if exchange.path == "/abort_request":
            await exchange.answer(200, b"")
            return
        if moment != "before headers":
            await exchange.send(EVENTS)
        if moment == "decode":
            await exchange.event(chunk("a", [5], 1))
        began.set()
        await exchange.until_closed()
        closed.set()

    async with served(behave) as (url, exchanges):
        engine = endpoint(url, timeouts=Timeouts())

        async def read():
            async with aclosing(engine.generate(PROMPT, Sampling(8))) as chunks:
                async for _ in chunks:
                    if way == "close":
                        return

        reading = asyncio.create_task(read())
        await began.wait()
        await asyncio.sleep(0.05)
        if way == "cancel" or moment != "decode":
            reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(closed.wait(), 1.0)
        await engine.close()
    aborts = [exchange.json["rid"] for exchange in exchanges if exchange.path == "/abort_request"]
    assert aborts and set(aborts) == {exchanges[0].json["rid"]}
    assert (len(aborts) > 1) == (moment == "before headers"), "an abort that came too early is sent again"


@pytest.mark.parametrize(("knows", "told"), [("/foreword/host", "ours"), ("/model_info", "any")])
async def test_status_of_our_host_and_of_any_other(monkeypatch, knows, told):
    """Also: proxies of the environment are not for this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    async def behave(exchange: Exchange):
        if exchange.path == knows:
            await exchange.answer(200, b'{"model": "%s"}' % told.encode())
        else:
            await exchange.answer(404, b'{"detail": "Not Found"}')

    async with served(behave) as (url, _):
        engine = endpoint(url)
        assert await engine.status() == {"model": told}
        await engine.close()


async def test_a_closed_endpoint_says_so():
    async with served(status(200, b"{}")) as (url, exchanges):
        engine = endpoint(url)
        await engine.close()
        for asked in (collect(engine, PROMPT, Sampling(8)), engine.status()):
            with pytest.raises(EngineRequestError, match="was closed on this side") as caught:
                await asked
            assert caught.value.fault == "unreachable"
    assert exchanges == []


async def test_closing_while_an_answer_runs():
    """Nothing is left behind, not even a task whose error nobody fetches."""
    lost: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    async with served(hang_in_the_middle) as (url, _):
        engine = endpoint(url, timeouts=Timeouts())
        stream = engine.generate(PROMPT, Sampling(8))
        await anext(stream)
        await engine.close()
        await stream.aclose()
        await asyncio.sleep(0.05)
        gc.collect()
    assert lost == []


@pytest.mark.parametrize(
    "make",
    [
        lambda url: endpoint(url, key=""),
        lambda url: OpenAIEndpoint(f"{url}/v1", "", "m", context_tokens=8192),
    ],
    ids=["sglang", "openai"],
)
async def test_credentials_in_the_address_are_sent_and_never_shown(make, caplog):
    caplog.set_level("DEBUG")
    async with served(status(500, b"broken")) as (url, exchanges):
        engine = make(url.replace("http://", "http://user:pa%40ss@"))
        with pytest.raises(EngineRequestError) as caught:
            await engine.status()
        await engine.close()
    scheme, _, credentials = exchanges[0].headers["authorization"].partition(" ")
    assert scheme == "Basic" and base64.b64decode(credentials) == b"user:pa@ss"
    assert url in engine.name
    for seen in (engine.name, str(caught.value), caplog.text):
        assert "user" not in seen and "pa%40ss" not in seen and credentials not in seen


# ---------------------------------------------------------------- the real thing


def real(engine_host, context: int = 8192) -> SGLangEndpoint:
    return SGLangEndpoint(engine_host.url, engine_host.key, model=engine_host.model, context_tokens=context)


def numbers(count: int, salt: int) -> Prompt:
    """A prompt of plain words that no other test has cached."""
    ids = [1000 + (salt * 7919 + index * 31) % 20000 for index in range(count)]
    return Prompt(ids=ids, text="", window="", suffix="", taken_off="", window_start_line=0, tokens=count)


@pytest.mark.engine
async def test_real_stream_and_prefix_cache(engine_host):
    engine = real(engine_host)
    prompt = numbers(600, salt=1)
    chunks = [one async for one in engine.generate(prompt, Sampling(12))]
    assert len(chunks) > 1, "tokens are streamed"
    for earlier, later in pairwise(chunks):
        assert later.text == earlier.text + later.delta
    assert chunks[-1].finished in ("length", "stop") and chunks[-1].completion_tokens <= 12
    again = await collect(engine, prompt, Sampling(12))
    assert again.text == chunks[-1].text and again.prompt_tokens == 600
    assert again.cached_tokens is not None and again.cached_tokens >= 0.95 * again.prompt_tokens
    await engine.close()


@pytest.mark.engine
async def test_real_cancel_in_prefill_stops_the_prefill(engine_host):
    engine = real(engine_host)
    await collect(engine, numbers(20, salt=50), Sampling(1))
    large = numbers(3000, salt=60)
    await cancelled_after(0.5, engine, large)
    await nothing_runs(engine)
    again = await collect(engine, large, Sampling(1))
    assert again.cached_tokens is not None and again.cached_tokens < 2500, "the rest was not computed"
    await engine.close()


@pytest.mark.engine
async def test_real_cancel_in_decode_frees_the_engine(engine_host):
    engine = real(engine_host)
    stream = engine.generate(numbers(100, salt=61), Sampling(7000))
    await anext(stream)
    assert await running(engine) == 1
    await stream.aclose()
    await nothing_runs(engine)
    await engine.close()


@pytest.mark.engine
async def test_real_cancel_at_any_moment_leaves_nothing_behind(engine_host):
    """Also before the server has read the request, when SGLang would forget an abort."""
    engine = real(engine_host)
    for delay_ms in (0, 1, 2, 4, 8, 12, 16, 24, 32, 64):
        await cancelled_after(delay_ms / 1000, engine, numbers(3000, salt=100 + delay_ms), max_tokens=4000)
    await nothing_runs(engine)
    assert (await collect(engine, numbers(20, salt=51), Sampling(2))).completion_tokens > 0
    await engine.close()


async def cancelled_after(
    seconds: float, engine: SGLangEndpoint, prompt: Prompt, max_tokens: int = 8
) -> None:
    task = asyncio.ensure_future(collect(engine, prompt, Sampling(max_tokens)))
    await asyncio.sleep(seconds)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def nothing_runs(engine: SGLangEndpoint) -> None:
    """Waits: an abort takes effect between two steps of the scheduler."""
    deadline = time.monotonic() + 15
    quiet = 0
    while quiet < 3:  # a request that is still on its way would show up between two looks
        assert time.monotonic() < deadline, "a cancelled request is still running"
        quiet = 0 if await running(engine) else quiet + 1
        await asyncio.sleep(0.3)


async def running(engine: SGLangEndpoint) -> int:
    """Requests that the scheduler holds, as it counts them itself at every step."""
    return (await engine._http.get("/foreword/steps", timeout=30.0)).json()["running"]


@pytest.mark.engine
async def test_real_refusals(engine_host):
    wrong = SGLangEndpoint(engine_host.url, "not-the-key", model="m", context_tokens=8192)
    with pytest.raises(EngineRequestError) as caught:
        await collect(wrong, numbers(5, 2), Sampling(1))
    assert caught.value.fault == "refused"
    await wrong.close()
    engine = real(engine_host)
    with pytest.raises(EngineRequestError) as caught:
        await collect(engine, numbers(20_000, 3), Sampling(1))
    assert caught.value.fault == "request"
    assert (await collect(engine, numbers(20, 4), Sampling(2))).completion_tokens >= 1
    await engine.close()
