"""Where a request's cached tokens lie in the KV pool, as few slices as possible and one gather for the
rest."""

from __future__ import annotations

import torch

MIN_SLICE_TOKENS = 64
"""A run of consecutive slots shorter than this costs more as a product of its own than as rows of a
gather."""

Span = slice | torch.Tensor
"""Rows of the pool: a slice where slots are consecutive, else an int64 tensor of slots."""


def spans_of(slots: torch.Tensor) -> list[Span]:
    """Cover `slots` ([tokens], any integer type, each slot once) by slices and at most one tensor of slots.

    The order of tokens is not kept: attention that is not causal does not depend on the order of its keys.
    """
    tokens = slots.numel()
    if tokens == 0:
        return []
    if tokens == 1:
        slot = int(slots[0])
        return [slice(slot, slot + 1)]
    breaks = (torch.nonzero(slots[1:] - slots[:-1] != 1).flatten() + 1).tolist()
    starts = [0, *breaks]
    ends = [*breaks, tokens]
    slices: list[Span] = []
    scattered: list[torch.Tensor] = []
    for start, end in zip(starts, ends, strict=True):
        if end - start >= MIN_SLICE_TOKENS or len(starts) == 1:
            first = int(slots[start])
            slices.append(slice(first, first + end - start))
        else:
            scattered.append(slots[start:end])
    if scattered:
        slices.append(torch.cat(scattered).to(torch.int64))
    return slices
