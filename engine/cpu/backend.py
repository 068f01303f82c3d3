"""SGLang's attention backend `foreword`: decode, extend with a cached prefix, chunked prefill and verification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from sglang.srt.layers.attention.base_attn_backend import AttentionBackend
from sglang.srt.layers.radix_attention import RadixAttention
from sglang.srt.mem_cache.memory_pool import KVWriteLoc

from engine.cpu.attention import SLOT_BYTES, Heads, Plan, Request, Runner, fits, plan
from engine.cpu.attention_flash import attend
from engine.cpu.attention_way import Way, quickest_way
from engine.cpu.refusals import refuse_pool, refuse_unsupported, refuse_wishes
from engine.cpu.spans import Span, spans_of
from engine.cpu.threads import most_threads

if TYPE_CHECKING:
    from sglang.srt.model_executor.forward_batch_info import ForwardBatch
    from sglang.srt.model_executor.model_runner import ModelRunner

FEW_TOKENS = 8
"""Up to so many new tokens per request our kernels are quicker than any flash: reading K and V is the work."""


class ForewordAttentionBackend(AttentionBackend):
    """All requests of a step in one call per layer; nothing is padded, copied or computed again."""

    def __init__(self, runner: ModelRunner, way: Way | None = None) -> None:
        """`way` forces how extends are computed; by default it is measured here. Raises UnsupportedPoolError."""
        super().__init__()
        pools: Any = runner
        self.req_to_token: torch.Tensor = pools.req_to_token_pool.req_to_token
        self.pool: Any = pools.token_to_kv_pool
        refuse_pool(self.pool, pools.dtype)
        self.token_to_kv_pool = self.pool  # by this name SGLang's own models ask a backend for it
        self._runner = Runner(most_threads())  # a plan takes as many as compute just then
        self._forced = way
        self._ways: dict[Heads, Way] = {}
        self._rows: list[int] = []
        self._new_tokens: list[int] = []
        self._lengths: list[int] = []
        self._plans: dict[Heads, Plan] = {}
        self._spans: list[list[Span]] | None = None
        self._decode = False
        for heads in heads_of(pools.model):
            if fits(pools.dtype, heads.dim):
                self.way(heads)

    def way(self, heads: Heads) -> Way:
        """How extends of such layers are computed; measured at start for those of the model."""
        if self._forced is not None:
            return self._forced
        if heads not in self._ways:
            self._ways[heads] = quickest_way(heads, self._runner)
        return self._ways[heads]

    def init_forward_metadata(self, forward_batch: ForwardBatch) -> None:
        """Note, once per step, whose rows stand where; all layers then use it."""
        batch: Any = forward_batch
        mode = batch.forward_mode
        self._plans, self._spans = {}, None
        self._decode = bool(mode.is_decode())
        if mode.is_idle():
            self._rows, self._new_tokens, self._lengths = [], [], []
            return
        self._rows = batch.req_pool_indices.tolist()
        self._lengths = batch.seq_lens.tolist()
        if self._decode:
            self._new_tokens = [1] * len(self._rows)
        else:
            self._new_tokens = [int(tokens) for tokens in batch.extend_seq_lens.tolist()]

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
        refuse_wishes(layer, kwargs)
        return self._forward(q, k, v, layer, forward_batch, save_kv_cache)

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
        """Some new tokens per request after a cached prefix (a cache hit, or earlier chunks of this prompt)."""
        refuse_wishes(layer, kwargs)
        return self._forward(q, k, v, layer, forward_batch, save_kv_cache)

    def stores(self, dtype: torch.dtype) -> bool:
        """Whether the pool keeps K and V as they come: `attend` writes them without a conversion."""
        return self.pool.store_dtype == dtype

    def buffers(self, layer_id: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A layer's K and V in the pool, [slots, KV heads, dim] each."""
        return self.pool.get_key_buffer(layer_id), self.pool.get_value_buffer(layer_id)

    def attend(
        self,
        layer_id: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
        forward_batch: Any,
    ) -> torch.Tensor:
        """The same for a caller that has checked its layers itself: [rows, heads * dim] of each, rows may lie apart.

        Only for a plain pool of K and V per layer in the query's type.
        """
        keys, values = self.buffers(layer_id)
        shape = (-1, *keys.shape[1:])
        slots = forward_batch.out_cache_loc.long()
        keys.index_copy_(0, slots, key.view(shape))
        values.index_copy_(0, slots, value.view(shape))
        return self._attend(query.view(query.shape[0], -1, keys.shape[2]), keys, values, scaling)

    def _forward(
        self,
        q: torch.Tensor,
        k: torch.Tensor | None,
        v: torch.Tensor | None,
        layer: Any,
        forward_batch: Any,
        save_kv_cache: bool,
    ) -> torch.Tensor:
        refuse_unsupported(layer)
        if save_kv_cache and k is not None and v is not None:
            self.pool.set_kv_buffer(layer, KVWriteLoc(forward_batch.out_cache_loc, None), k, v)
        pool_keys, pool_values = self.buffers(layer.layer_id)
        query = q.view(-1, layer.tp_q_head_num, layer.qk_head_dim)
        return self._attend(query, pool_keys, pool_values, layer.scaling)

    def _attend(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """The new tokens' K and V are in the pool already."""
        rows, query_heads, dim = query.shape
        heads = Heads(query_heads, keys.shape[1], dim)
        output = torch.empty(rows, query_heads, dim, dtype=query.dtype)
        planned = self.planned(heads, query.dtype, keys.dtype)
        if planned is not None:
            self._runner(planned, query, keys, values, scale, output)
        else:
            self._by_flash(query, keys, values, scale, output)
        return output.view(rows, query_heads * dim)

    def _wants_kernels(self, heads: Heads, *types: torch.dtype) -> bool:
        if not all(fits(dtype, heads.dim) for dtype in types):
            return False
        if self._decode or max(self._new_tokens, default=0) <= FEW_TOKENS:
            return True
        return self.way(heads) is Way.KERNELS

    def request(self, row: int, tokens: int, length: int) -> Request:
        """`tokens` new rows of the request in this row of `req_to_token`, `length` with what is cached."""
        table = self.req_to_token
        return Request(table.data_ptr() + row * table.stride(0) * SLOT_BYTES, tokens, length)

    def planned(self, heads: Heads, *types: torch.dtype) -> Plan | None:
        """This step's tasks for our kernels, or None where they are not the way for it."""
        if not self._wants_kernels(heads, *types):
            return None
        if heads not in self._plans:
            requests = [
                self.request(row, tokens, length)
                for row, tokens, length in zip(self._rows, self._new_tokens, self._lengths, strict=True)
            ]
            threads = min(self._runner.threads, torch.get_num_threads())
            self._plans[heads] = plan(requests, heads, threads)
        return self._plans[heads]

    def _by_flash(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        scale: float,
        output: torch.Tensor,
    ) -> None:
        """Each request apart: its cached tokens by slices of the pool, its new ones causally."""
        cached = [length - new for length, new in zip(self._lengths, self._new_tokens, strict=True)]
        if self._spans is None:
            self._spans = [
                spans_of(self.req_to_token[row, :length])
                for row, length in zip(self._rows, cached, strict=True)
            ]
        start = 0
        for row, old, tokens, spans in zip(self._rows, cached, self._new_tokens, self._spans, strict=True):
            end = start + tokens
            slots = self.req_to_token[row, old : old + tokens].long()
            new = keys[slots].to(query.dtype), values[slots].to(query.dtype)
            output[start:end] = attend(query[start:end], keys, values, spans, new, scale)
            start = end

    def support_triton(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return False


def heads_of(model: torch.nn.Module) -> list[Heads]:
    """Each form of attention in a model, once."""
    layers: list[Any] = [module for module in model.modules() if isinstance(module, RadixAttention)]
    forms = [Heads(each.tp_q_head_num, each.tp_k_head_num, each.qk_head_dim) for each in layers]
    return list(dict.fromkeys(forms))
