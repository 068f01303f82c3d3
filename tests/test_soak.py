"""500 requests as careless clients send them: nothing runs at the end, no slot of the KV pool is lost, memory is
steady."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import uuid

import pytest
from host_client import connect, flush, generate, idle, steps
from tiny_models import make_tiny

from engine.hosting.launcher import ensure_engine, stop_engine
from engine.paths import models_folder
from engine.profiles import find
from engine.weights.weights import ensure

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SEED = 3
REQUESTS = 500
AT_ONCE = 6
WINDOW = 4096
POOL = 8192
"""Small enough that prompts are evicted, and answers retracted."""
GROWTH_BYTES = 48 * 2**20
"""All processes together, from the 250th request to the 500th. They come to 3 GiB; what Python's allocator keeps
for itself varies by some ten MiB, and a request that were never let go would cost 500 times its prompt."""
ENDS = ("whole", "whole", "abort", "disconnect", "abort first")
PRIORITIES = (10, 10, 10, 0, 0, -5, -10)


@pytest.fixture
async def tiny_host(tmp_path, monkeypatch):
    """A host of its own, whose scheduler checks its memory after each step and ends where something is lost."""
    if importlib.util.find_spec("sglang") is None:
        pytest.skip("the embedded engine needs the extra foreword[engine]")
    profile = find("smollm2-135m")
    monkeypatch.setenv("FOREWORD_MODELS", str(models_folder()))
    folder = make_tiny("llama", tmp_path / "model", ensure(profile), max_position_embeddings=WINDOW)
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        (tmp_path / name).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(tmp_path / name))
    for moment in ("BUSY", "IDLE"):
        monkeypatch.setenv(f"SGLANG_ENABLE_STRICT_MEM_CHECK_DURING_{moment}", "1")
    arguments = ("--folder", str(folder), "--", "--max-total-tokens", str(POOL))
    yield await ensure_engine(profile, timeout_s=240, host_arguments=arguments)
    await stop_engine(profile.short, timeout_s=10)


class Careless:
    """Clients that share prefixes, and leave as they like; the same ones for the same seed."""

    def __init__(self, client):
        self._client = client
        self._random = random.Random(SEED)
        self._bases = [[self._random.randrange(100, 40_000) for _ in range(1500)] for _ in range(12)]
        self.ended = dict.fromkeys(ENDS, 0)

    async def ask_many(self, count):
        queue = [self._plan() for _ in range(count)]

        async def one_after_another():
            while queue:
                await self._ask(**queue.pop())

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))

    def _plan(self):
        pick = self._random
        base = pick.choice(self._bases)
        return {
            "ids": base[: pick.randrange(1, len(base))]
            + [pick.randrange(100, 40_000)] * pick.randrange(1, 40),
            "max_new_tokens": pick.randrange(1, 24),
            "priority": pick.choice(PRIORITIES),
            "end": pick.choice(ENDS),
            "after_s": pick.uniform(0, 0.3),
        }

    async def _ask(self, *, ids, max_new_tokens, priority, end, after_s):
        rid = uuid.uuid4().hex
        self.ended[end] += 1
        if end == "abort first":
            await self._client.post("/abort_request", json={"rid": rid})
        asked = asyncio.create_task(generate(self._client, ids, max_new_tokens, priority=priority, rid=rid))
        if end in ("abort", "disconnect"):
            await asyncio.sleep(after_s)
        if end == "disconnect":
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            return
        if end == "abort":
            await self._client.post("/abort_request", json={"rid": rid})
        event = await asked
        reason = event["meta_info"]["finish_reason"]["type"]
        if end == "whole":
            assert (reason, event["meta_info"]["completion_tokens"]) == ("length", max_new_tokens)
        elif end == "abort first":
            assert reason == "abort"


async def test_five_hundred_careless_requests(tiny_host):
    async with connect(tiny_host) as client:
        careless = Careless(client)
        await careless.ask_many(REQUESTS // 2)
        half_way = (await client.get("/foreword/host")).json()
        await careless.ask_many(REQUESTS // 2)
        end = await idle(client)
        at_end = (await client.get("/foreword/host")).json()
        await flush(client)
        emptied = await steps(client)
        again = await generate(client, [*range(100, 100 + WINDOW - 100)], 2)
    assert sum(careless.ended.values()) == REQUESTS and min(careless.ended.values()) > REQUESTS // 10
    assert end["kv_free_tokens"] == end["kv_total_tokens"] == POOL
    assert emptied["kv_free_tokens"] == POOL and again["meta_info"]["cached_tokens"] == 0
    assert end["aborts"] > REQUESTS // 10 and end["gave_way"] > 0
    assert at_end["rss_bytes"] - half_way["rss_bytes"] < GROWTH_BYTES
    print(f"\n{end}\nRSS {half_way['rss_bytes'] / 2**20:.0f} -> {at_end['rss_bytes'] / 2**20:.0f} MiB")
