"""Exact attention by PyTorch's flash kernel: cached prefix and new tokens apart, merged by log-sum-exp.

The way for float32, for head sizes that our own kernels do not know, and for CPUs where it measures faster.

New queries see the cached prefix wholly (not causal) and one another causally. PyTorch's flash kernel for the
CPU returns, beside the output, the log of the sum of exponentials of each row; with it the parts combine to
what one softmax over all keys gives (the identity that FlashAttention and flash-decoding use,
arXiv:2205.14135). So nothing of the prefix is computed again, and no mask is ever built.

Shapes: queries [tokens, query_heads, dim]; keys and values [tokens, kv_heads, dim]; the pool's are
[slots, kv_heads, dim]. Query head h reads KV head h // (query_heads / kv_heads).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from engine.cpu.spans import Span

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


class Part(NamedTuple):
    """Attention of all queries over some of the keys."""

    output: torch.Tensor
    """[kv_heads, group, tokens, dim], normalised within the part."""
    lse: torch.Tensor
    """[kv_heads, group, tokens], float32: the log-sum-exp of the part's scores."""


def over_cached(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float) -> Part:
    """Attend to keys that every query may see.

    The query heads of one KV head are folded into the query length, so K and V are read once per KV head and
    never repeated.
    """
    kv_heads, group, tokens, dim = query.shape
    output, lse = _flash(
        query.reshape(1, kv_heads, group * tokens, dim),
        keys.movedim(0, 1).unsqueeze(0),
        values.movedim(0, 1).unsqueeze(0),
        0.0,
        False,
        scale=scale,
    )
    return Part(output.view(kv_heads, group, tokens, dim), lse.view(kv_heads, group, tokens))


def over_new(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float) -> Part:
    """Attend causally among the new tokens; each KV head is a batch row whose keys all its query heads
    share."""
    kv_heads, group, tokens, dim = query.shape
    output, lse = _flash(
        query,
        keys.movedim(0, 1).unsqueeze(1).expand(kv_heads, group, tokens, dim),
        values.movedim(0, 1).unsqueeze(1).expand(kv_heads, group, tokens, dim),
        0.0,
        True,
        scale=scale,
    )
    return Part(output, lse)


def merge(parts: Sequence[Part]) -> torch.Tensor:
    """Combine parts over disjoint keys into attention over all of them: [kv_heads, group, tokens, dim]."""
    if len(parts) == 1:
        return parts[0].output
    lse = torch.stack([part.lse for part in parts])
    weights = torch.softmax(lse, dim=0).unsqueeze(-1)
    merged = weights[0] * parts[0].output
    for weight, part in zip(weights[1:], parts[1:], strict=True):
        merged.addcmul_(weight, part.output.to(merged.dtype))
    return merged.to(parts[0].output.dtype)


def attend(
    query: torch.Tensor,
    pool_keys: torch.Tensor,
    pool_values: torch.Tensor,
    cached: Sequence[Span],
    new: tuple[torch.Tensor, torch.Tensor] | None,
    scale: float,
) -> torch.Tensor:
    """One request's attention: [tokens, query_heads, dim] over `cached` rows of the pool and its `new` (K, V).

    `new` may be left out where its rows are among `cached` and may see all of it, as the one of a decode step.
    """
    tokens, query_heads, dim = query.shape
    kv_heads = pool_keys.shape[1]
    grouped = query.view(tokens, kv_heads, query_heads // kv_heads, dim).permute(1, 2, 0, 3)
    parts = [over_cached(grouped, pool_keys[span], pool_values[span], scale) for span in cached]
    if new is not None:
        parts.append(over_new(grouped, *new, scale))
    return merge(parts).permute(2, 0, 1, 3).reshape(tokens, query_heads, dim)
