"""Several endpoints as one, against real servers that misbehave: who answers, what is told, and the way back."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack, aclosing

import pytest
from misbehaving import EVENTS, Exchange, free_port, served

from engine.endpoints.client import EngineRequestError, Priority, Sampling, SGLangEndpoint, Timeouts, collect
from engine.endpoints.failover import FailoverEndpoint, Member, Unusable
from engine.endpoints.lazy import LazyEndpoint
from engine.endpoints.openai import OpenAIEndpoint
from engine.profiles import QWEN_SMALL, find
from engine.prompts import ContextSegment, Prompt, completion_prompt
from engine.tokens import EstimateTokenizer

PROMPT = Prompt(ids=None, text="abc", window="abc", suffix="", taken_off="", window_start_line=0, tokens=3)
SAMPLING = Sampling(8)
QUICK = Timeouts(connect_s=1.0, first_event_s=1.0, between_events_s=1.0)
LONG = Timeouts(connect_s=1.0, first_event_s=30.0, between_events_s=30.0)
FIRST_TEXT_S = 1.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Several:
    """Endpoints at these addresses as one, on a clock of the test's own."""

    def __init__(self, *urls: str, timeouts: Timeouts = QUICK) -> None:
        self.clock = Clock()
        self.told: list[str] = []
        self.members = [
            Member(
                OpenAIEndpoint(url, "secret", "m", context_tokens=8192, timeouts=timeouts),
                QWEN_SMALL,
                EstimateTokenizer(),
                FIRST_TEXT_S,
            )
            for url in urls
        ]
        self.one = FailoverEndpoint(self.members, tell=self.told.append, clock=self.clock, chance=lambda: 0.0)

    async def text(self, priority: int = Priority.COMPLETION) -> str:
        return (await collect(self.one, PROMPT, SAMPLING, priority=priority)).text

    @property
    def states(self) -> list[str]:
        return [status.state for status in self.one.describe()]


async def fine(exchange: Exchange) -> None:
    if exchange.path == "/v1/models":
        await exchange.answer(200, b'{"data": [{"id": "m", "max_model_len": 4096}]}')
    else:
        await exchange.completion("fi", "ne")


async def hangs_before_headers(exchange: Exchange) -> None:
    await exchange.until_closed()


async def hangs_after_headers(exchange: Exchange) -> None:
    await exchange.send(EVENTS)
    await exchange.until_closed()


async def pings_for_ever(exchange: Exchange) -> None:
    await exchange.send(EVENTS)
    with contextlib.suppress(ConnectionError):
        while True:
            await exchange.send(b": ping\n\n")
            await asyncio.sleep(0.02)


async def empty_text_then_gone(exchange: Exchange) -> None:
    await exchange.send(EVENTS)
    await exchange.event({"choices": [{"text": "", "finish_reason": None}]})
    await exchange.drop()


async def gone(exchange: Exchange) -> None:
    await exchange.drop()


async def a_web_page(exchange: Exchange) -> None:
    await exchange.answer(200, b"<html>hello</html>", "text/html")


async def garbage(exchange: Exchange) -> None:
    await exchange.send(EVENTS + b"data: {nonsense\n\n")


async def endless_line(exchange: Exchange) -> None:
    await exchange.send(EVENTS + b"data: ")
    with contextlib.suppress(ConnectionError):
        while True:
            await exchange.send(b"x" * 1024**2)


def answers(status: int, headers: str = ""):
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(status, b'{"error": {"message": "so it is"}}', headers=headers)

    return behave


AWAY = [
    *(hangs_before_headers, hangs_after_headers, pings_for_ever, empty_text_then_gone, gone),
    *(a_web_page, garbage, endless_line),
    *(answers(500), answers(502), answers(503), answers(429), answers(401), answers(403), answers(404)),
]


@pytest.mark.parametrize("behave", AWAY)
async def test_the_next_answers_within_the_same_request(behave) -> None:
    async with served(behave) as (bad, asked), served(fine) as (good, _):
        several = Several(bad, good, timeouts=LONG)
        assert await several.text() == "fine"
        assert several.states == ["waiting", "ready"]
        assert await several.text() == "fine"
        assert len(asked) == 1, "what failed is left alone"
        first = several.one.describe()[0]
        assert bad in first.last_error and first.tried_again_in_s and "secret" not in first.last_error
        assert several.one.name == several.members[1].endpoint.name
        assert len(several.told) == 1 and several.told[0].startswith(first.last_error)
        await several.one.close()


