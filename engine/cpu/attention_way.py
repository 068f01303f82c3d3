"""Which way computes extends on this machine: our kernels, or PyTorch's flash kernel where it is faster (AMX)."""

from __future__ import annotations

from enum import Enum

import torch

from engine.cpu.attention import Heads, Request, Runner, plan
from engine.cpu.attention_flash import attend
from engine.cpu.threads import quickest

TRIAL_TOKENS = 64
TRIAL_CACHED = 1024
"""An extend of a size that is met daily and takes some milliseconds by either way."""
CLEARLY = 0.8
"""Flash must take less than this share of our kernels' time: the choice is for the life of the host, and a trial on a
machine that does other work is off by a tenth."""


class Way(Enum):
    """How extends are computed that our kernels know (`engine.cpu.attention.fits`). Decodes that they know they always
    compute; what they do not know goes to flash, decodes too."""

    KERNELS = "kernels"
    FLASH = "flash"


def quickest_way(heads: Heads, runner: Runner) -> Way:
    """Measure both, some 50 ms, at the number of threads that is set."""
    torch_seed = torch.Generator().manual_seed(0)

    def some(rows: int, count: int) -> torch.Tensor:
        return torch.randn(rows, count, heads.dim, generator=torch_seed).to(torch.bfloat16)

    query, out = some(TRIAL_TOKENS, heads.query), some(TRIAL_TOKENS, heads.query)
    length = TRIAL_CACHED + TRIAL_TOKENS
    keys, values = some(length, heads.kv), some(length, heads.kv)
    slots = torch.arange(length, dtype=torch.int32)
    threads = min(runner.threads, torch.get_num_threads())
    planned = plan([Request(slots.data_ptr(), TRIAL_TOKENS, length)], heads, threads)
    new = keys[TRIAL_CACHED:], values[TRIAL_CACHED:]
    ours_s, flash_s = quickest(
        lambda: runner(planned, query, keys, values, 1.0, out),
        lambda: attend(query, keys, values, [slice(0, TRIAL_CACHED)], new, 1.0),
    )
    return better(ours_s, flash_s)


def better(ours_s: float, flash_s: float) -> Way:
    """Of two measured times."""
    return Way.FLASH if flash_s < CLEARLY * ours_s else Way.KERNELS
