"""A lean forward pass for dense decoders (Qwen2, Qwen3, Llama): few, large operations per layer, 8-bit linear layers.

It takes the place of SGLang's `model.model.forward`, whose native PyTorch form does some sixty small operations per
layer; here there are four integer products, attention, and five fused kernels (`engine.cpu.kernels`). The
residual stream stays in float32. Everything else of SGLang, from batching to sampling, is as it was.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import msgspec
import numpy as np
import torch
from sglang.srt.model_executor.forward_context import get_attn_backend
from torch.nn.functional import embedding

from engine.cpu import kernels
from engine.cpu.backend import ForewordAttentionBackend, refuse_unsupported
from engine.cpu.head import Head
from engine.cpu.linears import Int8Linear
from engine.cpu.products import fits
from engine.cpu.threads import Governor, most_threads

ARCHITECTURES = ("Qwen2ForCausalLM", "Qwen3ForCausalLM", "LlamaForCausalLM")
ROWS_PER_THREAD = 16
"""Fewer rows than this are done before another thread is awake."""

Array = np.ndarray[Any, Any]


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


class Layer(msgspec.Struct, frozen=True):
    """One decoder layer's weights."""

    input_norm: Array
    qkv: Int8Linear
    qkv_bias: Array
    head_norms: Array
    attention: Any
    """SGLang's RadixAttention: it knows the layer's number, heads and scale."""
    output: Int8Linear
    second_norm: Array
    gate_up: Int8Linear
    down: Int8Linear

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, forward_batch: Any
    ) -> torch.Tensor:
        """[rows, query heads * dim] each; our own backend is called without SGLang's wrapper around it."""
        backend = get_attn_backend()
        if not (isinstance(backend, ForewordAttentionBackend) and backend.stores(query.dtype)):
            return self.attention(query, key, value, forward_batch)
        return backend.attend(
            self.attention.layer_id, query, key, value, self.attention.scaling, forward_batch
        )


class Lean:
    """The decoder of one model; `forward` has the signature of SGLang's."""

    def __init__(self, model: Any) -> None:
        """`model` is SGLang's `Qwen2ForCausalLM` or its like, loaded; its linear weights are packed and let go."""
        decoder = model.model
        self._embeddings: torch.Tensor = decoder.embed_tokens.weight
        self._epsilon = np.float32(decoder.norm.variance_epsilon)
        self._last_norm = floats(decoder.norm.weight)
        first = decoder.layers[0].self_attn
        self._heads = (int(first.num_heads), int(first.num_kv_heads))
        self._q_width, self._kv_width = int(first.q_size), int(first.kv_size)
        self._rotary = first.rotary_emb
        self._cos_sin = floats(self._rotary.cos_sin_cache)
        self._layers = [packed(layer) for layer in decoder.layers]
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

    def _turns(self, positions: Array) -> Array:
        """The table of cosines and sines, long enough for these positions: the kernels check no bounds.

        SGLang makes it longer after the weights are loaded, where windows are to be longer than the model says.
        """
        if positions.max() >= len(self._cos_sin):
            self._cos_sin = floats(self._rotary.cos_sin_cache)
            if positions.max() >= len(self._cos_sin):
                raise PositionError(
                    f"A text reaches position {positions.max()}, and this model knows {len(self._cos_sin)}. "
                    "Start the engine with a smaller window."
                )
        return self._cos_sin

    def trial(self, rows: int) -> None:
        """The products of one pass over `rows` rows, without the rest: what threads are measured with."""
        for layer in self._layers:
            for linear in (layer.qkv, layer.output, layer.gate_up, layer.down):
                linear(torch.full((rows, linear.inputs), kernels.ZERO_POINT, dtype=torch.uint8))

    def _hidden_states(
        self, hidden: torch.Tensor, positions: torch.Tensor, forward_batch: Any
    ) -> torch.Tensor:
        rows = hidden.shape[0]
        residual: Array = hidden.to(torch.float32, copy=True).numpy()
        where: Array = positions.numpy()
        turns = self._turns(where)
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
                *(epsilon, turns, where, qkv_bits, self._heads),
            )
            attended = layer.attend(query, key, value, forward_batch)
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