async def test_nobody_listens_and_then_comes_back() -> None:
    async with served(fine) as (good, _):
        port = free_port()  # not before: the good one could be given the very same one
        several = Several(f"http://127.0.0.1:{port}", good)
        assert await several.text() == "fine"
        assert several.states == ["waiting", "ready"]
        async with served(fine, port) as (_, back):
            assert await several.text() == "fine"
            assert back == [], "its time has not come"
            several.clock.now += 1.0
            assert await several.text() == "fine"
            assert back[0].path == "/v1/completions"
            assert several.states == ["ready", "ready"]
        assert several.told[-1] == f"{several.members[0].endpoint.name} is back"
        await several.one.close()


@pytest.mark.parametrize("how", ["hangs", "drops"])
async def test_after_the_first_text_nobody_else_is_asked(how: str) -> None:
    async def half(exchange: Exchange) -> None:
        await exchange.send(EVENTS)
        await exchange.event({"choices": [{"text": "ha", "finish_reason": None}]})
        await (exchange.until_closed() if how == "hangs" else exchange.drop())

    async with served(half) as (bad, _), served(fine) as (good, others):
        several = Several(bad, good)
        seen: list[str] = []
        with pytest.raises(EngineRequestError) as caught:
            async with aclosing(several.one.generate(PROMPT, SAMPLING)) as chunks:
                async for chunk in chunks:
                    seen.append(chunk.text)  # noqa: PERF401 — what came before the error counts
        assert caught.value.fault == ("timeout" if how == "hangs" else "dropped")
        assert seen == ["ha"]
        assert [one for one in others if one.path == "/v1/completions"] == []
        assert await several.text() == "fine"
        await several.one.close()


async def test_what_is_wrong_with_the_request_is_wrong_everywhere() -> None:
    async with served(answers(400)) as (first, _), served(fine) as (second, others):
        several = Several(first, second)
        with pytest.raises(EngineRequestError, match="so it is"):
            await several.text()
        assert others == [] and several.told == []
        await several.one.close()


async def test_none_answers() -> None:
    async with served(answers(500)) as (one, _), served(answers(503)) as (two, _):
        several = Several(one, two)
        with pytest.raises(EngineRequestError) as caught:
            await several.text()
        assert one in str(caught.value) and two in str(caught.value)
        with pytest.raises(EngineRequestError):
            await several.text()
        assert [status.failures for status in several.one.describe()] == [2, 1], "one is asked all the same"
        await several.one.close()


async def test_a_wrong_key_is_told_once_and_not_asked_again() -> None:
    async with served(answers(401)) as (url, asked):
        several = Several(url)
        for _ in range(3):
            with pytest.raises(EngineRequestError, match="refused the key") as caught:
                await several.text()
            assert caught.value.fault == "refused"
        assert len(asked) == 1 and len(several.told) == 1
        several.clock.now += 600
        with pytest.raises(EngineRequestError, match="refused the key"):
            await several.text()
        assert len(asked) == 2 and len(several.told) == 1
        await several.one.close()


async def test_retry_after_is_kept_to() -> None:
    async with served(answers(429, "retry-after: 40\n")) as (busy, asked), served(fine) as (good, _):
        several = Several(busy, good)
        await several.text()
        several.clock.now += 39
        await several.text()
        assert len(asked) == 1
        several.clock.now += 1
        await several.text()
        assert len(asked) == 2
        await several.one.close()


async def test_only_one_request_tries_it_again() -> None:
    """The others are not held up by what may hang."""
    async with served(hangs_before_headers) as (bad, asked), served(fine) as (good, _):
        several = Several(bad, good, timeouts=LONG)
        await several.text()
        several.clock.now += 1
        assert await asyncio.gather(*(several.text() for _ in range(5))) == ["fine"] * 5
        assert len(asked) == 2
        await several.one.close()


