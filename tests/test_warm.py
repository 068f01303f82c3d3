"""Warming a prompt ahead: in slices, behind everybody, and never the same lost base in a loop."""

from __future__ import annotations

import asyncio

import pytest
from host_client import connect, flush, generate, idle, steps, steps_when

from engine.endpoints.client import SGLangEndpoint
from engine.endpoints.endpoint import Chunk, Priority
from engine.endpoints.sse import EngineRequestError
from engine.scheduler.warm import LET_GO, Warmed, page_of, warm
from engine.scheduler.warm_keeper import FIRST_WAIT_S, LONGEST_WAIT_S, REMEMBERED, WarmKeeper

IDS = list(range(1000, 2000))


class Cache:
    """An engine's prefix cache, as far as a warm-up sees it, for the cases that a real one gives by chance."""

    kind = "sglang"
    name = "the engine"
    context_tokens = 8192
    limits: tuple[str, ...] = ()

    def __init__(self, cached=0, *, forgets_after=None, forgets_times=1, fails_after=None, page=1):
        self.cached = cached
        self._page = page
        self._forgets_times = forgets_times
        self.asked: list[tuple[int, int]] = []
        self._forgets_after = forgets_after
        self._fails_after = fails_after

    async def generate(self, prompt, params, *, priority=0):
        assert (params.max_tokens, priority) == (1, Priority.WARM_UP)
        assert prompt.ids == IDS[: len(prompt.ids)]
        if len(self.asked) == self._fails_after:
            raise EngineRequestError("unreachable", "the engine is gone")
        if (
            self._forgets_after is not None
            and 0 <= len(self.asked) - self._forgets_after < self._forgets_times
        ):
            self.cached = 0
        found = min(self.cached, len(prompt.ids) - 1) // self._page * self._page
        self.asked.append((len(prompt.ids), found))
        self.cached = max(self.cached, len(prompt.ids))
        yield Chunk("x", "x", 1, len(prompt.ids), found, "length")


async def warmed(cache, **options):
    return await warm(cache, IDS, slice_tokens=100, clock=lambda: 0.0, **options)


async def test_slices_grow_by_one_where_nothing_is_cached():
    cache = Cache()
    assert await warmed(cache) == Warmed(1000, 0, 1000, 0.0, "")
    assert [asked for asked, _ in cache.asked] == list(range(100, 1001, 100))


async def test_what_is_cached_is_skipped_in_growing_strides():
    cache = Cache(1000)
    assert await warmed(cache) == Warmed(1000, 1000, 0, 0.0, "")
    assert [asked for asked, _ in cache.asked] == [100, 300, 700, 1000]


async def test_the_rest_of_a_half_cached_prompt_is_read_in_slices():
    cache = Cache(600)
    assert await warmed(cache) == Warmed(1000, 600, 400, 0.0, "")
    assert [asked for asked, _ in cache.asked] == [100, 300, 700, 800, 900, 1000]


async def test_a_cache_that_lets_go_ends_it():
    result = await warmed(Cache(forgets_after=4, forgets_times=2))
    assert (result.stopped, result.tokens) == (LET_GO, 0)


async def test_one_slice_that_reached_another_worker_does_not_end_it():
    """It reads there what it did not find, and goes on."""
    cache = Cache(forgets_after=4)
    assert await warmed(cache) == Warmed(1000, 0, 1400, 0.0, "")
    assert cache.asked[4:6] == [(500, 0), (600, 500)]
    keeper = WarmKeeper(Clock())
    keeper.warmed(IDS, await warmed(Cache(forgets_after=4)))
    assert "cached" in keeper.decide(IDS, 5000).reason


@pytest.mark.parametrize("page", [16, 64, 128])
async def test_a_cache_of_pages_rounds_down_and_has_let_go_of_nothing(page):
    result = await warmed(Cache(page=page))
    assert (result.tokens, result.before, result.stopped) == (1000, 0, "")
    again = await warmed(Cache(1000, page=page))
    assert (again.tokens, again.stopped) == (1000, "")
    lost = await warmed(Cache(page=page, forgets_after=4, forgets_times=9))
    assert lost.stopped == LET_GO


async def test_a_cache_of_pages_that_has_all_is_skipped_through_too():
    cache = Cache(1000, page=64)
    assert (await warmed(cache)).stopped == ""
    assert [asked for asked, _ in cache.asked] == [100, 200, 400, 800, 1000]


@pytest.mark.parametrize(
    ("tokens", "cached", "page"),
    [(500, 500, 1), (500, 499, 1), (500, 448, 64), (512, 448, 64), (500, 0, 0), (500, 300, 0), (100, 0, 128)],
)
def test_the_page_that_explains_what_is_told(tokens, cached, page):
    assert page_of(tokens, cached) == page


