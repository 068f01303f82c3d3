"""Every architecture that the CPU plug-in promises, really run as a tiny random model, against transformers."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tiny_models import CONTEXT, TINY_SHAPES, VOCABULARY, config_of, make_tiny, write_config

from engine.endpoints.client import EngineRequestError, Sampling, SGLangEndpoint, collect
from engine.hosting.launcher import EngineError, ensure_engine, stop_engine
from engine.models.yarn import override_arguments
from engine.paths import models_folder
from engine.profiles import SMOLLM
from engine.prompts import Prompt
from engine.weights.weights import ensure

# A start takes 25 s on an idle machine, and minutes on a busy one.
pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

if importlib.util.find_spec("sglang") is None:
    pytest.skip("the embedded engine needs the extra foreword[engine]", allow_module_level=True)

NEW_TOKENS = 12
NEAR_TIE = 2e-3
"""Two orders of summation in float32 may rank logits differently that are closer than this."""
EIGHT_BITS = 0.12
"""Nats by which a token's log-probability may be off on average where weights and activations have 8 bits."""
START_TIMEOUT_S = 400
EXTENSION = 2


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hosts of these tests are found by nobody else; decoding is exact and one token at a time."""
    monkeypatch.setenv("FOREWORD_MODELS", str(models_folder()))
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        (tmp_path / name).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("FOREWORD_LINEARS", "bf16")
    monkeypatch.setenv("FOREWORD_SPECULATION", "off")
    return tmp_path


@asynccontextmanager
async def host_of(
    folder: Path, *sglang: str, options: tuple[str, ...] = (), dtype: str = "float32"
) -> AsyncIterator[httpx.AsyncClient]:
    """A host of the model in `folder`, with options of its own and arguments for SGLang."""
    arguments = ("--folder", str(folder), *options, "--", "--dtype", dtype, *sglang)
    try:
        info = await ensure_engine(SMOLLM, host_arguments=arguments, timeout_s=START_TIMEOUT_S)
        key = {"Authorization": f"Bearer {info.key}"}
        async with httpx.AsyncClient(base_url=info.url, headers=key, timeout=120, trust_env=False) as client:
            yield client
    finally:
        await stop_engine(SMOLLM.short)


async def greedy(client: httpx.AsyncClient, prompt: list[int]) -> tuple[list[int], int]:
    """The new tokens, and how many of the prompt came from the cache."""
    sampling = {"temperature": 0, "max_new_tokens": NEW_TOKENS, "ignore_eos": True}
    body = {"rid": uuid.uuid4().hex, "input_ids": prompt, "sampling_params": sampling}
    answer = (await client.post("/generate", json=body)).raise_for_status().json()
    return answer["output_ids"], answer["meta_info"]["cached_tokens"]


async def refuses_what_has_no_room(client: httpx.AsyncClient, tokens: int) -> None:
    """A prompt larger than window and KV pool is refused in words that the client hands on."""
    key = client.headers["Authorization"].removeprefix("Bearer ")
    endpoint = SGLangEndpoint(str(client.base_url), key, model="tiny", context_tokens=10 * tokens)
    prompt = Prompt([11] * tokens, "", "", "", "", 0, tokens)
    with pytest.raises(EngineRequestError, match=rf"{tokens} tokens.*longer than the model's context length"):
        await collect(endpoint, prompt, Sampling(1))
    await endpoint.close()


def shortfalls(folder: Path, prompt: list[int], output: list[int], overrides: dict[str, Any]) -> list[float]:
    """By how much transformers prefers another token at each step, given the steps before: 0 where it agrees."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, **overrides)
    model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(torch.tensor([prompt + output])).logits[0, len(prompt) - 1 : -1]
    chosen = logits.gather(1, torch.tensor(output)[:, None])[:, 0]
    return (logits.max(dim=1).values - chosen).tolist()


