"""Perplexity of an engine host over given ids, from SGLang's own log-probabilities of a prompt's tokens."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends one body to the host's `/generate`, without streaming."""

FEW_ROWS = 4
"""Linear kernels are chosen by the number of rows: this many are what a decoded token, or some proposed ones
that are verified, go through."""


async def of_prompts(ask: Ask, windows: list[list[int]]) -> float:
    """Each window as one prompt: what pre-fill computes."""
    known = [value for ids in windows for value in await log_probabilities(ask, ids, 0)]
    return math.exp(-sum(known) / len(known))


async def of_few_rows(ask: Ask, windows: list[list[int]]) -> float:
    """The same, with FEW_ROWS tokens computed at a time and all before them cached: what decoding computes.

    SGLang takes no cached prefix beyond the place from which log-probabilities are wanted, and tells none of the
    token at that place itself; so each request computes that one again.
    """
    known: list[float] = []
    for ids in windows:
        for start in range(0, len(ids) - 1, FEW_ROWS - 1):
            known += await log_probabilities(ask, ids[: start + FEW_ROWS], start)
    return math.exp(-sum(known) / len(known))


async def log_probabilities(ask: Ask, ids: list[int], start: int) -> list[float]:
    """Of the tokens behind `start`; those up to it may come from the cache."""
    answer = await ask(
        {
            "input_ids": ids,
            "sampling_params": {"temperature": 0, "max_new_tokens": 1},
            "return_logprob": True,
            "logprob_start_len": start,
        }
    )
    told: list[Any] = answer["meta_info"]["input_token_logprobs"]
    return [float(entry[0]) for entry in told if entry[0] is not None]
