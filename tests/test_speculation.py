"""Speculative decoding on the CPU says what ordinary decoding says, and leaves the engine as it leaves it.

All requests go to one host that verifies every proposal. A request that wants log-probabilities is decoded in ordinary
steps there, so it gives the text to compare with, and by how much each token won.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import random
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
from host_client import connect, flush, idle, steps
from tokenizers import Tokenizer

from engine.cpu.speculation.speculation import Mode, UnsupportedSpeculationError, wanted
from engine.hosting.launcher import ensure_engine, stop_engine
from engine.paths import models_folder
from engine.profiles import SMOLLM
from engine.weights.weights import ensure

pytestmark = pytest.mark.engine

if importlib.util.find_spec("sglang") is None:
    pytest.skip("the embedded engine needs the extra foreword[engine]", allow_module_level=True)

NEAR_TIE = 2e-3
"""Nats by which a token may win in float32 and lose when its row is computed among others, which adds in another
order."""
NEW_TOKENS = 40
POOL_TOKENS = 3000
METHODS = "".join(
    f"    def get_{name}(self) -> int:\n        return self._{name}\n\n"
    for name in ("width", "height", "depth")
)
REPETITIVE = 4 * METHODS + METHODS[: METHODS.index("height")]


@pytest.fixture(scope="module")
def speculating(tmp_path_factory: pytest.TempPathFactory):
    """A host of its own, since the mode is read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOREWORD_MODELS", str(models_folder()))
        patch.setenv("FOREWORD_SPECULATION", "on")
        patch.setenv("FOREWORD_LINEARS", "bf16")  # the weights as they are
        patch.setenv("SGLANG_TEST_RETRACT", "1")  # of several requests one makes room every so many steps
        patch.setenv("SGLANG_TEST_RETRACT_INTERVAL", "9")
        for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        arguments = (
            "--",
            "--dtype",
            "float32",
            "--max-total-tokens",
            str(POOL_TOKENS),
            "--context-length",
            "2500",
        )
        try:
            yield asyncio.run(ensure_engine(SMOLLM, host_arguments=arguments, timeout_s=280))
        finally:
            asyncio.run(stop_engine(SMOLLM.short))


@pytest.fixture
async def client(speculating: Any) -> AsyncGenerator[httpx.AsyncClient]:
    async with connect(speculating) as client:
        yield client


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    """Code that was cut at ordinary places, and one text that repeats itself."""
    tokenizer = Tokenizer.from_file(str(ensure(SMOLLM) / "tokenizer.json"))
    sources = [Path(__file__).read_text(), (Path(__file__).parent / "host_client.py").read_text()]
    tokens = [tokenizer.encode(source).ids for source in sources]
    return [*(each[:cut] for each in tokens for cut in (120, 333)), tokenizer.encode(REPETITIVE).ids]


async def ask(client: httpx.AsyncClient, ids: list[int], **sampling: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "rid": uuid.uuid4().hex,
        "input_ids": ids,
        "sampling_params": {"temperature": 0, "max_new_tokens": NEW_TOKENS, "ignore_eos": True} | sampling,
    }
    return (await client.post("/generate", json=body)).raise_for_status().json()


async def ask_ordinarily(
    client: httpx.AsyncClient, ids: list[int], **sampling: Any
) -> tuple[list[int], list[float]]:
    """Tokens of ordinary decoding, and by how much each won over the second best."""
    body: dict[str, Any] = {
        "rid": uuid.uuid4().hex,
        "input_ids": ids,
        "sampling_params": {"temperature": 0, "max_new_tokens": NEW_TOKENS, "ignore_eos": True} | sampling,
        "return_logprob": True,
        "top_logprobs_num": 2,
    }
    answer = (await client.post("/generate", json=body)).raise_for_status().json()
    assert answer["meta_info"]["spec_num_correct_drafts"] == 0, "this one must not have been speculated"
    margins = [best[0] - second[0] for best, second in answer["meta_info"]["output_top_logprobs"]]
    return answer["output_ids"], margins


def same_up_to_a_tie(ids: list[int], expected: list[int], margins: list[float]) -> bool:
    """Whether they agree to the end; False where they part at a tie, and a failure where they part elsewhere."""
    for at, (one, other, margin) in enumerate(zip(ids, expected, margins, strict=True)):
        if one != other:
            assert margin < NEAR_TIE, f"token {at}: {one} for {other}, which had won by {margin:.3f}"
            return False
    return True


async def test_greedy_text_is_that_of_ordinary_decoding(client: httpx.AsyncClient, prompts: list[list[int]]):
    whole = accepted = 0
    for ids in prompts:
        expected, margins = await ask_ordinarily(client, ids)
        answer = await ask(client, ids)
        assert len(answer["output_ids"]) == NEW_TOKENS
        whole += same_up_to_a_tie(answer["output_ids"], expected, margins)
        accepted += answer["meta_info"]["spec_num_correct_drafts"]
    assert whole >= len(prompts) - 1, "ties are rare"
    assert accepted >= NEW_TOKENS, "there was nothing to compare: hardly a proposal came true"


async def test_several_at_once(client: httpx.AsyncClient, prompts: list[list[int]]):
    """Batches whose requests verify different numbers of rows, beside prompts that are being read and requests that
    make room and are read again."""
    expected = [await ask_ordinarily(client, ids) for ids in prompts]
    await flush(client)
    answers = await asyncio.gather(*(ask(client, ids) for ids in prompts))
    whole = [
        same_up_to_a_tie(answer["output_ids"], ids, margins)
        for answer, (ids, margins) in zip(answers, expected, strict=True)
    ]
    assert sum(whole) >= len(prompts) - 1


