"""Reads from a weights folder what a profile must say to serve it: window, KV bytes per token, size."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.profiles import Profile

BFLOAT16_BYTES = 2
KEY_AND_VALUE = 2


class FolderError(Exception):
    """The folder holds no model that can be served; the message says what is missing."""


class ModelConfig(msgspec.Struct, frozen=True):
    """The part of Hugging Face's `config.json` that decides about memory."""

    max_position_embeddings: int
    num_hidden_layers: int
    num_attention_heads: int
    hidden_size: int
    num_key_value_heads: int | None = None
    head_dim: int | None = None

    def kv_bytes_per_token(self) -> int:
        heads = self.num_key_value_heads or self.num_attention_heads
        size = self.head_dim or self.hidden_size // self.num_attention_heads
        return self.num_hidden_layers * KEY_AND_VALUE * heads * size * BFLOAT16_BYTES


def profile_of_folder(profile: Profile, folder: Path) -> Profile:
    """`profile` with the sizes of the model in `folder` in place of its own. Raises FolderError."""
    config = folder / "config.json"
    try:
        read = msgspec.json.decode(config.read_bytes(), type=ModelConfig)
    except OSError as error:
        raise FolderError(f"{folder} is no folder of a model: {config} cannot be read.") from error
    except msgspec.DecodeError as error:
        raise FolderError(f"{config} does not describe a model that can be served: {error}.") from error
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if not weights:
        raise FolderError(f"{folder} has no weights: there is no .safetensors file in it.")
    return msgspec.structs.replace(
        profile,
        context_native=read.max_position_embeddings,
        kv_bytes_per_token=read.kv_bytes_per_token(),
        weights_bytes=weights,
        weights=None,
        # what follows is known of the profile's own model only
        shape=None,
        needs_gpu="",
        fp8=False,
        context_extended=None,
        eight_bits=False,
    )
