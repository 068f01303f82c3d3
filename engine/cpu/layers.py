"""A decoder layer's weights, taken out of SGLang's model, which lets go of them; and which models can be taken so."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import torch

from engine.cpu.compiled.team import Array, Team
from engine.cpu.linears import Linear, linear_of
from engine.cpu.refusals import refuse_unsupported

ARCHITECTURES = ("Qwen2ForCausalLM", "Qwen3ForCausalLM", "LlamaForCausalLM")


class Layer(msgspec.Struct, frozen=True):
    """One decoder layer's weights."""

    input_norm: Array
    qkv: Linear
    qkv_bias: Array
    head_norms: Array
    attention: Any
    """SGLang's RadixAttention: it knows the layer's number, heads and scale."""
    output: Linear
    second_norm: Array
    gate_up: Linear
    down: Linear

    def linears(self) -> tuple[Linear, Linear, Linear, Linear]:
        """In the order in which they are used."""
        return self.qkv, self.output, self.gate_up, self.down


def floats(parameter: torch.Tensor | None) -> Array:
    """A weight as a float32 array, empty for none."""
    return np.empty(0, np.float32) if parameter is None else parameter.detach().float().contiguous().numpy()


def layer_of(layer: Any, team: Team) -> Layer:
    """Of one of SGLang's layers."""
    attention, mlp = layer.self_attn, layer.mlp
    refuse_unsupported(attention.attn)
    norms: list[Any] = [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
    head_norms = (
        np.stack([floats(norm.weight) for norm in norms]) if all(norms) else np.empty((0, 1), np.float32)
    )
    return Layer(
        input_norm=floats(layer.input_layernorm.weight),
        qkv=moved(attention.qkv_proj, team),
        qkv_bias=floats(attention.qkv_proj.bias),
        head_norms=head_norms,
        attention=attention.attn,
        output=moved(attention.o_proj, team),
        second_norm=floats(layer.post_attention_layernorm.weight),
        gate_up=moved(mlp.gate_up_proj, team),
        down=moved(mlp.down_proj, team),
    )


def moved(linear: Any, team: Team) -> Linear:
    """The packed form of an SGLang layer, whose own weight is let go."""
    made = linear_of(linear.weight, team)
    let_go(linear)
    return made


def let_go(layer: Any) -> None:
    """Give the memory of its weight back; nobody asks that layer for it any more."""
    layer.weight.data = torch.empty(0, dtype=layer.weight.dtype)


def why_not_launched_so(parallel: Any, lora: Any) -> str:
    """Empty where SGLang was started in a way that `Lean` serves, else what stands against it.

    Both are SGLang's settings (`sglang.srt.runtime_context`). The lean form adds nothing up across processes, is all
    layers, and knows no adapters.
    """
    wanted = [
        ("tensor parallelism", parallel.tp_size > 1),
        ("pipeline parallelism", parallel.pp_size > 1),
        ("LoRA", bool(lora.enable_lora)),
    ]
    said = [what for what, is_wanted in wanted if is_wanted]
    return f"there is no lean form with {' and '.join(said)}" if said else ""


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
        for what, fits in wanted:
            if not fits:
                return f"{name} has {what}"
    return ""


def has_weight(linear: Any) -> bool:
    weight = getattr(linear, "weight", None)
    return weight is not None and weight.dtype == torch.bfloat16


def biased(linear: Any) -> bool:
    return getattr(linear, "bias", None) is not None
