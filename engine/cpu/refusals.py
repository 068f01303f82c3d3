"""What our attention does not compute: refused in words, where it would otherwise be computed wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from sglang.srt.layers.radix_attention import AttentionType

TYPES = (torch.bfloat16, torch.float32, torch.float16)
"""Of K and V in the pool: what the kernels know, and what PyTorch's flash kernel knows."""


class UnsupportedLayerError(NotImplementedError):
    """A layer wants attention that this backend does not compute."""


class UnsupportedPoolError(NotImplementedError):
    """The KV pool keeps K and V in a type that this backend does not read."""


def refuse_unsupported(layer: Any) -> None:
    """Refuse what would otherwise be computed wrongly: windows, caps, encoders and split head sizes."""
    window = layer.sliding_window_size
    wanted = [
        ("a sliding window", window is not None and window > -1),
        ("a cap on logits", bool(layer.logit_cap)),
        ("cross attention", bool(layer.is_cross_attention)),
        ("attention that is not causal", layer.attn_type != AttentionType.DECODER),
        ("different head sizes for keys and values", layer.qk_head_dim != layer.v_head_dim),
    ]
    for what, is_wanted in wanted:
        if is_wanted:
            raise _unsupported(layer, what)


def refuse_wishes(layer: Any, wishes: Mapping[str, object]) -> None:
    """Refuse what a model asks of one call beyond plain attention: sinks, rotary parts apart, the log-sum-exp."""
    for name, value in wishes.items():
        if value is not None and value is not False:
            raise _unsupported(layer, f"attention with {name!r}")


def _unsupported(layer: Any, what: str) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"Layer {layer.layer_id} of this model needs {what}, which Foreword's CPU attention does not "
        f"compute. Choose a model with full causal attention, or run this one on a GPU."
    )


def refuse_pool(pool: Any, model: torch.dtype) -> None:
    """Attention reads K and V where they lie, so they are kept in the model's own type. Raises UnsupportedPoolError."""
    kept = getattr(pool, "store_dtype", pool.dtype)  # pools of several kinds of layers have only the other
    if model not in TYPES or pool.dtype != model or kept != model:
        raise UnsupportedPoolError(
            f"The KV cache is kept in {pool.dtype} and the model computes in {model}; Foreword's CPU attention reads "
            "only a cache in the model's own type, of 16 or 32 bits. Leave out --kv-cache-dtype."
        )