class LeanHead:
    """The output layer, in the form in which SGLang's logits processor calls a layer's `quant_method`."""

    def __init__(self, weight: torch.Tensor, vocabulary: int) -> None:
        self._linear = Int8Linear(weight[:vocabulary])

    @staticmethod
    def embedding(layer: Any, ids: torch.Tensor) -> torch.Tensor:
        """The other use of a layer that is both: rows of its weight."""
        return embedding(ids, layer.weight)

    def apply(self, _layer: object, hidden: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Logits [rows, vocabulary] in float32."""
        rows = hidden.shape[0]
        quantized = Quantized.empty(rows, hidden.shape[1])
        bits = hidden.to(torch.bfloat16).contiguous().view(torch.uint16).numpy()
        kernels.quantize(bits, *narrow_out(quantized), 0, rows)
        logits = self._linear(quantized.tensor).mul_(torch.from_numpy(quantized.scales).unsqueeze(1))
        return logits if bias is None else logits.add_(bias)


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


def floats(parameter: torch.Tensor | None) -> Array:
    """A weight as a float32 array, empty for none."""
    return np.empty(0, np.float32) if parameter is None else parameter.detach().float().contiguous().numpy()


def packed(layer: Any) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    refuse_unsupported(attention.attn)
    norms: list[Any] = [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
    head_norms = (
        np.stack([floats(norm.weight) for norm in norms]) if all(norms) else np.empty((0, 1), np.float32)
    )
    return Layer(
        input_norm=floats(layer.input_layernorm.weight),
        qkv=moved(attention.qkv_proj),
        qkv_bias=floats(attention.qkv_proj.bias),
        head_norms=head_norms,
        attention=attention.attn,
        output=moved(attention.o_proj),
        second_norm=floats(layer.post_attention_layernorm.weight),
        gate_up=moved(mlp.gate_up_proj),
        down=moved(mlp.down_proj),
    )


def moved(linear: Any) -> Int8Linear:
    """The packed form of an SGLang layer, whose own weight is let go."""
    made = Int8Linear(linear.weight)
    linear.weight.data = torch.empty(0, dtype=linear.weight.dtype)
    return made


def why_not(model: Any) -> str:
    """Empty where `model` can be run by `Lean`, else what stands against it."""
    name = type(model).__name__
    if name not in ARCHITECTURES:
        return f"{name} has no lean form"
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        rotary = attention.rotary_emb
        linears = (attention.qkv_proj, attention.o_proj, mlp.gate_up_proj, mlp.down_proj)
        wanted = [
            ("linear layers that are not in bfloat16", all(has_weight(each) for each in linears)),
            ("positions of several kinds", getattr(rotary, "mrope_section", None) is None),
            ("another activation than SiLU", type(mlp.act_fn).__name__ == "SiluAndMul"),
            ("positions that are not rotary for whole heads", rotary.rotary_dim == attention.head_dim),
            ("another rotary style than GPT-NeoX's", bool(rotary.is_neox_style)),
            ("no table of positions", getattr(rotary, "cos_sin_cache", None) is not None),
            (
                "biases beside those of q, k and v",
                not any(biased(each) for each in linears[1:]),
            ),
        ]
        for what, met in wanted:
            if not met:
                return f"{name} has {what}"
    return ""


def has_weight(linear: Any) -> bool:
    weight = getattr(linear, "weight", None)
    return weight is not None and weight.dtype == torch.bfloat16


def biased(linear: Any) -> bool:
    return getattr(linear, "bias", None) is not None


def make_lean(model: Any) -> Lean:
    """Put the lean forward and head in place of SGLang's. Call once, after the weights are loaded."""
    lean = Lean(model)
    model.model.forward = lean.forward
    weight, vocabulary = model.lm_head.weight, model.config.vocab_size
    model.lm_head.quant_method = (
        Head(weight[:vocabulary], most_threads()) if fits(weight.shape[1]) else LeanHead(weight, vocabulary)
    )
    return lean
