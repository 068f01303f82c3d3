"""The packed form of a prompt: as bytes and back, refused where it is no such thing, answered like JSON."""

from __future__ import annotations

import json
from array import array

import pytest
from host_client import connect, flush, generate
from hypothesis import given
from hypothesis import strategies as st

from engine.endpoints.token_body import PATH, BodyError, TokenRequest, decode, encode

REQUEST = TokenRequest("rid", {"temperature": 0, "max_new_tokens": 4, "ignore_eos": True}, stream=False)
IDS = [*range(3000, 3300)]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), st.booleans(), st.integers(-10, 10))
def test_there_and_back(ids, stream, priority):
    request = TokenRequest("ein-Schlüssel", {"max_new_tokens": 1}, stream, priority)
    body = encode(request, ids)
    assert body == encode(request, array("i", ids))
    assert decode(body) == (request, array("i", ids))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "0 bytes"),
        (b"\x05\x00\x00", "3 bytes"),
        (b"\xff\xff\xff\xff{}", "ends at"),
        (b"\x02\x00\x00\x00{}\x01\x00\x00\x00", "rid"),
        (b"\x02\x00\x00\x00[]\x01\x00\x00\x00", "no request"),
        (b"\x02\x00\x00\x00{}", "0 bytes of token ids"),
        (encode(REQUEST, [1, 2])[:-1], "7 bytes of token ids"),
        (encode(TokenRequest("a\0b", {}), [1]), "rid holds a NUL"),
        (encode(REQUEST, [1]).replace(b'"priority"', b'"primacy_"'), "unknown field"),
    ],
)
def test_what_is_no_such_body_is_refused(body, said):
    with pytest.raises(BodyError, match=said):
        decode(body)


@pytest.mark.engine
async def test_it_is_answered_as_json_is(engine_host):
    async with connect(engine_host) as client:
        await flush(client)
        await generate(client, IDS, 1)  # from here on each of them finds the same in the cache
        of_json = await generate(client, IDS, 4)
        whole = (await client.post(PATH, content=encode(REQUEST, IDS))).json()
        body = encode(TokenRequest("other", REQUEST.sampling_params), IDS)
        async with client.stream("POST", PATH, content=body) as answer:
            lines = [line async for line in answer.aiter_lines() if line.startswith("data: {")]
    streamed = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert whole["output_ids"] == streamed[-1]["output_ids"] == of_json["output_ids"]
    assert whole["meta_info"]["cached_tokens"] == len(IDS) - 1
    assert len(streamed) == 4


@pytest.mark.engine
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"nonsense", "ends at"),
        (encode(REQUEST, [1, -1]), "from -1 to 1"),
        (encode(REQUEST, [1, 49_152]), "from 1 to 49152"),
        (encode(REQUEST, [1] * 9000), "longer than"),
    ],
)
async def test_bad_prompts_are_refused_in_words(engine_host, body, said):
    async with connect(engine_host) as client:
        answer = await client.post(PATH, content=body)
        assert answer.status_code == 400
        assert said in answer.text
        assert (await generate(client, IDS, 2))["meta_info"]["completion_tokens"] == 2


@pytest.mark.engine
async def test_its_abort_may_come_first(engine_host):
    async with connect(engine_host) as client:
        await client.post("/abort_request", json={"rid": "early"})
        answer = (
            await client.post(PATH, content=encode(TokenRequest("early", {}, stream=False), IDS))
        ).json()
    assert answer["meta_info"]["finish_reason"]["type"] == "abort"
