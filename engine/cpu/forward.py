"""A lean forward pass for dense decoders (Qwen2, Qwen3, Llama): few, large operations per layer, 8-bit linear layers.

It takes the place of SGLang's `model.model.forward`, whose native PyTorch form does some sixty small operations per
layer; here there are four integer products, attention, and five fused kernels (`engine.cpu.compiled.kernels`). The
residual stream stays in float32. Everything else of SGLang, from batching to sampling, is as it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import msgspec
import numpy as np
import torch
from sglang.srt.model_executor.forward_context import get_attn_backend
from torch.nn.functional import embedding

from engine.cpu import products
from engine.cpu.attention import Heads, Request, fits, plan
from engine.cpu.backend import ForewordAttentionBackend
from engine.cpu.compiled import kernels
from engine.cpu.compiled.team import Array, Team, team_of
from engine.cpu.head import ChoosingHead, Head, head_of
from engine.cpu.layers import floats, layer_of, let_go
from engine.cpu.linears import PackedLinear
from engine.cpu.step import MOST_ROWS, Rows, Step
from engine.cpu.threads import Governor, most_threads

ROWS_PER_THREAD = 16
"""Fewer rows than this are done before another thread is awake."""


class PositionError(Exception):
    """A text is longer than the model's table of positions."""


class Quantized(msgspec.Struct, frozen=True):
    """Rows of activations for the next linear layer, as PyTorch and as numba see them (the same memory)."""

    tensor: torch.Tensor
    values: Array
    scales: Array

    @staticmethod
    def empty(rows: int, width: int) -> Quantized:
        tensor = torch.empty(rows, width, dtype=torch.uint8)
        return Quantized(tensor, tensor.numpy(), np.empty(rows, np.float32))


