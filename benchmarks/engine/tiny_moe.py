"""Writes a tiny Qwen3-MoE with random weights and a window of more than 262,144 tokens.

It is sized so that one core reads 262,144 tokens in a few minutes: attention over so many takes 3.4e10 pairs per
layer and head, so there are two layers with one head of 16. What it answers means nothing; that the engine really
takes such a prompt, and how long it takes to find it cached, does not depend on the weights.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

LONG_PROMPT_TOKENS = 262_144
CONTEXT_TOKENS = LONG_PROMPT_TOKENS + 4_096
"""Room for an answer, and for a question at the end of the prompt."""
CHUNK_TOKENS = 4_096
"""Of prefill: larger ones are no faster, and a step of 4,096 over 262,144 takes some two seconds."""
LAST_ID = 999
"""Of the ids that a prompt may be made of."""
SEED = 262_144
SPREAD = 0.05
"""Standard deviation of the weights."""
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


class Size(msgspec.Struct, frozen=True):
    layers: int = 2
    hidden: int = 64
    heads: int = 1
    kv_heads: int = 1
    head_size: int = 16
    experts: int = 4
    experts_per_token: int = 2
    expert_intermediate: int = 32
    vocabulary: int = 1_024
    context: int = CONTEXT_TOKENS


def build(folder: Path, size: Size | None = None) -> Path:
    """Write the model into `folder`, made if need be, and return it. The same size gives the same weights."""
    size = size or Size()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(size), indent=1))
    write_tokenizer(folder, size.vocabulary)
    write_weights(folder, size)
    return folder


def config(size: Size) -> dict[str, object]:
    return {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "vocab_size": size.vocabulary,
        "hidden_size": size.hidden,
        "intermediate_size": 2 * size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
        "head_dim": size.head_size,
        "num_experts": size.experts,
        "num_experts_per_tok": size.experts_per_token,
        "moe_intermediate_size": size.expert_intermediate,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "max_position_embeddings": size.context,
        "rope_theta": 10_000_000.0,
        "rope_scaling": None,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "use_sliding_window": False,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def write_tokenizer(folder: Path, vocabulary: int) -> None:
    """A tokenizer in which every id is a word of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [*SPECIAL, *(f"w{number}" for number in range(len(SPECIAL), vocabulary))]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token=words[-1]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIAL[0], "unk_token": words[-1]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_weights(folder: Path, size: Size) -> None:
    import torch
    from safetensors.torch import save_file

    random = torch.Generator().manual_seed(SEED)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return (torch.randn(rows, columns, generator=random) * SPREAD).to(torch.bfloat16)

    def ones(length: int) -> torch.Tensor:
        return torch.ones(length, dtype=torch.bfloat16)

    queries, keys = size.heads * size.head_size, size.kv_heads * size.head_size
    tensors = {
        "model.embed_tokens.weight": matrix(size.vocabulary, size.hidden),
        "model.norm.weight": ones(size.hidden),
        "lm_head.weight": matrix(size.vocabulary, size.hidden),
    }
    for layer in range(size.layers):
        name = f"model.layers.{layer}"
        tensors |= {
            f"{name}.input_layernorm.weight": ones(size.hidden),
            f"{name}.post_attention_layernorm.weight": ones(size.hidden),
            f"{name}.self_attn.q_proj.weight": matrix(queries, size.hidden),
            f"{name}.self_attn.k_proj.weight": matrix(keys, size.hidden),
            f"{name}.self_attn.v_proj.weight": matrix(keys, size.hidden),
            f"{name}.self_attn.o_proj.weight": matrix(size.hidden, queries),
            f"{name}.self_attn.q_norm.weight": ones(size.head_size),
            f"{name}.self_attn.k_norm.weight": ones(size.head_size),
            f"{name}.mlp.gate.weight": matrix(size.experts, size.hidden),
        }
        for expert in range(size.experts):
            of_expert = f"{name}.mlp.experts.{expert}"
            tensors |= {
                f"{of_expert}.gate_proj.weight": matrix(size.expert_intermediate, size.hidden),
                f"{of_expert}.up_proj.weight": matrix(size.expert_intermediate, size.hidden),
                f"{of_expert}.down_proj.weight": matrix(size.hidden, size.expert_intermediate),
            }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