async def test_keystrokes_that_give_up_too_soon_show_a_hang_together() -> None:
    async with served(hangs_before_headers) as (bad, asked), served(fine) as (good, _):
        several = Several(bad, good, timeouts=LONG)
        for expected in (1, 2):
            typing = asyncio.create_task(several.text())
            while len(asked) < expected:
                await asyncio.sleep(0.01)
            several.clock.now += FIRST_TEXT_S / 2
            typing.cancel()
            await asyncio.gather(typing, return_exceptions=True)
        assert several.states[0] == "waiting"
        assert await several.text() == "fine"
        assert len(asked) == 2
        await several.one.close()


async def test_work_in_the_background_may_wait_as_long_as_it_is_held_back() -> None:
    async def late(exchange: Exchange) -> None:
        await asyncio.sleep(2 * FIRST_TEXT_S)
        await exchange.completion("late")

    async with served(late) as (url, _), served(fine) as (good, _):
        several = Several(url, good, timeouts=LONG)
        assert await several.text(Priority.WARM_UP) == "late"
        assert await several.text(Priority.COMPLETION) == "fine"
        await several.one.close()


async def test_it_is_looked_at_after_its_first_text() -> None:
    async with served(fine) as (url, asked):
        several = Several(url)
        await several.text()
        async with asyncio.timeout(5):
            while several.one.describe()[0].reachable is None:
                await asyncio.sleep(0.01)
        await several.text()
        assert [exchange.path for exchange in asked] == ["/v1/completions", "/v1/models", "/v1/completions"]
        assert several.one.context_tokens == 4096
        assert any("its window is 4,096 tokens" in limit for limit in several.one.limits)
        await several.one.close()


async def test_a_look_at_all_of_them_for_commands() -> None:
    async with served(fine) as (good, asked):
        dead = f"http://127.0.0.1:{free_port()}"
        several = Several(good, dead)
        await several.one.probe()
        there, missing = several.one.describe()
        assert (there.reachable, missing.reachable) == (True, False)
        assert "cannot be reached" in missing.last_error
        assert [exchange.path for exchange in asked] == ["/v1/models"]
        await several.one.close()


def test_what_cannot_be_set_up_is_told() -> None:
    one = FailoverEndpoint(
        [Member(OpenAIEndpoint("http://a", "", "m", context_tokens=8192), QWEN_SMALL, EstimateTokenizer())],
        unusable=[Unusable("the server at b", "b is no address")],
    )
    last = one.describe()[-1]
    assert (last.endpoint, last.state, last.last_error) == ("the server at b", "unusable", "b is no address")


# ---------------------------------------------------------------- other models, other windows


SEGMENTS = [ContextSegment(f"shop/{name}.py", f"{name} = {name!r}\n" * 60) for name in "abcdefgh"]


def laid_out() -> Prompt:
    return completion_prompt(
        profile=QWEN_SMALL,
        tokenizer=EstimateTokenizer(),
        repo_name="shop",
        segments=SEGMENTS,
        path="shop/x.py",
        before="x = ",
        after="\n",
        max_window_tokens=100,
        max_suffix_tokens=50,
    )


async def sent_to_the_second(second: Member) -> Prompt:
    dead = OpenAIEndpoint(f"http://127.0.0.1:{free_port()}", "", "m", context_tokens=8192)
    one = FailoverEndpoint([Member(dead, QWEN_SMALL, EstimateTokenizer()), second])
    return await one._fitting(second, laid_out(), SAMPLING)


async def test_a_smaller_window_gets_the_first_of_the_context() -> None:
    window = 1200
    small = OpenAIEndpoint("http://127.0.0.1:9", "", "m", context_tokens=window)
    prompt = await sent_to_the_second(Member(small, QWEN_SMALL, EstimateTokenizer()))
    assert laid_out().tokens > window
    assert prompt.tokens + SAMPLING.max_tokens <= window
    assert "shop/a.py" in prompt.text and "shop/h.py" not in prompt.text
    assert prompt.text.endswith("x =<|fim_suffix|>\n<|fim_middle|>")
    same = OpenAIEndpoint("http://127.0.0.1:9", "", "m", context_tokens=32_768)
    assert await sent_to_the_second(Member(same, QWEN_SMALL, EstimateTokenizer())) == laid_out()


