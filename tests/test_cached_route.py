"""How much of a prompt a host has cached: what the next request for it then finds, and asking changes nothing."""

from __future__ import annotations

import asyncio

import pytest
from host_client import connect, flush, generate, idle, steps

from engine.endpoints.client import SGLangEndpoint
from engine.endpoints.endpoint import TellsCached
from engine.endpoints.failover import FailoverEndpoint, Member
from engine.endpoints.lazy import LazyEndpoint
from engine.endpoints.openai import OpenAIEndpoint
from engine.endpoints.token_body import CACHED_PATH, TokenRequest, encode
from engine.profiles import find
from engine.tokens import EstimateTokenizer

pytestmark = pytest.mark.engine

MODEL = "smollm2-135m"
IDS = [*range(9000, 9400)]


def endpoint_of(info, *, packs_ids=True):
    return SGLangEndpoint(info.url, info.key, model=MODEL, context_tokens=8192, packs_ids=packs_ids)


async def test_it_tells_what_a_request_then_finds(engine_host):
    endpoint = endpoint_of(engine_host)
    async with connect(engine_host) as client:
        await flush(client)
        assert await endpoint.cached(IDS) == 0
        await generate(client, IDS[:300], 1)
        before = await idle(client)
        cases = [
            (IDS[:300], 300),
            (IDS, 300),
            (IDS[:120], 120),
            ([*IDS[:120], 5, 6], 120),
            ([1, *IDS], 0),
            (IDS[:1], 1),
        ]
        for ids, found in cases:
            assert await endpoint.cached(ids) == found, (len(ids), found)
        after = await steps(client)
        assert after["steps"] == before["steps"] and after["requests"] == before["requests"]
        assert after["kv_free_tokens"] == before["kv_free_tokens"]
        event = await generate(client, IDS, 1)
    assert event["meta_info"]["cached_tokens"] == 300
    await endpoint.close()


async def test_it_is_answered_while_a_prompt_is_read(engine_host):
    """Chunk by chunk, as they get into the cache."""
    endpoint = endpoint_of(engine_host)
    ids = [*range(2000, 6000)]
    async with connect(engine_host) as client:
        await flush(client)
        seen = [0]
        reading = asyncio.create_task(generate(client, ids, 1))
        while not reading.done():
            seen.append(await endpoint.cached(ids) or 0)
        await reading
        assert await endpoint.cached(ids) == len(ids)
    assert seen == sorted(seen) and len({*seen}) > 3
    await endpoint.close()


@pytest.mark.parametrize("body", [b"nonsense", encode(TokenRequest("", {}), [1])[:-1]])
async def test_what_is_no_question_is_refused(engine_host, body):
    async with connect(engine_host) as client:
        answer = await client.post(CACHED_PATH, content=body)
        assert answer.status_code == 400 and "bytes" in answer.text
        state = (await client.get("/server_info")).json()["internal_states"][0]
    assert "foreword_cached" not in state and "effective_max_running_requests_per_dp" in state


async def test_ids_that_the_model_does_not_have_are_not_cached(engine_host):
    endpoint = endpoint_of(engine_host)
    async with connect(engine_host) as client:
        await generate(client, IDS[:3], 1)
    assert await endpoint.cached([*IDS[:3], -1, 2**31 - 1]) == 3
    await endpoint.close()


async def test_who_does_not_tell_says_so(engine_host):
    """A server that is none of ours, a host that was not started, and a list of both."""
    foreign = endpoint_of(engine_host, packs_ids=False)
    assert await foreign.cached(IDS) is None

    async def never():
        raise AssertionError("asking starts nothing")

    lazy = LazyEndpoint("lazy", MODEL, context_tokens=8192, start=never)
    assert await lazy.cached(IDS) is None
    other = OpenAIEndpoint(engine_host.url, "key", "m", context_tokens=8192)
    assert not isinstance(other, TellsCached)
    profile = find(MODEL)
    tokenizer = EstimateTokenizer()
    ours = endpoint_of(engine_host)
    async with connect(engine_host) as client:
        await generate(client, IDS[:50], 1)
    for first, found in ((ours, 50), (other, None), (lazy, None)):
        listed = FailoverEndpoint([Member(first, profile, tokenizer)])
        assert await listed.cached(IDS[:50]) == found
    for each in (foreign, ours, other, lazy):
        await each.close()