async def test_what_is_cached_afterwards_is_right(client: httpx.AsyncClient, prompts: list[list[int]]):
    """The text so far is continued from the cache as it is after reading it anew."""
    for ids in prompts[-3:]:
        await flush(client)
        output = (await ask(client, ids))["output_ids"]
        continued = await ask(client, ids + output)
        # the last token was written but never read
        assert continued["meta_info"]["cached_tokens"] >= len(ids) + len(output) - 1
        await flush(client)
        expected, margins = await ask_ordinarily(client, ids + output)
        same_up_to_a_tie(continued["output_ids"], expected, margins)


@pytest.mark.parametrize("tokens", [1, 2, 3, 7])
async def test_never_more_tokens_than_wanted(
    client: httpx.AsyncClient, prompts: list[list[int]], tokens: int
):
    answer = await ask(client, prompts[-1], max_new_tokens=tokens)
    assert len(answer["output_ids"]) == answer["meta_info"]["completion_tokens"] == tokens
    assert answer["meta_info"]["finish_reason"]["type"] == "length"


async def test_stops_are_heeded_within_a_step(client: httpx.AsyncClient, prompts: list[list[int]]):
    """The text ends at a stop, also where tokens behind it were accepted in the same step."""
    ids = prompts[-1]
    free = await ask(client, ids)
    assert free["meta_info"]["spec_num_correct_drafts"] > NEW_TOKENS // 2
    for stop in ("self", "int:", "\n\n"):
        assert stop in free["text"]
        stopped = await ask(client, ids, stop=[stop])
        assert stopped["text"] == free["text"].split(stop)[0]
        assert stopped["meta_info"]["finish_reason"] == {"type": "stop", "matched": stop}
    wanted_id = free["output_ids"][NEW_TOKENS // 2]
    first = free["output_ids"].index(wanted_id)
    by_id = await ask(client, ids, stop_token_ids=[wanted_id], ignore_eos=False)
    assert by_id["output_ids"] == free["output_ids"][: first + 1]
    assert by_id["meta_info"]["finish_reason"] == {"type": "stop", "matched": wanted_id}


async def test_a_stream_gives_every_token_once(client: httpx.AsyncClient, prompts: list[list[int]]):
    ids = prompts[-1]
    whole = await ask(client, ids)
    body = {
        "rid": uuid.uuid4().hex,
        "input_ids": ids,
        "stream": True,
        "sampling_params": {"temperature": 0, "max_new_tokens": NEW_TOKENS, "ignore_eos": True},
    }
    texts: list[str] = []
    counts: list[int] = []
    async with client.stream("POST", "/generate", json=body) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                texts.append(event["text"])
                counts.append(event["meta_info"]["completion_tokens"])
    assert texts[-1] == whole["text"]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert counts == sorted(counts)
    assert counts[-1] == NEW_TOKENS
    assert len(counts) < NEW_TOKENS, "several tokens came in one step"


@pytest.mark.parametrize(
    "sampling",
    [
        pytest.param({"temperature": 0.8}, id="sampling"),
        pytest.param({"repetition_penalty": 1.3}, id="penalty"),
        pytest.param({"regex": "[a-z ]+"}, id="grammar"),
        pytest.param({"logit_bias": {"100": -5.0}}, id="bias"),
    ],
)
async def test_other_requests_take_ordinary_steps(
    client: httpx.AsyncClient, prompts: list[list[int]], sampling: dict[str, Any]
):
    answer = await ask(client, prompts[-1], max_new_tokens=24, **sampling)
    assert answer["meta_info"]["spec_num_correct_drafts"] == 0
    assert answer["meta_info"]["spec_verify_ct"] == 23, "one step for each token but the first"
    if "regex" in sampling:
        assert set(answer["text"]) <= set("abcdefghijklmnopqrstuvwxyz ")


async def test_fifty_random_requests_leave_the_pool_as_it_was(
    client: httpx.AsyncClient, prompts: list[list[int]]
):
    """Ends, stops and disconnects at random, some while their request has just made room for others."""
    await flush(client)
    before = await steps(client)
    chance = random.Random(11)

    async def one() -> None:
        ids = chance.choice(prompts)[chance.randrange(100) :]
        tokens = chance.randrange(1, 120)
        stop = chance.choice([None, ["\n\n"], ["return"]])
        asking = asyncio.create_task(
            ask(client, ids, max_new_tokens=tokens, **({"stop": stop} if stop else {}))
        )
        if chance.random() < 0.4:
            await asyncio.sleep(chance.random() * 2)
            asking.cancel()
        try:
            await asking
        except asyncio.CancelledError:
            assert asking.cancelled()

    for _ in range(5):
        await asyncio.gather(*(one() for _ in range(10)))
    after = await idle(client)
    assert after["kv_free_tokens"] == before["kv_free_tokens"]
    expected, margins = await ask_ordinarily(client, prompts[-1])
    same_up_to_a_tie((await ask(client, prompts[-1]))["output_ids"], expected, margins)


@pytest.mark.parametrize(("word", "mode"), [("", Mode.AUTO), ("off", Mode.OFF), ("on", Mode.ON)])
def test_the_mode_is_read(monkeypatch: pytest.MonkeyPatch, word: str, mode: Mode):
    monkeypatch.setenv("FOREWORD_SPECULATION", word)
    assert wanted() is mode


def test_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FOREWORD_SPECULATION", "sometimes")
    with pytest.raises(UnsupportedSpeculationError, match="'sometimes'; set it to one of off, on, auto"):
        wanted()
