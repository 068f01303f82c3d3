"""SGLang's attention backend `foreword`: decode, extend with a cached prefix and chunked prefill on the
CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from sglang.srt.layers.attention.base_attn_backend import AttentionBackend
from sglang.srt.layers.radix_attention import AttentionType
from sglang.srt.mem_cache.memory_pool import KVWriteLoc

from engine.cpu.attention import attend
from engine.cpu.spans import Span, spans_of

if TYPE_CHECKING:
    from sglang.srt.layers.radix_attention import RadixAttention
    from sglang.srt.model_executor.forward_batch_info import ForwardBatch
    from sglang.srt.model_executor.model_runner import ModelRunner


class UnsupportedLayerError(NotImplementedError):
    """A layer wants attention that this backend does not compute."""


class ForewordAttentionBackend(AttentionBackend):
    """Each request is computed apart: batches on a CPU are small, and nothing is padded or copied for
    others."""

    def __init__(self, runner: ModelRunner) -> None:
        super().__init__()
        pools: Any = runner
        self.req_to_token: torch.Tensor = pools.req_to_token_pool.req_to_token
        self.pool: Any = pools.token_to_kv_pool
        self._cached: list[list[Span]] = []
        self._new_tokens: list[int] = []

    def init_forward_metadata(self, forward_batch: ForwardBatch) -> None:
        """Find, once per step, where each request's cached tokens lie; all layers then use it."""
        batch: Any = forward_batch
        mode = batch.forward_mode
        if mode.is_idle():
            self._cached, self._new_tokens = [], []
            return
        rows: list[int] = batch.req_pool_indices.tolist()
        lengths: list[int] = batch.seq_lens.tolist()
        if mode.is_decode():
            self._new_tokens = [1] * len(rows)
        else:
            self._new_tokens = [int(tokens) for tokens in batch.extend_seq_lens.tolist()]
            lengths = [length - new for length, new in zip(lengths, self._new_tokens, strict=True)]
        self._cached = [
            spans_of(self.req_to_token[row, :length]) for row, length in zip(rows, lengths, strict=True)
        ]

    def forward_decode(
        self,
        q: torch.Tensor,
        k: torch.Tensor | None,
        v: torch.Tensor | None,
        layer: RadixAttention,
        forward_batch: ForwardBatch,
        save_kv_cache: bool = True,
        **kwargs: object,
    ) -> torch.Tensor:
        """One token per request, which sees all of its request's slots."""
        return self._forward(q, k, v, layer, forward_batch, save_kv_cache, decode=True)

    def forward_extend(
        self,
        q: torch.Tensor,
        k: torch.Tensor | None,
        v: torch.Tensor | None,
        layer: RadixAttention,
        forward_batch: ForwardBatch,
        save_kv_cache: bool = True,
        **kwargs: object,
    ) -> torch.Tensor:
        """Some new tokens per request after a cached prefix (a cache hit, or earlier chunks of this
        prompt)."""
        return self._forward(q, k, v, layer, forward_batch, save_kv_cache, decode=False)

    def _forward(
        self,
        q: torch.Tensor,
        k: torch.Tensor | None,
        v: torch.Tensor | None,
        layer: Any,
        forward_batch: Any,
        save_kv_cache: bool,
        *,
        decode: bool,
    ) -> torch.Tensor:
        refuse_unsupported(layer)
        slots = forward_batch.out_cache_loc
        if save_kv_cache and k is not None and v is not None:
            self.pool.set_kv_buffer(layer, KVWriteLoc(slots, None), k, v)
        pool_keys: torch.Tensor = self.pool.get_key_buffer(layer.layer_id)
        pool_values: torch.Tensor = self.pool.get_value_buffer(layer.layer_id)
        query = q.reshape(-1, layer.tp_q_head_num, layer.qk_head_dim)
        if not decode and (k is None or v is None):
            k, v = pool_keys[slots], pool_values[slots]  # a layer that shares another layer's K and V
        output = torch.empty_like(query)
        start = 0
        for cached, tokens in zip(self._cached, self._new_tokens, strict=True):
            end = start + tokens
            new = None
            if not decode and k is not None and v is not None:
                shape = (-1, layer.tp_k_head_num, layer.qk_head_dim)
                new = (
                    k.view(shape)[start:end].to(query.dtype),
                    v.view(shape)[start:end].to(query.dtype),
                )
            output[start:end] = attend(query[start:end], pool_keys, pool_values, cached, new, layer.scaling)
            start = end
        return output.view(q.shape[0], -1)

    def support_triton(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return False


def refuse_unsupported(layer: Any) -> None:
    """Refuse what would otherwise be computed wrongly: windows, caps, encoders and split head sizes."""
    window = layer.sliding_window_size
    wanted = [
        ("a sliding window", window is not None and window > -1),
        ("a cap on logits", bool(layer.logit_cap)),
        ("cross attention", bool(layer.is_cross_attention)),
        ("attention that is not causal", layer.attn_type == AttentionType.ENCODER_ONLY),
        ("different head sizes for keys and values", layer.qk_head_dim != layer.v_head_dim),
    ]
    for what, is_wanted in wanted:
        if is_wanted:
            raise UnsupportedLayerError(
                f"Layer {layer.layer_id} of this model needs {what}, which Foreword's CPU attention does not "
                f"compute. Choose a model with full causal attention, or run this one on a GPU."
            )
