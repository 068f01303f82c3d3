"""Scheduling for people, in the real scheduler: counted in its steps, never in seconds."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest
from host_client import connect, flush, generate, idle, steps, steps_when, until

from engine.hosting.launch import CHUNK_TOKENS_CPU
from engine.scheduler import internals
from engine.scheduler.turns import AGEING_S

pytestmark = pytest.mark.engine

COMPLETION, EDIT, WARM_UP = 10, 0, -10
EDIT_PROMPT = [*range(1000, 1000 + 6000)]
"""Some 24 chunks."""
LONG_PROMPT = [*range(1000, 1000 + 2000)]
CURSOR_PROMPT = [*range(8000, 8040)]
ANSWER_STEPS = 2
"""One that reads the prompt, and before it the step that ran when the request came."""


async def begin_reading(client, ids, **options):
    """A request whose prompt is read by now, for three chunks at least."""
    before = await steps(client)
    task = asyncio.create_task(generate(client, ids, **options))
    await steps_when(client, lambda now: now["steps"] >= before["steps"] + 3)
    return task


async def test_a_completion_does_not_wait_for_an_edit(engine_host):
    """And the edit goes on where it was: same answer, nothing computed twice, nothing lost."""
    async with connect(engine_host) as client:
        await flush(client)
        undisturbed = await generate(client, EDIT_PROMPT)
        await flush(client)
        before = await steps(client)
        edit = await begin_reading(client, EDIT_PROMPT, priority=EDIT)
        begun_s = time.monotonic()
        completion = await generate(client, CURSOR_PROMPT, 4, priority=COMPLETION)
        at_answer = await steps(client)
        turns = int((time.monotonic() - begun_s) / AGEING_S)
        assert not edit.done()
        disturbed = await edit
        after = await idle(client)
    assert at_answer["urgent_read_step"] - at_answer["urgent_arrival_step"] <= ANSWER_STEPS
    assert 1 <= after["gave_way"] - before["gave_way"] <= 1 + turns, (
        "once, and after each turn that its age gives it"
    )
    assert completion["meta_info"]["completion_tokens"] == 4
    assert disturbed["output_ids"] == undisturbed["output_ids"]
    assert disturbed["meta_info"]["cached_tokens"] == undisturbed["meta_info"]["cached_tokens"] == 0
    chunks = -(-len(EDIT_PROMPT) // CHUNK_TOKENS_CPU)
    most = chunks + 8 + 4 + 1  # the edit's answer, the completion's, and the step that read its prompt
    assert after["steps"] - before["steps"] <= most, "nothing of the edit was read twice"
    assert after["requests"] == before["requests"] + 2
    assert after["kv_free_tokens"] == after["kv_total_tokens"]


async def test_everybody_comes_before_a_warm_up(engine_host):
    async with connect(engine_host) as client:
        await flush(client)
        before = await steps(client)
        warm_up = await begin_reading(client, LONG_PROMPT, max_new_tokens=1, priority=WARM_UP)
        edit = await generate(client, CURSOR_PROMPT, 20, priority=EDIT)
        after_edit = await steps(client)
        completion = await generate(client, CURSOR_PROMPT, 4, priority=COMPLETION)
        after_completion = await steps(client)
        assert not warm_up.done()
        assert after_completion["gave_way"] == before["gave_way"] + 2
        assert after_completion["urgent_read_step"] - after_completion["urgent_arrival_step"] <= ANSWER_STEPS
        assert after_edit["requests"] == before["requests"] + 1
        warmed = await warm_up
        after = await idle(client)
    assert (edit["meta_info"]["completion_tokens"], completion["meta_info"]["completion_tokens"]) == (20, 4)
    assert warmed["meta_info"]["cached_tokens"] == 0
    assert after["kv_free_tokens"] == after["kv_total_tokens"]


async def test_a_warm_up_waits_while_an_edit_is_written(engine_host):
    async with connect(engine_host) as client:
        await flush(client)
        seen: list[object] = []
        before = await steps(client)
        edit = asyncio.create_task(generate(client, CURSOR_PROMPT, 100, priority=EDIT, seen=seen))
        await until(lambda: seen)
        warm_up = asyncio.create_task(generate(client, LONG_PROMPT[:1000], 1, priority=WARM_UP))
        await steps_when(client, lambda now: now["waiting"] == 1)
        answer = await edit
        at_end = await steps(client)
        await warm_up
        after = await idle(client)
    own = (
        1 + answer["meta_info"]["spec_verify_ct"]
    )  # its prompt, and steps that may write several tokens each
    assert own <= at_end["steps"] - before["steps"] <= own + ANSWER_STEPS, "no step was the warm-up's"
    assert after["requests"] == before["requests"] + 2


async def test_a_completion_that_is_written_does_not_stall_behind_an_edit(engine_host):
    """But for the one chunk that an edit gets when it has waited."""
    async with connect(engine_host) as client:
        await flush(client)
        seen: list[object] = []
        completion = asyncio.create_task(generate(client, CURSOR_PROMPT, 100, priority=COMPLETION, seen=seen))
        await until(lambda: seen)
        begun_s = time.monotonic()
        written = len(seen)
        before = await steps(client)
        edit = asyncio.create_task(generate(client, LONG_PROMPT[:1000], 1, priority=EDIT))
        await completion
        at_end = await steps(client)
        turns = int((time.monotonic() - begun_s) / AGEING_S)
        edited = await edit
        await idle(client)
    assert at_end["steps"] - before["steps"] <= (100 - written) + turns + ANSWER_STEPS
    assert edited["meta_info"]["completion_tokens"] == 1


async def test_a_request_whose_abort_came_first_is_never_read(engine_host):
    rid = uuid.uuid4().hex
    async with connect(engine_host) as client:
        before = await idle(client)
        await client.post("/abort_request", json={"rid": rid})
        event = await generate(client, LONG_PROMPT, rid=rid)
        after = await idle(client)
        again = await generate(client, CURSOR_PROMPT, 2, rid=rid)
    assert event["meta_info"]["finish_reason"]["type"] == "abort"
    assert (after["requests"], after["steps"]) == (before["requests"], before["steps"])
    assert again["meta_info"]["completion_tokens"] == 2


async def test_a_request_that_is_aborted_while_it_waits_is_never_read(engine_host):
    rid = uuid.uuid4().hex
    async with connect(engine_host) as client:
        await flush(client)
        before = await steps(client)
        edit = await begin_reading(client, LONG_PROMPT, max_new_tokens=1)
        waiting = asyncio.create_task(generate(client, LONG_PROMPT[::-1], 1, rid=rid))
        await steps_when(client, lambda now: now["waiting"] == 1)
        await client.post("/abort_request", json={"rid": rid})
        aborted = await waiting
        assert not edit.done()
        await edit
        after = await idle(client)
    assert aborted["meta_info"]["finish_reason"]["type"] == "abort"
    assert after["requests"] == before["requests"] + 1
    assert after["kv_free_tokens"] == after["kv_total_tokens"]


@pytest.mark.parametrize("moment", ["waiting", "reading", "writing"])
async def test_an_abort_ends_its_own_request_alone(engine_host, moment):
    """Not the one whose id begins with the same characters."""
    short = uuid.uuid4().hex[:8]
    async with connect(engine_host) as client:
        await flush(client)
        reading = await begin_reading(client, LONG_PROMPT, max_new_tokens=1, rid=f"{short}-reading")
        writing_seen: list[object] = []
        writing = asyncio.create_task(
            generate(
                client, CURSOR_PROMPT, 60, priority=COMPLETION, rid=f"{short}-writing", seen=writing_seen
            )
        )
        waiting = asyncio.create_task(
            generate(client, CURSOR_PROMPT[::-1], 3, priority=WARM_UP, rid=f"{short}-waiting")
        )
        own = asyncio.create_task(generate(client, LONG_PROMPT[::-1], 3, priority=WARM_UP, rid=short))
        await until(lambda: writing_seen)
        await steps_when(client, lambda now: now["running"] == 4)
        if moment != "writing":
            await writing
        if moment == "waiting":
            await reading
        await client.post("/abort_request", json={"rid": short})
        answers = [await task for task in (writing, reading, waiting)]
        assert [answer["meta_info"]["completion_tokens"] for answer in answers] == [60, 1, 3]
        assert (await own)["meta_info"]["finish_reason"]["type"] == "abort"
        after = await idle(client)
    assert after["kv_free_tokens"] == after["kv_total_tokens"]


def test_another_sglang_is_refused(monkeypatch):
    pytest.importorskip("sglang")
    internals.check_internals()
    for name, row, said in (
        (
            "PARAMETERS",
            ("sglang.srt.managers.scheduler", "Scheduler.abort_request", ("self", "rid")),
            "takes",
        ),
        ("PARAMETERS", ("sglang.srt.managers.scheduler", "Scheduler.no_such_method", ("self",)), "is gone"),
        ("MENTIONED", ("sglang.srt.managers.schedule_batch", "Req", ("no_such_word",)), "no longer has"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(internals, name, (row,))
            with pytest.raises(internals.InternalsChangedError, match=said):
                internals.check_internals()
