"""Layers that stay in bfloat16, on processors that have no products of it: many rows are multiplied in float32.

PyTorch goes through bfloat16 number by number there: 19 thousand million operations a second on one thread of an EPYC
with AVX2 alone, where its float32 does 120 and a weight is widened in less time than 16 rows take (benchmarks/LOG.md).
Weights stay as they are; a piece of one is widened at a time. Sums are in float32, rounded once at the end.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

from engine.cpu.compiled.vectors import FLOAT
from engine.cpu.threads import quickest

LEAST_ROWS = 16
"""From here on widening the weights costs less than it saves."""
PIECE_BYTES = 4 << 20
"""Of a widened weight: a larger one leaves the caches before it is read."""
TRIAL_ROWS, TRIAL_WIDTH = 64, 1024
WORTH = 0.5
"""Share of bfloat16's time that float32 may take: on a processor with products of bfloat16 it takes longer."""


def multiply_widened(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x [..., inputs] @ weight.T [inputs, outputs] + bias; few rows, and other numbers than bfloat16, by PyTorch."""
    outputs, inputs = weight.shape
    rows = x.reshape(-1, inputs)
    if len(rows) < LEAST_ROWS or weight.dtype != torch.bfloat16 or x.dtype != torch.bfloat16:
        return linear(x, weight, bias)
    wide = rows.float()
    out = torch.empty(len(rows), outputs, dtype=x.dtype)
    step = max(1, PIECE_BYTES // (inputs * FLOAT))
    for start in range(0, outputs, step):
        piece = slice(start, start + step)
        own = None if bias is None else bias[piece].float()
        out[:, piece] = linear(wide, weight[piece].float(), own)
    return out.reshape(*x.shape[:-1], outputs)


def is_worth_it() -> bool:
    """Whether many rows take less than half of the time in float32 on this processor."""
    weight = torch.randn(TRIAL_WIDTH, TRIAL_WIDTH, generator=torch.Generator().manual_seed(0)).bfloat16()
    rows = torch.ones(TRIAL_ROWS, TRIAL_WIDTH, dtype=torch.bfloat16)
    wide, narrow = quickest(lambda: multiply_widened(rows, weight), lambda: linear(rows, weight))
    return wide < WORTH * narrow


def widen(model: torch.nn.Module) -> int:
    """Have the layers of `model` that SGLang would multiply in bfloat16 multiply so; returns how many there are."""
    layers: list[Any] = [
        layer for layer in model.modules() if getattr(layer, "quant_method", None) is not None
    ]
    if not layers:
        return 0
    from sglang.srt.layers.quantization.unquant import UnquantizedEmbeddingMethod, UnquantizedLinearMethod

    class Widened(UnquantizedLinearMethod):
        """SGLang's own method for layers without quantization, but for the product."""

        def apply(self, layer: Any, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
            return multiply_widened(x, layer.weight, bias)

    class WidenedHead(UnquantizedEmbeddingMethod):
        """The same of an output layer, which may be the embedding too. A token takes one row, log probabilities of a
        prompt take one for each of its tokens. SGLang asks methods of another name than its own for logits."""

        def apply(self, layer: Any, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
            return multiply_widened(x, layer.weight, bias)

    methods: dict[type, Any] = {
        UnquantizedLinearMethod: Widened(),
        UnquantizedEmbeddingMethod: WidenedHead(),
    }
    plain = [
        layer
        for layer in layers
        if type(layer.quant_method) in methods and layer.weight.dtype == torch.bfloat16
    ]
    for layer in plain:
        layer.quant_method = methods[type(layer.quant_method)]
    return len(plain)
