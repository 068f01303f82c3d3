"""Which way computes extends on this machine: our kernels, or PyTorch's flash kernel where it is faster (AMX)."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum

import torch

from engine.cpu.attention import Heads, Request, Runner, plan
from engine.cpu.attention_flash import attend

TRIAL_TOKENS = 64
TRIAL_CACHED = 1024
"""An extend of a size that is met daily and takes some milliseconds by either way."""
TRIALS = 5
"""The quickest counts: others may use the cores at the same time."""


class Way(Enum):
    """How extends are computed; decodes are always computed by our kernels."""

    KERNELS = "kernels"
    FLASH = "flash"


def quickest_way(heads: Heads, runner: Runner) -> Way:
    """Measure both once, some 50 ms."""
    torch_seed = torch.Generator().manual_seed(0)

    def some(rows: int, count: int) -> torch.Tensor:
        return torch.randn(rows, count, heads.dim, generator=torch_seed).to(torch.bfloat16)

    query, out = some(TRIAL_TOKENS, heads.query), some(TRIAL_TOKENS, heads.query)
    length = TRIAL_CACHED + TRIAL_TOKENS
    keys, values = some(length, heads.kv), some(length, heads.kv)
    slots = torch.arange(length, dtype=torch.int32)
    planned = plan([Request(slots.data_ptr(), TRIAL_TOKENS, length)], heads, runner.threads)
    new = keys[TRIAL_CACHED:], values[TRIAL_CACHED:]
    ours = _quickest(lambda: runner(planned, query, keys, values, 1.0, out))
    flash = _quickest(lambda: attend(query, keys, values, [slice(0, TRIAL_CACHED)], new, 1.0))
    return Way.KERNELS if ours <= flash else Way.FLASH


def _quickest(run: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(TRIALS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
