"""How long one endpoint is waited for, and which refusals say something of an endpoint and not of the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec
import pytest
from misbehaving import EVENTS, Exchange, served
from test_failover import (
    FIRST_TEXT_S,
    LONG,
    PROMPT,
    SAMPLING,
    Several,
    answers,
    fine,
    hangs_before_headers,
    sglang,
)

from engine.endpoints.client import Chunk, EngineRequestError, Sampling, SGLangEndpoint, collect
from engine.endpoints.failover import FailoverEndpoint, Member
from engine.endpoints.openai import OpenAIEndpoint
from engine.profiles import QWEN_SMALL
from engine.prompts import Prompt
from engine.tokens import EstimateTokenizer


def one_after_the_other(*behaviours):
    """Each for one request, the last for all that follow."""
    left = list(behaviours)

    async def behave(exchange: Exchange) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(exchange)

    return behave


async def late(exchange: Exchange) -> None:
    await asyncio.sleep(2 * FIRST_TEXT_S)
    await exchange.completion("late")


@pytest.mark.parametrize(
    "other", [answers(401), answers(429, "retry-after: 100\n")], ids=["wrong key", "resting"]
)
async def test_a_slow_one_is_waited_for_where_nobody_else_can_be_asked(other) -> None:
    first = one_after_the_other(answers(500), late)
    async with served(first) as (slow, _), served(other) as (unusable, others):
        several = Several(slow, unusable, timeouts=LONG)
        with pytest.raises(EngineRequestError):
            await several.text()
        several.clock.now += 1.0
        assert await several.text() == "late"
        assert len(others) == 1
        await several.one.close()


async def test_it_is_left_as_soon_as_somebody_else_can_be_asked() -> None:
    first = one_after_the_other(answers(500), hangs_before_headers)
    other = one_after_the_other(answers(429, "retry-after: 100\n"), fine)
    async with served(first) as (hung, asked), served(other) as (resting, _):
        several = Several(hung, resting, timeouts=LONG)
        with pytest.raises(EngineRequestError):
            await several.text()
        several.clock.now += 1.0
        waiting = asyncio.create_task(several.text())
        await asyncio.sleep(2 * FIRST_TEXT_S)
        assert len(asked) == 2 and not waiting.done()
        several.clock.now += 100.0
        assert await waiting == "fine"
        assert "with another endpoint to ask instead" in several.one.describe()[0].last_error
        await several.one.close()


async def test_steady_typing_is_no_hang() -> None:
    """Each keystroke gives up what the one before it asked for, sooner than a healthy server answers."""
    async with served(hangs_before_headers) as (slow, asked), served(fine) as (good, _):
        several = Several(slow, good, timeouts=LONG)
        members = [msgspec.structs.replace(member, first_text_s=20.0) for member in several.members]
        one = FailoverEndpoint(members, clock=several.clock)
        for keystroke in range(1, 71):
            typing = asyncio.create_task(collect(one, PROMPT, SAMPLING))
            async with asyncio.timeout(10):
                while len(asked) < keystroke:
                    await asyncio.sleep(0.001)
            several.clock.now += 0.3
            typing.cancel()
            await asyncio.gather(typing, return_exceptions=True)
        assert [each.state for each in one.describe()] == ["untried", "untried"]
        await one.close()


# ---------------------------------------------------------------- refusals that mean this endpoint


async def test_what_needs_a_grammar_goes_to_one_that_takes_it() -> None:
    async with served(fine) as (plain, others), served(sglang) as (ours, asked):
        several = Several(plain)
        second = SGLangEndpoint(ours, "", model="m", context_tokens=8192)
        one = FailoverEndpoint([*several.members, Member(second, QWEN_SMALL, EstimateTokenizer())])
        assert (await collect(one, PROMPT, Sampling(8, regex="a+"))).text == "ours"
        assert others == [] and asked[0].json["sampling_params"]["regex"] == "a+"
        assert [each.state for each in one.describe()] == ["untried", "ready"]
        assert (await collect(one, PROMPT, SAMPLING)).text == "fine", "it is asked all else as before"
        await one.close()


async def gives_up(exchange: Exchange) -> None:
    await exchange.send(EVENTS)
    await exchange.event({"error": {"message": "CUDA out of memory", "code": 500}})


async def begins_and_gives_up(exchange: Exchange) -> None:
    await exchange.send(EVENTS)
    await exchange.event({"choices": [{"text": "ha", "finish_reason": None}]})
    await exchange.event({"error": {"message": "CUDA out of memory", "code": 500}})


def says(status: int, said: str):
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(status, msgspec.json.encode({"error": {"message": said, "code": None}}))

    return behave


TOO_LONG = [
    (400, "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens"),
    (400, "The input (9000 tokens) is longer than the model's context length (4096 tokens)."),
    (400, "the request exceeds the available context size. try increasing the context size"),
    (400, "prompt is too long: 9000 tokens > 4096 maximum"),
    (422, "input too long"),
    (413, "Payload Too Large"),
]


@pytest.mark.parametrize(
    "behave",
    [gives_up, *(says(*each) for each in TOO_LONG)],
    ids=["an event", *(each[1][:20] for each in TOO_LONG)],
)
async def test_what_one_cannot_answer_another_can(behave) -> None:
    async with served(behave) as (small, asked), served(fine) as (large, _):
        several = Several(small, large)
        for _ in range(2):
            assert await several.text() == "fine"
        assert several.states == ["untried", "ready"] and several.told == []
        assert len(asked) == 2, "it is not left alone for that"
        await several.one.close()


async def test_an_error_event_after_text_ends_the_request() -> None:
    async with served(begins_and_gives_up) as (first, _), served(fine) as (second, others):
        several = Several(first, second)
        with pytest.raises(EngineRequestError, match="out of memory"):
            await several.text()
        assert [each for each in others if each.path == "/v1/completions"] == []
        await several.one.close()


# ---------------------------------------------------------------- an end that nobody foresaw


class Broken(OpenAIEndpoint):
    """Fails in a way that is no fault of a server."""

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        if not prompt.text:
            raise ZeroDivisionError
        async for chunk in super().generate(prompt, params, priority=priority):
            yield chunk


async def test_a_trial_that_ends_in_an_unforeseen_way_is_made_again() -> None:
    first = one_after_the_other(answers(500), fine)
    async with served(first) as (url, _):
        several = Several(url)
        broken = Broken(url, "", "m", context_tokens=8192)
        one = FailoverEndpoint(
            [msgspec.structs.replace(several.members[0], endpoint=broken)], clock=several.clock
        )
        with pytest.raises(EngineRequestError):
            await collect(one, PROMPT, SAMPLING)
        several.clock.now += 2.0
        with pytest.raises(ZeroDivisionError):
            await collect(one, msgspec.structs.replace(PROMPT, text=""), SAMPLING)
        assert one.describe()[0].state == "waiting", "nobody tries it any more"
        assert (await collect(one, PROMPT, SAMPLING)).text == "fine"
        await one.close()
