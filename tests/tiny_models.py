"""Makes models for tests: published configurations without weights, and tiny random ones that really run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec

from engine.models.model import Profile
from engine.models.shape import Experts, Shape

SEED = 20260
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
VOCABULARY = 49_152
"""SmolLM2's, whose tokenizer the tiny models borrow."""
CONTEXT = 2_048
SPREAD = 0.2
"""Standard deviation of the weights: wide enough that the best token seldom ties with the next."""

TINY = Shape(
    sglang="LlamaForCausalLM",
    model_type="llama",
    layers=2,
    hidden=64,
    heads=4,
    kv_heads=2,
    head_size=16,
    intermediate=128,
    vocabulary=VOCABULARY,
    rope_theta=10_000.0,
)
_change = msgspec.structs.replace
TINY_SHAPES = {
    "llama": TINY,
    "qwen2": _change(TINY, sglang="Qwen2ForCausalLM", model_type="qwen2", qkv_bias=True, tied=True),
    "qwen3": _change(TINY, sglang="Qwen3ForCausalLM", model_type="qwen3", qk_norm=True),
    "qwen3-moe": _change(
        TINY,
        sglang="Qwen3MoeForCausalLM",
        model_type="qwen3_moe",
        qk_norm=True,
        experts=Experts(count=8, active=2, intermediate=32),
    ),
}
"""One of each architecture that the CPU plug-in runs."""


def published_config(profile: Profile) -> dict[str, Any]:
    """config.json of a known model, from the shape in its row."""
    assert profile.shape is not None
    config = config_of(profile.shape, profile.context_native)
    if profile.fp8:
        config["quantization_config"] = {
            "quant_method": "fp8",
            "fmt": "e4m3",
            "activation_scheme": "dynamic",
            "weight_block_size": [128, 128],
        }
    return config


def config_of(shape: Shape, context: int) -> dict[str, Any]:
    config: dict[str, Any] = {
        "architectures": [shape.sglang],
        "model_type": shape.model_type,
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "max_position_embeddings": context,
        "rms_norm_eps": shape.rms_norm_eps,
        "rope_theta": shape.rope_theta,
        "rope_scaling": None,
        "tie_word_embeddings": shape.tied,
        "hidden_act": "silu",
        "torch_dtype": "bfloat16",
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    if shape.model_type != "llama":
        config |= {"use_sliding_window": False, "sliding_window": None}
    if shape.experts is not None:
        config |= {
            "num_experts": shape.experts.count,
            "num_experts_per_tok": shape.experts.active,
            "moe_intermediate_size": shape.experts.intermediate,
            "norm_topk_prob": True,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        }
        if shape.experts.shared_intermediate:
            config["shared_expert_intermediate_size"] = shape.experts.shared_intermediate
    if shape.linear is not None:
        config |= {
            "full_attention_interval": shape.layers // shape.attention_layers(),
            "linear_num_key_heads": shape.linear.key_heads,
            "linear_num_value_heads": shape.linear.value_heads,
            "linear_key_head_dim": shape.linear.head_size,
            "linear_value_head_dim": shape.linear.head_size,
            "linear_conv_kernel_dim": shape.linear.convolution,
            "partial_rotary_factor": 0.25,
        }
    return config


def write_config(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return folder


def make_tiny(
    name: str, folder: Path, tokenizer_folder: Path, *, dtype: str = "float32", **changes: Any
) -> Path:
    """A random model of this architecture (a key of TINY_SHAPES) as a folder that SGLang can serve.

    `changes` replace fields of the shape (`layers=1`) or, where it has none of that name, of config.json
    (`max_position_embeddings=262_144`). The same arguments give the same weights.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = TINY_SHAPES[name]
    of_shape = {key: value for key, value in changes.items() if key in Shape.__struct_fields__}
    config = config_of(msgspec.structs.replace(shape, **of_shape), CONTEXT)
    config |= {key: value for key, value in changes.items() if key not in of_shape} | {"torch_dtype": dtype}
    write_config(folder, config)
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=getattr(torch, dtype))
    with torch.no_grad():
        for tensor_name, tensor in model.named_parameters():
            if tensor.ndim > 1 or tensor_name.endswith("bias"):
                tensor.normal_(std=SPREAD)
    model.save_pretrained(folder)
    write_config(folder, config)  # transformers writes its own form of it, which other readers need not know
    for file in TOKENIZER_FILES:
        shutil.copy(tokenizer_folder / file, folder)
    return folder
