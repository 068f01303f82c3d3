"""Shapes of the known models, from the config.json that each is published with (`https://huggingface.co/<name>`)."""

from __future__ import annotations

from engine.models.shape import Experts, LinearAttention, Shape

SHAPE_480B = Shape(
    sglang="Qwen3MoeForCausalLM",
    model_type="qwen3_moe",
    layers=62,
    hidden=6144,
    heads=96,
    kv_heads=8,
    head_size=128,
    intermediate=8192,
    vocabulary=151_936,
    rope_theta=10_000_000,
    qk_norm=True,
    experts=Experts(count=160, active=8, intermediate=2560),
)
SHAPE_30B = Shape(
    sglang="Qwen3MoeForCausalLM",
    model_type="qwen3_moe",
    layers=48,
    hidden=2048,
    heads=32,
    kv_heads=4,
    head_size=128,
    intermediate=5472,
    vocabulary=151_936,
    rope_theta=10_000_000,
    qk_norm=True,
    experts=Experts(count=128, active=8, intermediate=768),
)
SHAPE_NEXT = Shape(
    sglang="Qwen3NextForCausalLM",
    model_type="qwen3_next",
    layers=48,
    hidden=2048,
    heads=16,
    kv_heads=2,
    head_size=256,
    intermediate=5120,
    vocabulary=151_936,
    rope_theta=5_000_000,
    qk_norm=True,
    gated_attention=True,
    experts=Experts(count=512, active=10, intermediate=512, shared_intermediate=512),
    linear=LinearAttention(layers=36, key_heads=16, value_heads=32, head_size=128, convolution=4),
)
SHAPE_SMOLLM = Shape(
    sglang="LlamaForCausalLM",
    model_type="llama",
    layers=30,
    hidden=576,
    heads=9,
    kv_heads=3,
    head_size=64,
    intermediate=1536,
    vocabulary=49_152,
    rope_theta=100_000,
    rms_norm_eps=1e-5,
    tied=True,
)


def qwen25_shape(
    layers: int, hidden: int, kv_heads: int, intermediate: int, *, tied: bool, head_size: int = 128
) -> Shape:
    return Shape(
        sglang="Qwen2ForCausalLM",
        model_type="qwen2",
        layers=layers,
        hidden=hidden,
        heads=hidden // head_size,
        kv_heads=kv_heads,
        head_size=head_size,
        intermediate=intermediate,
        vocabulary=151_936 if tied else 152_064,  # the larger ones are padded for splitting
        rope_theta=1_000_000,
        tied=tied,
        qkv_bias=True,
    )


SHAPE_SMALL = qwen25_shape(24, 896, 2, 4864, tied=True, head_size=64)
