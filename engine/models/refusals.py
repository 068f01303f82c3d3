"""Which models the CPU plug-in cannot run, told from their config.json before any weights are read."""

from __future__ import annotations

from pathlib import Path

import msgspec

ELSEWHERE = (
    "Choose a model with full causal attention (Llama, Qwen2, Qwen3, Qwen3-MoE), or run this one on a GPU."
)
FULL_ATTENTION = "full_attention"
LINEAR_ATTENTION = "linear_attention"


class UnsupportedModelError(Exception):
    """This model cannot run without a GPU here; the message names the cause and what to do."""


class _Config(msgspec.Struct, frozen=True):
    """What config.json says about attention and the form of the weights."""

    architectures: list[str] | None = None
    layer_types: list[str] | None = None
    sliding_window: int | None = None
    use_sliding_window: bool | None = None
    full_attention_interval: int | None = None
    is_encoder_decoder: bool = False
    quantization_config: dict[str, object] | None = None


def refuse_without_gpu(folder: Path) -> None:
    """Raise UnsupportedModelError where the model in `folder` needs what Foreword's CPU plug-in does not compute.

    A folder without a config.json that can be read is left to SGLang, which says so itself.
    """
    try:
        config = msgspec.json.decode((folder / "config.json").read_bytes(), type=_Config)
    except (OSError, msgspec.DecodeError):
        return
    cause = _cause(config)
    if cause:
        name = (config.architectures or ["the model"])[0]
        raise UnsupportedModelError(f"{name} in {folder} cannot run without a GPU: {cause}. {ELSEWHERE}")


def _cause(config: _Config) -> str:
    layers = set(config.layer_types or ())
    if LINEAR_ATTENTION in layers or (config.full_attention_interval or 1) > 1:
        return "its linear attention takes Triton kernels, and those need a GPU"
    if config.use_sliding_window is not False and config.sliding_window is not None:
        return f"its attention slides over a window of {config.sliding_window:,} tokens"
    other = sorted(layers - {FULL_ATTENTION})
    if other:
        return f"some of its layers have {', '.join(other)}"
    if config.is_encoder_decoder:
        return "it is an encoder with a decoder, not a decoder alone"
    if config.quantization_config:
        method = config.quantization_config.get("quant_method", "an unknown method")
        return f"its weights are quantized ({method}), which takes kernels for a GPU"
    return ""
