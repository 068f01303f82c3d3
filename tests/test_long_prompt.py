"""A prompt of 262,144 tokens really goes through the engine, and is found again."""

from __future__ import annotations

import importlib.util
import json
import random
import time
import uuid

import pytest
from host_client import connect, idle, steps

from benchmarks.engine.tiny_moe import CHUNK_TOKENS, LAST_ID, LONG_PROMPT_TOKENS, SPECIAL, build
from engine.endpoints.token_body import PATH, TokenRequest, encode
from engine.hosting.launcher import ensure_engine, stop_engine
from engine.paths import models_folder
from engine.profiles import find

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

SEED = 6
CACHED_SHARE = 0.999
WARM_TURNS = 5
PATIENCE_S = 800
SAMPLING = {"temperature": 0, "max_new_tokens": 3, "ignore_eos": True}


@pytest.fixture
async def long_host(tmp_path, monkeypatch):
    if importlib.util.find_spec("sglang") is None:
        pytest.skip("the embedded engine needs the extra foreword[engine]")
    monkeypatch.setenv("FOREWORD_MODELS", str(models_folder()))
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        (tmp_path / name).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(tmp_path / name))
    profile = find("smollm2-135m")
    folder = ("--folder", str(build(tmp_path / "model")))
    chunk = ("--", "--chunked-prefill-size", str(CHUNK_TOKENS))
    yield await ensure_engine(profile, timeout_s=240, host_arguments=(*folder, *chunk))
    await stop_engine(profile.short, timeout_s=10)


async def first_token(client, path, body):
    """The first event, and the milliseconds from the last byte's encoding to it."""
    begun_ns = time.monotonic_ns()
    async with client.stream(
        "POST", path, content=body, headers={"Content-Type": "application/json"}
    ) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                return json.loads(line.removeprefix("data: ")), begun_ns, time.monotonic_ns()
    raise AssertionError("the stream ended without an event")


def packed(ids):
    return PATH, encode(TokenRequest(uuid.uuid4().hex, SAMPLING), ids)


def as_json(ids):
    document = {"rid": uuid.uuid4().hex, "input_ids": ids, "stream": True, "sampling_params": SAMPLING}
    return "/generate", json.dumps(document).encode()


async def test_262144_tokens_are_read_once(long_host):
    random.seed(SEED)
    ids = [random.randrange(len(SPECIAL), LAST_ID) for _ in range(LONG_PROMPT_TOKENS)]
    async with connect(long_host) as client:
        client.timeout = PATIENCE_S
        cold, begun_ns, ended_ns = await first_token(client, *packed(ids))
        assert cold["meta_info"]["prompt_tokens"] == LONG_PROMPT_TOKENS
        assert cold["meta_info"]["cached_tokens"] == 0
        counted = await steps(client)
        assert counted["steps"] >= LONG_PROMPT_TOKENS // CHUNK_TOKENS
        print(f"\ncold: {(ended_ns - begun_ns) / 1e9:.1f} s")
        answers = {cold["text"]}
        for form in (packed, as_json):
            for _ in range(WARM_TURNS):
                await idle(client)
                encoding_ns = time.monotonic_ns()
                path, body = form(ids)
                event, begun_ns, ended_ns = await first_token(client, path, body)
                assert event["meta_info"]["cached_tokens"] >= CACHED_SHARE * LONG_PROMPT_TOKENS
                answers.add(event["text"])
                at_token = await steps(client)
                print(split(form.__name__, encoding_ns, begun_ns, ended_ns, at_token))
        after = await idle(client)
    assert len(answers) == 1
    assert after["kv_free_tokens"] == after["kv_total_tokens"]


def split(form, encoding_ns, begun_ns, ended_ns, at_token):
    """Where the milliseconds went; the scheduler's part is from the request's arrival there to its last step so
    far, which may be the one after the first token's."""
    parts = {
        "client": begun_ns - encoding_ns,
        "HTTP and server": at_token["arrived_ns"] - begun_ns,
        "scheduler": ended_ns - at_token["arrived_ns"],
    }
    told = ", ".join(f"{name} {part / 1e6:.1f}" for name, part in parts.items())
    return f"{form}: first token after {(ended_ns - encoding_ns) / 1e6:.1f} ms: {told}"
