"""What 8-bit linear layers cost: perplexity on fixed source files, held against the weights as they are."""

from __future__ import annotations

import asyncio
import importlib.util

import pytest
from host_client import connect, idle

from benchmarks.engine import perplexity
from benchmarks.engine.texts import Texts
from engine.hosting.launcher import ensure_engine, stop_engine
from engine.paths import models_folder
from engine.profiles import PROFILES, QWEN_SMALL, SMOLLM
from engine.tokens import ModelTokenizer
from engine.weights.weights import ensure_tokenizer

pytestmark = [pytest.mark.engine, pytest.mark.slow]

if importlib.util.find_spec("sglang") is None:
    pytest.skip("the embedded engine needs the extra foreword[engine]", allow_module_level=True)

WINDOW_TOKENS = 512
WINDOWS = 8
ALLOWED = 1.01
"""At most this many times the perplexity of the weights as they are."""


def measured(profile, linears, tmp_path_factory):
    """Perplexity of one host over the same windows, and what the host says of its linear layers."""
    windows = Texts(profile, ModelTokenizer.from_file(ensure_tokenizer(profile))).windows(
        WINDOW_TOKENS, WINDOWS
    )

    async def ask_all(info):
        async with connect(info) as client:

            async def ask(body):
                return (await client.post("/generate", json=body)).raise_for_status().json()

            found = await perplexity.of_prompts(ask, windows)
            await idle(client)
            return found, (await client.get("/foreword/host")).json()["linears"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOREWORD_MODELS", str(models_folder()))
        patch.setenv("FOREWORD_LINEARS", linears)
        for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        try:
            return asyncio.run(ask_all(asyncio.run(ensure_engine(profile, timeout_s=280))))
        finally:
            asyncio.run(stop_engine(profile.short))


@pytest.mark.timeout(600)
def test_eight_bits_cost_less_than_a_hundredth(tmp_path_factory):
    whole, said_of_whole = measured(QWEN_SMALL, "bf16", tmp_path_factory)
    narrow, said_of_narrow = measured(QWEN_SMALL, "auto", tmp_path_factory)
    assert (said_of_whole, said_of_narrow) == ("bf16", "int8")
    print(f"perplexity {whole:.4f} in bf16, {narrow:.4f} in 8 bits ({narrow / whole - 1:+.2%})")
    assert narrow <= ALLOWED * whole


@pytest.mark.timeout(600)
def test_a_model_that_does_not_bear_them_keeps_its_weights(tmp_path_factory):
    whole, said = measured(SMOLLM, "auto", tmp_path_factory)
    narrow, said_of_narrow = measured(SMOLLM, "int8", tmp_path_factory)
    assert (said, said_of_narrow) == ("bf16", "int8")
    print(f"perplexity {whole:.4f} in bf16, {narrow:.4f} in 8 bits ({narrow / whole - 1:+.2%})")
    assert narrow > ALLOWED * whole, "it bears them now: say so in its profile"


def test_only_measured_models_have_them():
    assert [profile.short for profile in PROFILES.values() if profile.eight_bits] == [QWEN_SMALL.short]