def test_a_base_that_is_told_in_whole_pages_was_not_evicted():
    keeper = WarmKeeper(Clock())
    keeper.warmed(IDS, WHOLE)
    keeper.seen(IDS, 960)
    assert "cached" in keeper.decide(IDS, 5000).reason
    keeper.seen(IDS, 500)
    assert "evicted" in keeper.decide(IDS, 5000).reason


async def test_a_failing_engine_ends_it_with_what_was_done():
    result = await warmed(Cache(fails_after=3))
    assert (result.tokens, result.computed, result.stopped) == (300, 300, "the engine is gone")


async def test_it_stops_when_told_and_tells_its_progress():
    seen: list[Warmed] = []
    result = await warmed(Cache(), on_progress=seen.append, stop=lambda: "enough" if len(seen) == 2 else "")
    assert (result.tokens, result.stopped) == (200, "enough")
    assert [each.tokens for each in seen] == [100, 200]


async def test_other_endpoints_are_refused_in_words():
    cache = Cache()
    cache.kind = "openai"
    result = await warmed(cache)
    assert "cannot be warmed" in result.stopped and not cache.asked


@pytest.mark.engine
async def test_a_host_is_warmed_and_found_warm(engine_host):
    endpoint = SGLangEndpoint(engine_host.url, engine_host.key, model="smollm2-135m", context_tokens=8192)
    async with connect(engine_host) as client:
        await flush(client)
        cold = await warm(endpoint, IDS, slice_tokens=256)
        again = await warm(endpoint, IDS, slice_tokens=256)
        longer = await warm(endpoint, [*IDS, *range(300, 400)], slice_tokens=256)
        used = await generate(client, [*IDS, 7, 8])
        after = await idle(client)
    await endpoint.close()
    assert (cold.tokens, cold.before, cold.computed, cold.stopped) == (1000, 0, 1000, "")
    assert (again.tokens, again.before, again.computed) == (1000, 1000, 0)
    assert (longer.tokens, longer.before, longer.computed) == (1100, 1000, 100)
    assert used["meta_info"]["cached_tokens"] == 1000
    assert after["kv_free_tokens"] == after["kv_total_tokens"]


@pytest.mark.engine
async def test_a_cancelled_warm_up_is_gone_from_the_engine(engine_host):
    endpoint = SGLangEndpoint(engine_host.url, engine_host.key, model="smollm2-135m", context_tokens=8192)
    async with connect(engine_host) as client:
        await flush(client)
        before = await steps(client)
        task = asyncio.create_task(warm(endpoint, [*range(2000, 5000)], slice_tokens=3000))
        await steps_when(client, lambda now: now["steps"] >= before["steps"] + 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        after = await idle(client)
    await endpoint.close()
    assert after["aborts"] == before["aborts"] + 1
    assert after["requests"] == before["requests"]
    assert after["kv_free_tokens"] == after["kv_total_tokens"]


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


WHOLE = Warmed(1000, 0, 1000, 1.0, "")


def test_a_new_base_is_warmed_once():
    keeper = WarmKeeper(Clock())
    assert keeper.decide(IDS, 5000).warm
    keeper.warmed(IDS, WHOLE)
    decision = keeper.decide(IDS, 5000)
    assert not decision.warm and "cached" in decision.reason
    keeper.seen(IDS, 999)
    assert not keeper.decide(IDS, 5000).warm


def test_a_base_larger_than_the_share_is_never_warmed():
    decision = WarmKeeper(Clock()).decide(IDS, 999)
    assert not decision.warm and "1000" in decision.reason and "999" in decision.reason


def test_an_evicted_base_waits_twice_as_long_each_time():
    clock = Clock()
    keeper = WarmKeeper(clock)
    waits = []
    for _ in range(9):
        keeper.warmed(IDS, WHOLE)
        keeper.seen(IDS, 10)
        begun_s = clock.now_s
        assert "evicted" in keeper.decide(IDS, 5000).reason
        while not keeper.decide(IDS, 5000).warm:
            clock.now_s += 10
        waits.append(clock.now_s - begun_s)
    assert waits == [FIRST_WAIT_S * 2**n for n in range(6)] + [LONGEST_WAIT_S] * 3


def test_a_warm_up_that_was_stopped_may_go_on_at_once_but_not_one_that_lost_its_ground():
    keeper = WarmKeeper(Clock())
    keeper.warmed(IDS, Warmed(300, 0, 300, 1.0, "enough"))
    assert keeper.decide(IDS, 5000).warm
    keeper.warmed(IDS, Warmed(0, 0, 300, 1.0, LET_GO))
    assert not keeper.decide(IDS, 5000).warm


def test_only_so_many_bases_are_remembered():
    keeper = WarmKeeper(Clock())
    for number in range(REMEMBERED + 1):
        keeper.warmed([number], Warmed(1, 0, 1, 1.0, ""))
    assert keeper.decide([0], 10).warm
    assert not keeper.decide([REMEMBERED], 10).warm
