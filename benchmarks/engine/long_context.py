"""How soon a prompt of 262,144 cached tokens has its first token: client, HTTP and radix match, on a tiny model."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.engine.figures import OURS
from benchmarks.engine.hosted import Hosted
from benchmarks.engine.tiny_moe import CHUNK_TOKENS, LAST_ID, LONG_PROMPT_TOKENS, SPECIAL
from benchmarks.figures import Figure, summary
from benchmarks.targets import Say, TargetError, end
from engine.profiles import find
from engine.tied import tied

SERVED_AS = "smollm2-135m"
"""The profile under whose name the tiny model is served; its sizes come from the model's own folder."""
BUILD = "import sys, pathlib; from benchmarks.engine.tiny_moe import build; build(pathlib.Path(sys.argv[1]))"
"""Run in a child: this process loads no torch."""
CACHED_SHARE = 0.999
"""Of the prompt that the second request has to find cached, else it measures something else."""
SEED = 256
MODEL = "tiny Qwen3-MoE, random weights"


async def long_cached(scratch: Path, runs: int, say: Say) -> list[Figure]:
    """Read the prompt once (minutes), then ask again and again. Raises TargetError."""
    folder = scratch / "tiny-moe"
    await _build(folder)
    host = Hosted(
        f"{OURS}-long",
        find(SERVED_AS),
        scratch,
        arguments=("--chunked-prefill-size", str(CHUNK_TOKENS)),
        host_options=("--folder", str(folder)),
    )
    chance = random.Random(SEED)
    ids = [chance.randint(len(SPECIAL), LAST_ID) for _ in range(LONG_PROMPT_TOKENS)]
    try:
        await host.start()
        say(f"reading {LONG_PROMPT_TOKENS:,} tokens with a tiny model: up to five minutes")
        cold = await host.read(ids)
        say(f"read in {cold.ttft_s:.0f} s")
        warm: list[float] = []
        encode: list[float] = []
        for _ in range(runs):
            reading = await host.read(ids)
            if reading.cached_tokens < CACHED_SHARE * len(ids):
                raise TargetError(
                    f"{host.name}: only {reading.cached_tokens:,} of {len(ids):,} tokens were cached"
                )
            warm.append(reading.ttft_s)
            began = time.monotonic()
            msgspec.json.encode(ids)
            encode.append(time.monotonic() - began)
    finally:
        await host.close()
    return [
        summary("ttft_256k_cached_s", warm, "s", f"{MODEL}, at least {CACHED_SHARE:.1%} cached"),
        summary("client_encode_256k_s", encode, "s", "JSON of the ids, a part of the figure above"),
        summary("cold_ttft_256k_s", [cold.ttft_s], "s", MODEL),
    ]


async def _build(folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *tied([sys.executable, "-I", "-c", BUILD, str(folder)]),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = await process.communicate()
    finally:
        await end(process)
    if process.returncode != 0:
        raise TargetError(f"the tiny model could not be written: {said.decode(errors='replace')[-500:]}")