class Lean:
    """The decoder of one model; `forward` has the signature of SGLang's."""

    def __init__(self, model: Any, head: Head, team: Team) -> None:
        """`model` is SGLang's `Qwen2ForCausalLM` or its like, loaded; its linear weights are packed and let go."""
        self.team = team
        decoder = model.model
        self._embeddings: torch.Tensor = decoder.embed_tokens.weight
        self._epsilon = np.float32(decoder.norm.variance_epsilon)
        self._last_norm = floats(decoder.norm.weight)
        first = decoder.layers[0].self_attn
        self._heads = Heads(int(first.num_heads), int(first.num_kv_heads), int(first.head_dim))
        self._q_width, self._kv_width = int(first.q_size), int(first.kv_size)
        self._rotary = first.rotary_emb
        self._cos_sin = floats(self._rotary.cos_sin_cache)
        self._layers = [layer_of(layer, team) for layer in decoder.layers]
        self._step: Step | None = None
        linears = [linear for layer in self._layers for linear in layer.linears()]
        if all(isinstance(linear, PackedLinear) for linear in linears) and isinstance(head, ChoosingHead):
            norm = self._last_norm, float(self._epsilon)
            self._step = Step(self._layers, self._heads, *norm, head, team)
        self.threads = team.threads if self._step is not None else most_threads()
        """As many can compute."""
        self._shares = Shares(most_threads())
        self.governor = Governor(1)

    def forward(
        self,
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        forward_batch: Any,
        input_embeds: torch.Tensor | None = None,
        pp_proxy_tensors: object = None,
    ) -> torch.Tensor:
        """Hidden states [rows, width] after the last norm, in bfloat16."""
        hidden = embedding(input_ids, self._embeddings) if input_embeds is None else input_embeds
        if not len(hidden):
            return hidden
        with self.governor.step():
            return self._hidden_states(hidden, positions, forward_batch)

    def _turns(self, positions: torch.Tensor) -> Array:
        """The table of cosines and sines, long enough for these positions: the kernels check no bounds.

        SGLang makes it longer after the weights are loaded, where windows are to be longer than the model says.
        """
        last = int(positions.max())
        if last >= len(self._cos_sin):
            self._cos_sin = floats(self._rotary.cos_sin_cache)
            if last >= len(self._cos_sin):
                raise PositionError(
                    f"A text reaches position {last}, and this model knows {len(self._cos_sin)}. "
                    "Start the engine with a smaller window."
                )
        return self._cos_sin

    def trial(self, rows: int) -> None:
        """The products of one pass over `rows` rows, without the rest: what threads are measured with."""
        if self._step is not None:
            self._step.trial(rows, torch.get_num_threads())
            return
        for layer in self._layers:
            for linear in layer.linears():
                linear(torch.full((rows, linear.inputs), kernels.ZERO_POINT, dtype=torch.uint8))

    def _hidden_states(
        self, hidden: torch.Tensor, positions: torch.Tensor, forward_batch: Any
    ) -> torch.Tensor:
        """In one go where our kernels do everything, else layer by layer."""
        turns = self._turns(positions)
        backend = get_attn_backend()
        ours = backend if isinstance(backend, ForewordAttentionBackend) else None
        if ours is not None and not ours.stores(torch.bfloat16):
            ours = None
        step = self._step if len(hidden) <= MOST_ROWS else None
        tasks = ours.planned(self._heads, torch.bfloat16) if ours is not None and step is not None else None
        if step is None or ours is None or tasks is None:
            return self._layer_by_layer(hidden, positions.numpy(), turns, ours, forward_batch)
        rows = Rows(hidden, positions, forward_batch.out_cache_loc.long(), turns, ours.buffers)
        return step.hidden_states(rows, tasks, torch.get_num_threads())

    def chooses(self, backend: object, rows: int = 1) -> bool:
        """Whether `choose` can be called here, for so many rows."""
        ours = isinstance(backend, ForewordAttentionBackend) and backend.stores(torch.bfloat16)
        known = fits(torch.bfloat16, self._heads.dim) and rows <= products.MOST_CHOICES
        return self._step is not None and ours and known

    def choose(
        self,
        tokens: list[int],
        positions: torch.Tensor,
        slots: torch.Tensor,
        requests: Sequence[Request],
        backend: ForewordAttentionBackend,
    ) -> list[int]:
        """The most probable token after each row, without SGLang's layers around it; where `chooses` says so.

        The rows of `requests` follow one another, `products.MOST_CHOICES` at most, else ValueError.
        """
        assert self._step is not None
        hidden = embedding(torch.tensor(tokens), self._embeddings)
        rows = Rows(hidden, positions, slots, self._turns(positions), backend.buffers)
        with self.governor.step() as threads:
            return self._step.choose(rows, plan(requests, self._heads, min(threads, self.threads)), threads)

    def _layer_by_layer(
        self,
        hidden: torch.Tensor,
        where: Array,
        turns: Array,
        backend: ForewordAttentionBackend | None,
        forward_batch: Any,
    ) -> torch.Tensor:
        rows = hidden.shape[0]
        residual: Array = hidden.to(torch.float32, copy=True).numpy()
        epsilon, run = self._epsilon, self._shares.run
        narrow = Quantized.empty(rows, hidden.shape[1])
        heads_out = Quantized.empty(rows, self._q_width)
        gated = Quantized.empty(rows, self._layers[0].down.inputs)
        qkv = torch.empty(rows, self._q_width + 2 * self._kv_width, dtype=torch.bfloat16)
        qkv_bits: Array = qkv.view(torch.uint16).numpy()
        query, key, value = qkv.split([self._q_width, self._kv_width, self._kv_width], dim=1)
        run(kernels.norm_quantize, rows, residual, self._layers[0].input_norm, epsilon, *narrow_out(narrow))
        delta: Array = residual  # replaced before it is read
        for number, layer in enumerate(self._layers):
            if number:
                run(
                    kernels.add_norm_quantize,
                    rows,
                    *(residual, delta, gated.scales, layer.input_norm, epsilon),
                    *narrow_out(narrow),
                )
            run(
                kernels.rotate,
                rows,
                *(layer.qkv(narrow.tensor).numpy(), narrow.scales, layer.qkv_bias, layer.head_norms),
                *(epsilon, turns, where, qkv_bits, self._heads[:2]),
            )
            attended = (
                layer.attention(query, key, value, forward_batch)
                if backend is None
                else backend.attend(
                    layer.attention.layer_id, query, key, value, layer.attention.scaling, forward_batch
                )
            )
            run(kernels.quantize, rows, attended.view(torch.uint16).numpy(), *narrow_out(heads_out))
            delta = layer.output(heads_out.tensor).numpy()
            run(
                kernels.add_norm_quantize,
                rows,
                *(residual, delta, heads_out.scales, layer.second_norm, epsilon),
                *narrow_out(narrow),
            )
            gate_up = layer.gate_up(narrow.tensor).numpy()
            run(kernels.gate_quantize, rows, gate_up, narrow.scales, *narrow_out(gated))
            delta = layer.down(gated.tensor).numpy()
        normed = torch.empty_like(hidden, dtype=torch.bfloat16)
        bits: Array = normed.view(torch.uint16).numpy()
        run(kernels.add_norm, rows, residual, delta, gated.scales, self._last_norm, epsilon, bits)
        return normed


class Shares:
    """Runs a kernel over rows, in equal shares where several threads pay."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(max(1, most - 1), "foreword-kernel")

    def run(self, kernel: Any, rows: int, *arguments: Any) -> None:
        parts = min(torch.get_num_threads(), rows // ROWS_PER_THREAD)
        if parts < 2:
            kernel(*arguments, 0, rows)
            return
        edges = [rows * part // parts for part in range(parts + 1)]
        others = [
            self._pool.submit(kernel, *arguments, begin, end) for begin, end in itertools.pairwise(edges[1:])
        ]
        kernel(*arguments, 0, edges[1])
        wait(others)
        for other in others:
            other.result()


def narrow_out(quantized: Quantized) -> tuple[Array, Array]:
    return quantized.values, quantized.scales


def make_lean(model: Any) -> Lean:
    """Put the lean forward and head in place of SGLang's. Call once, after the weights are loaded."""
    team = team_of(most_threads())
    head = head_of(model.lm_head.weight[: model.config.vocab_size], team)
    lean = Lean(model, head, team)
    if model.lm_head.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr():
        let_go(model.lm_head)
    model.model.forward = lean.forward
    model.lm_head.quant_method = head
    return lean


def lean_of(model: Any) -> Lean | None:
    """What `make_lean` put in, if it did."""
    lean = getattr(getattr(getattr(model, "model", None), "forward", None), "__self__", None)
    return lean if isinstance(lean, Lean) else None
