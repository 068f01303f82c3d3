"""The rows that are about time and company: aborts, two requests at once, an interactive request beside a warm-up."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from contextlib import aclosing
from typing import Literal

from benchmarks.engine.figures import OURS
from benchmarks.engine.hosted import Hosted, prompt_of
from benchmarks.engine.llamacpp import LlamaCpp
from benchmarks.engine.rows import Sizes, label
from benchmarks.engine.texts import Texts
from benchmarks.results import Results
from benchmarks.targets import Say, TargetError
from engine.endpoints.client import EngineRequestError, Sampling
from engine.endpoints.endpoint import Priority
from engine.hosting.steps import Steps
from engine.scheduler.warm import warm

Moment = Literal["prefill", "decode"]

POLL_S = 0.005
"""How often the step page is read after an abort: a step of the default model takes ten times as long or more."""
IDLE_TIMEOUT_S = 120.0
PREFILL_TOKENS = 2048
"""Of a prompt that is aborted while it is read: several steps with any size of step."""
DELAY_SHARE = 0.4
"""Of the time that such a prompt takes: an abort in pre-fill comes at a random moment of this share after the
first step was seen."""
DECODED_BEFORE_ABORT = 3
DECODE_LIMIT = 2000
TRIES = 5
"""A prompt whose answer ends before it can be aborted is replaced by another one, so often at most."""
PAIR_TOKENS = 16
SEED = 20_250
"""Of the random moments, so that two runs abort at the same ones."""
WARM_SLICE_TOKENS = 128
WARM_SHARE = 0.8
"""An interactive request comes within this share of the time that the warm-up alone would take."""


async def until_idle(host: Hosted) -> Steps:
    deadline = time.monotonic() + IDLE_TIMEOUT_S
    while True:
        now = await host.steps()
        if now.running == 0:
            return now
        if time.monotonic() > deadline:
            raise TargetError(f"{host.name}: still {now.running} requests after {IDLE_TIMEOUT_S:.0f} s")
        await asyncio.sleep(POLL_S)


async def aborted(host: Hosted, ids: list[int], moment: Moment, delay_s: float) -> tuple[int, float] | None:
    """Scheduler steps from an abort's arrival until idle, and seconds from the cancellation until that was seen.

    None where the answer was complete before it could be aborted. Cancelled as the product does it: the task
    that reads the stream is.
    """
    before = await until_idle(host)
    endpoint = host.connect()
    seen = asyncio.Event()

    async def consume() -> None:
        async with aclosing(endpoint.generate(prompt_of(ids), Sampling(DECODE_LIMIT))) as chunks:
            async for chunk in chunks:
                if chunk.completion_tokens >= DECODED_BEFORE_ABORT:
                    seen.set()

    task = asyncio.create_task(consume())
    try:
        if moment == "prefill":
            await _until_stepped(host, before.steps, task)
            await asyncio.sleep(delay_s)
        else:
            waiting = asyncio.create_task(seen.wait())
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        if task.done() or (moment == "prefill" and seen.is_set()):
            return None
        began = time.monotonic()
        task.cancel()
        return await _until_aborted(host, before, began)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, EngineRequestError):
            await task
        await endpoint.close()  # waits for aborts that it sends again, lest they count as the next one's


async def _until_stepped(host: Hosted, steps: int, task: asyncio.Task[None]) -> None:
    """Until a further forward pass is over, or the task is."""
    while (await host.steps()).steps <= steps:
        if task.done():
            return
        await asyncio.sleep(POLL_S)


async def _until_aborted(host: Hosted, before: Steps, began: float) -> tuple[int, float]:
    arrived: int | None = None
    deadline = began + IDLE_TIMEOUT_S
    while time.monotonic() < deadline:
        now = await host.steps()
        if now.aborts > before.aborts:
            arrived = now.last_abort_arrival_step if arrived is None else arrived
            if now.idle_step >= 0 and now.running == 0:
                return now.idle_step - arrived, time.monotonic() - began
        await asyncio.sleep(POLL_S)
    raise TargetError(f"{host.name}: not idle {IDLE_TIMEOUT_S:.0f} s after an abort")


async def aborts(
    hosts: list[Hosted], texts: Texts, sizes: Sizes, count: int, results: Results, say: Say
) -> dict[str, list[float]]:
    """`count` aborts in pre-fill and in decode of each host, in turn; the steps of each host."""
    chance = random.Random(SEED)
    steps: dict[str, list[float]] = {}
    moments: tuple[Moment, ...] = ("prefill", "decode")
    for host in hosts:
        found: dict[Moment, list[tuple[int, float]]] = {"prefill": [], "decode": []}
        try:
            cold = await host.read(texts.cold(PREFILL_TOKENS, count))
            for at in range(count):
                for moment in moments:
                    length = PREFILL_TOKENS if moment == "prefill" else sizes.short
                    latest_s = DELAY_SHARE * cold.ttft_s
                    found[moment].append(await _one(host, texts, length, at, moment, latest_s, chance))
        except TargetError as error:
            results.failed(host.name, "abort", error)
            continue
        for moment, each in found.items():
            results.add(
                f"abort_{moment}", host.name, [seconds for _, seconds in each], host.settings("abort")
            )
        steps[host.name] = [float(number) for each in found.values() for number, _ in each]
        say(f"aborts: {host.name}: at most {max(steps[host.name]):.0f} steps")
    return steps


async def _one(
    host: Hosted, texts: Texts, length: int, at: int, moment: Moment, latest_s: float, chance: random.Random
) -> tuple[int, float]:
    for further in range(TRIES):
        delay_s = chance.uniform(0.0, latest_s) / (further + 1)
        done = await aborted(host, texts.cold(length, at + further), moment, delay_s)
        if done is not None:
            return done
    raise TargetError(f"{host.name}: {TRIES} answers in a row were complete before their abort in {moment}")


async def two_at_once(
    hosts: list[Hosted],
    llamacpp: LlamaCpp | None,
    texts: Texts,
    sizes: Sizes,
    runs: int,
    results: Results,
    say: Say,
) -> None:
    """Seconds until two requests that come at the same time have both got their tokens."""
    row = f"two_at_once_{sizes.interactive}_plus_{sizes.new}"
    bases = [texts.base(sizes.interactive), texts.cold(sizes.interactive, 5)]
    values: dict[str, list[float]] = {}
    for at in range(runs):
        news = [texts.fresh(sizes.new, 60 + 2 * at), texts.fresh(sizes.new, 61 + 2 * at)]
        for host in hosts:
            try:
                if at == 0:
                    for base in bases:
                        await host.read(base)
                began = time.monotonic()
                await asyncio.gather(
                    *(host.decode([*base, *new], PAIR_TOKENS) for base, new in zip(bases, news, strict=True))
                )
                values.setdefault(host.name, []).append(time.monotonic() - began)
            except TargetError as error:
                results.failed(host.name, row, error)
        if llamacpp is not None:
            try:
                seconds = await llamacpp.pair(bases, news, PAIR_TOKENS, f"decode_{label(sizes.middle)}")
                values.setdefault(llamacpp.name, []).append(seconds)
            except TargetError as error:
                results.failed(llamacpp.name, row, error)
    for name, each in values.items():
        results.add(row, name, each, f"{PAIR_TOKENS} tokens each")
    say(f"{row}: " + ", ".join(f"{name} {min(each):.2f} s" for name, each in values.items()))


async def beside_warm_up(
    host: Hosted, texts: Texts, sizes: Sizes, runs: int, cold_s: float, results: Results, say: Say
) -> None:
    """Time to the first token of an interactive request, alone and at a random moment of a background warm-up."""
    chance = random.Random(SEED)
    base = texts.fresh(sizes.interactive, 3)
    alone: list[float] = []
    beside: list[float] = []
    try:
        await host.read(base)
        for at in range(runs):
            new = [texts.cold(sizes.new, 9 + at) for _ in range(2)]
            alone.append((await host.read([*base, *new[0]], priority=Priority.COMPLETION)).ttft_s)
            task = asyncio.create_task(
                warm(host.endpoint, texts.cold(sizes.large, at + 1), slice_tokens=WARM_SLICE_TOKENS)
            )
            try:
                await asyncio.sleep(chance.uniform(0.0, WARM_SHARE * cold_s))
                beside.append((await host.read([*base, *new[1]], priority=Priority.COMPLETION)).ttft_s)
                if task.done():
                    raise TargetError(
                        f"{host.name}: the warm-up was over ({task.result()}) before the request came"
                    )
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                await until_idle(host)
    except (TargetError, EngineRequestError) as error:
        results.failed(OURS, "interactive_beside_warmup", error)
        return
    results.add("interactive_alone", host.name, alone, host.settings("interactive"))
    results.add("interactive_beside_warmup", host.name, beside, host.settings("interactive"))
    say(f"beside a warm-up: alone {min(alone):.3f} s, beside it {max(beside):.3f} s at most")
