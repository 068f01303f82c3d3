"""Talks to an engine host in tests: the native interface and the step page, nothing in between."""

from __future__ import annotations

import asyncio
import json
import time
import uuid

import httpx

PATIENCE_S = 60.0


def connect(info):
    return httpx.AsyncClient(
        base_url=info.url, headers={"Authorization": f"Bearer {info.key}"}, timeout=120, trust_env=False
    )


async def steps(client):
    return (await client.get("/foreword/steps")).json()


async def steps_when(client, condition, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while True:
        now = await steps(client)
        if condition(now):
            return now
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {now}"
        await asyncio.sleep(0.005)


async def idle(client):
    return await steps_when(client, lambda now: now["running"] == 0)


async def flush(client):
    """Empty the prefix cache, so that the next prompt is read in full."""
    await idle(client)
    answer = await client.post("/flush_cache", params={"timeout": 10})
    assert answer.status_code == 200, answer.text


async def generate(client, ids, max_new_tokens=8, *, priority=0, rid=None, seen=None):
    """The last event of a greedy, streamed generation; `seen` collects all of them as they come."""
    body = {
        "rid": rid or uuid.uuid4().hex,
        "input_ids": ids,
        "stream": True,
        "priority": priority,
        "sampling_params": {"temperature": 0, "max_new_tokens": max_new_tokens, "ignore_eos": True},
    }
    event = None
    async with client.stream("POST", "/generate", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                if seen is not None:
                    seen.append(event)
    return event


async def until(condition, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        await asyncio.sleep(0.005)
    return result