@pytest.mark.parametrize(
    ("name", "prompt_tokens", "extended"),
    [
        ("llama", 300, False),
        ("qwen2", 300, False),
        ("qwen3", 300, False),
        ("qwen3-moe", CONTEXT + 200, True),  # past its own window, with YaRN
    ],
)
async def test_greedy_tokens_are_those_of_transformers(
    name: str, prompt_tokens: int, extended: bool, own_home: Path
):
    folder = make_tiny(name, own_home / "model", ensure(SMOLLM))
    sglang, overrides = [], {}
    if extended:
        window = EXTENSION * CONTEXT
        profile = msgspec.structs.replace(
            SMOLLM, context_native=CONTEXT, context_extended=window, shape=TINY_SHAPES[name]
        )
        override = override_arguments(profile, window)
        sglang = [*override, "--context-length", str(window), "--max-total-tokens", str(2 * window)]
        overrides = json.loads(override[1])
    prompt = random.Random(name).choices(range(10, VOCABULARY), k=prompt_tokens)
    async with host_of(folder, *sglang) as client:
        output, cached = await greedy(client, prompt)
        assert len(output) == NEW_TOKENS
        assert cached == 0
        again, cached = await greedy(client, prompt)
        assert cached == len(prompt) - 1, "all but the last token, whose logits are wanted"
        assert again == output
        continued, cached = await greedy(client, prompt + output)
        assert cached >= len(prompt) + len(output) - 1
        await refuses_what_has_no_room(client, 2 * len(prompt) + 2 * EXTENSION * CONTEXT)
        assert (await greedy(client, prompt))[0] == output, "and goes on with its work"
    prefers = await asyncio.to_thread(shortfalls, folder, prompt, output, overrides)
    assert max(prefers) < NEAR_TIE, prefers
    prefers = await asyncio.to_thread(shortfalls, folder, prompt + output, continued, overrides)
    assert max(prefers) < NEAR_TIE, prefers
    if extended:  # without it the model would have said something else
        assert max(await asyncio.to_thread(shortfalls, folder, prompt, output, {})) > NEAR_TIE


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"use_sliding_window": True, "sliding_window": 512}, "slides over a window of 512 tokens"),
        (
            {
                "architectures": ["Qwen3NextForCausalLM"],
                "model_type": "qwen3_next",
                "full_attention_interval": 4,
            },
            "linear attention takes Triton kernels, and those need a GPU",
        ),
    ],
)
async def test_what_the_plug_in_cannot_run_is_refused_at_start(
    changes: dict[str, Any], said: str, own_home: Path
):
    folder = write_config(own_home / "model", config_of(TINY_SHAPES["qwen3"], CONTEXT) | changes)
    (folder / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(EngineError, match=rf"{said}\. Choose a model with full causal attention"):
        async with host_of(folder):
            pass


async def test_a_window_larger_than_the_models_is_refused_at_start(own_home: Path):
    folder = write_config(own_home / "model", config_of(TINY_SHAPES["llama"], CONTEXT))
    (folder / "model.safetensors").write_bytes(b"never read")
    said = r"A window of 2,049 tokens is larger than that of smollm2-135m, which is 2,048.*Configure at most that"
    with pytest.raises(EngineError, match=said):
        async with host_of(folder, options=("--window", str(CONTEXT + 1))):
            pass


async def prompt_log_probabilities(client: httpx.AsyncClient, ids: list[int], start: int) -> list[float]:
    """Of the tokens after `start`; those before it come from the cache where it has them."""
    body = {
        "rid": uuid.uuid4().hex,
        "input_ids": ids,
        "sampling_params": {"temperature": 0, "max_new_tokens": 1},
        "return_logprob": True,
        "logprob_start_len": start,
    }
    answer = (await client.post("/generate", json=body)).raise_for_status().json()
    return [entry[0] for entry in answer["meta_info"]["input_token_logprobs"] if entry[0] is not None]


def true_log_probabilities(folder: Path, ids: list[int]) -> list[float]:
    """Of every token but the first, by transformers in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    return logits.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()


def mean_difference(found: list[float], true: list[float]) -> float:
    return sum(abs(one - other) for one, other in zip(found, true, strict=True)) / len(true)


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("threads", ["1", "2"])
async def test_what_ships_is_near_to_transformers(name: str, threads: str, own_home: Path, monkeypatch):
    """The lean forward pass in 8 bits and bf16 attention: a cold prompt, a cached one, and single rows."""
    monkeypatch.setenv("FOREWORD_LINEARS", "int8")
    monkeypatch.setenv("FOREWORD_THREADS", threads)
    folder = make_tiny(name, own_home / "model", ensure(SMOLLM), dtype="bfloat16")
    ids = random.Random(name).choices(range(10, VOCABULARY), k=300)
    true = await asyncio.to_thread(true_log_probabilities, folder, ids)
    shuffled = await asyncio.to_thread(true_log_probabilities, folder, [*ids[150:], *ids[:150]])
    assert mean_difference(shuffled[:100], true[:100]) > 10 * EIGHT_BITS, "a wrong order would be noticed"
    async with host_of(folder, dtype="bfloat16") as client:
        assert (await client.get("/foreword/host")).json()["linears"] == "int8"
        cold = await prompt_log_probabilities(client, ids, 0)
        assert mean_difference(cold, true) < EIGHT_BITS
        cached = await prompt_log_probabilities(client, ids, 280)
        assert mean_difference(cached, true[280:]) < EIGHT_BITS
        single = [(await prompt_log_probabilities(client, ids[: at + 2], at))[-1] for at in range(200, 240)]
        assert mean_difference(single, true[200:240]) < EIGHT_BITS