async def test_another_family_reads_its_own_layout() -> None:
    other = OpenAIEndpoint("http://127.0.0.1:9", "", "m", context_tokens=32_768)
    prompt = await sent_to_the_second(Member(other, find("smollm2-135m"), EstimateTokenizer()))
    assert "<|" not in prompt.text
    assert prompt.text.startswith("<repo_name>shop\n<file_sep>shop/a.py\n") and prompt.text.endswith("x =")


# ---------------------------------------------------------------- one that has to be started first


def started_late(url: str, release: asyncio.Event, *, waits: bool = False) -> LazyEndpoint:
    async def start() -> SGLangEndpoint:
        await release.wait()
        return SGLangEndpoint(url, "", model="m", context_tokens=8192, timeouts=QUICK, packs_ids=True)

    return LazyEndpoint("the late one", "m", context_tokens=8192, start=start, waits=waits)


async def sglang(exchange: Exchange) -> None:
    await exchange.send(EVENTS)
    meta = {"prompt_tokens": 3, "completion_tokens": 1, "finish_reason": {"type": "stop"}}
    await exchange.event({"text": "ours", "output_ids": [1], "meta_info": meta})
    await exchange.send(b"data: [DONE]\n\n")


async def test_while_one_starts_the_next_answers() -> None:
    release = asyncio.Event()
    async with served(sglang) as (ours, asked), served(fine) as (good, _):
        late = started_late(ours, release)
        several = Several(good)
        first = Member(late, QWEN_SMALL, EstimateTokenizer())
        one = FailoverEndpoint([first, *several.members], tell=several.told.append)
        one.introduce("a-workspace")
        assert (await collect(one, PROMPT, SAMPLING)).text == "fine"
        assert [status.state for status in one.describe()] == ["untried", "ready"], "starting is no failure"
        release.set()
        async with asyncio.timeout(5):
            while (await collect(one, PROMPT, SAMPLING)).text != "ours":
                await asyncio.sleep(0.01)
        assert several.told == []
        assert asked[0].headers["x-foreword-workspace"] == "a-workspace"
        await one.close()


async def test_the_first_is_started_before_anybody_asks_and_no_look_starts_it() -> None:
    release = asyncio.Event()
    release.set()
    async with served(sglang) as (ours, _):
        late = started_late(ours, release)
        one = FailoverEndpoint([Member(late, QWEN_SMALL, EstimateTokenizer())])
        await one.probe()
        told = one.describe()[0]
        assert told.reachable is None and "started by the first request" in told.last_error
        one.wake()
        async with asyncio.timeout(5):
            while late._endpoint is None:
                await asyncio.sleep(0.01)
        assert (await collect(one, PROMPT, SAMPLING)).text == "ours"
        await one.close()


async def test_a_host_that_has_left_is_started_again() -> None:
    starts = 0

    async with AsyncExitStack() as hosts:
        port = free_port()

        async def start() -> SGLangEndpoint:
            nonlocal starts
            starts += 1
            await hosts.enter_async_context(served(sglang, port))
            return SGLangEndpoint(
                f"http://127.0.0.1:{port}", "", model="m", context_tokens=8192, timeouts=QUICK
            )

        late = LazyEndpoint("the late one", "m", context_tokens=8192, start=start, waits=True)
        assert (await collect(late, PROMPT, SAMPLING)).text == "ours"
        await hosts.aclose()
        with pytest.raises(EngineRequestError) as caught:
            await collect(late, PROMPT, SAMPLING)
        assert caught.value.fault == "starting"
        assert (await collect(late, PROMPT, SAMPLING)).text == "ours"
        assert starts == 2
        await late.close()


async def test_a_start_that_fails_is_told_and_tried_again() -> None:
    starts = 0

    async def start() -> SGLangEndpoint:
        nonlocal starts
        starts += 1
        raise EngineRequestError("unreachable", "no memory")

    late = LazyEndpoint("the late one", "m", context_tokens=8192, start=start, waits=True)
    for _ in range(2):
        with pytest.raises(EngineRequestError, match="no memory"):
            await collect(late, PROMPT, SAMPLING)
    assert starts == 2
    await late.close()
