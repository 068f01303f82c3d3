"""Turns a GGUF file into a Hugging Face folder for SGLang, offline: `python -I -m engine.weights.convert GGUF OUT`.

Only what Foreword's own models are made of is known here: the architectures `qwen2` and `llama`, and
byte-level BPE. Anything else is refused by name.
Progress goes to stdout as lines of `DONE TOTAL`, in bytes of the GGUF file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import gguf
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

# Which Hugging Face class reads which GGUF architecture.
ARCHITECTURES = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}
TOKENIZERS = {"qwen2": "Qwen2Tokenizer", "llama": "PreTrainedTokenizerFast"}

# The release of transformers whose config.json is written here; without it newer ones warn of a foreign bug.
CONFIG_FORMAT = "4.43.1"

# GGUF tensor name -> Hugging Face name: whole names first, then the part after `blk.N.`.
TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}

# How llama.cpp's names for a pre-tokenizer (llama-vocab.cpp) read in a tokenizer.json. `qwen2` is the file
# that Qwen publishes; `smollm` splits off single digits and then works like GPT-2.
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _byte_level(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": use_regex}


PRE_TOKENIZERS: dict[str, list[dict[str, Any]]] = {
    "qwen2": [
        {"type": "Split", "pattern": {"Regex": QWEN_SPLIT}, "behavior": "Isolated", "invert": False},
        _byte_level(use_regex=False),
    ],
    "smollm": [{"type": "Digits", "individual_digits": True}, _byte_level(use_regex=True)],
}
NORMALIZERS: dict[str, dict[str, Any] | None] = {"qwen2": {"type": "NFC"}, "smollm": None}

# Token types of GGUF (gguf.TokenType) that are not text: marks never shown, marks that are, and padding.
CONTROL, USER_DEFINED, UNUSED = 3, 4, 5

# Two quantizations of one matrix agree to about 0.99 (4-bit) or better; two different matrices to about 0.
TIED_COSINE = 0.95
TIED_SAMPLE_ROWS = 2048  # enough rows for a sure answer in some milliseconds


class ConversionError(Exception):
    """The file cannot be converted; the message says what it holds and what is known."""


def field(reader: gguf.GGUFReader, name: str, default: Any = None) -> Any:
    """The value of a GGUF key, or `default`."""
    found = reader.fields.get(name)
    return default if found is None else found.contents()


def hf_config(reader: gguf.GGUFReader, *, tied: bool) -> dict[str, Any]:
    """`config.json` for the model in the file."""
    arch = field(reader, "general.architecture")
    if arch not in ARCHITECTURES:
        raise ConversionError(
            f"The file holds a {arch!r} model; only {', '.join(ARCHITECTURES)} can be converted."
        )
    heads = int(field(reader, f"{arch}.attention.head_count"))
    hidden = int(field(reader, f"{arch}.embedding_length"))
    embedding = next(t for t in reader.tensors if t.name == "token_embd.weight")
    names = {t.name for t in reader.tensors}
    config = {
        "architectures": [ARCHITECTURES[arch]],
        "model_type": arch,
        "vocab_size": int(embedding.shape[1]),
        "hidden_size": hidden,
        "intermediate_size": int(field(reader, f"{arch}.feed_forward_length")),
        "num_hidden_layers": int(field(reader, f"{arch}.block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": int(field(reader, f"{arch}.attention.head_count_kv", heads)),
        "head_dim": int(field(reader, f"{arch}.rope.dimension_count", hidden // heads)),
        "max_position_embeddings": int(field(reader, f"{arch}.context_length")),
        # GGUF keeps these as 32-bit floats: 9.99e-07 is written 1e-06 again.
        "rms_norm_eps": float(f"{field(reader, f'{arch}.attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_theta": float(field(reader, f"{arch}.rope.freq_base", 10000.0)),
        "hidden_act": "silu",
        "tie_word_embeddings": tied,
        "bos_token_id": field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": field(reader, "tokenizer.ggml.eos_token_id"),
        "torch_dtype": "bfloat16",
        "transformers_version": CONFIG_FORMAT,
    }
    if arch == "llama":
        config["attention_bias"] = "blk.0.attn_q.bias" in names
        config["mlp_bias"] = "blk.0.ffn_up.bias" in names
    return config


def hf_tokenizer(reader: gguf.GGUFReader) -> dict[str, Any]:
    """`tokenizer.json` for the vocabulary in the file: ids, merges, splitting rule and added tokens."""
    model, pre = field(reader, "tokenizer.ggml.model"), field(reader, "tokenizer.ggml.pre")
    if model != "gpt2" or pre not in PRE_TOKENIZERS:
        known = ", ".join(PRE_TOKENIZERS)
        raise ConversionError(f"The tokenizer {model!r}/{pre!r} is not known; known are {known}.")
    tokens = cast("list[str]", field(reader, "tokenizer.ggml.tokens"))
    types = cast("list[int]", field(reader, "tokenizer.ggml.token_type"))
    marks = {i: text for i, text in enumerate(tokens) if types[i] in (CONTROL, USER_DEFINED)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": i,
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": types[i] == CONTROL,
            }
            for i, text in marks.items()
        ],
        "normalizer": NORMALIZERS[pre],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": PRE_TOKENIZERS[pre]},
        "post_processor": None,
        "decoder": _byte_level(use_regex=False),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            # With the marks: an added token that is not in here gets a number of the library's own choosing.
            "vocab": {text: i for i, text in enumerate(tokens) if types[i] != UNUSED},
            "merges": [merge.split(" ") for merge in field(reader, "tokenizer.ggml.merges")],
        },
    }


def hf_tokenizer_config(reader: gguf.GGUFReader) -> dict[str, Any]:
    """`tokenizer_config.json`: which tokens begin, end and pad, and the chat template."""
    arch = field(reader, "general.architecture")
    tokens = field(reader, "tokenizer.ggml.tokens")

    def token(role: str) -> str | None:
        at = field(reader, f"tokenizer.ggml.{role}_token_id")
        return None if at is None else tokens[at]

    return {
        "tokenizer_class": TOKENIZERS[arch],
        "add_bos_token": bool(field(reader, "tokenizer.ggml.add_bos_token", False)),
        "bos_token": token("bos"),
        "eos_token": token("eos"),
        "pad_token": token("padding"),
        "clean_up_tokenization_spaces": False,
        "model_max_length": int(field(reader, f"{arch}.context_length")),
        "chat_template": field(reader, "tokenizer.chat_template"),
    }


def hf_name(name: str) -> str:
    """The Hugging Face name of a tensor: `blk.3.attn_q.bias` -> `model.layers.3.self_attn.q_proj.bias`."""
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    match name.split("."):
        case ["blk", layer, part, kind] if part in LAYER_NAMES:
            return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}"
        case _:
            raise ConversionError(f"The file holds a tensor {name!r} that has no known place in the model.")


def undo_permutation(weight: Floats, heads: int) -> Floats:
    """Put the rows of a llama-type q or k projection back into Hugging Face's order of rotary halves.

    llama.cpp interleaves the two halves of each head (`permute` in convert_hf_to_gguf.py); this undoes it.
    """
    rows = weight.shape[0]
    split = weight.reshape(heads, rows // heads // 2, 2, *weight.shape[1:])
    return split.swapaxes(1, 2).reshape(weight.shape)


def dequantized(tensor: gguf.ReaderTensor, rows: int | None = None) -> Floats:
    """The tensor as 32-bit floats, or its first `rows` rows."""
    data = tensor.data if rows is None else tensor.data[:rows]
    return gguf.quants.dequantize(data, tensor.tensor_type).astype(np.float32, copy=False)


def embeddings_tied(reader: gguf.GGUFReader) -> bool:
    """Whether input and output embedding are one matrix: GGUF may hold it twice, quantized in two ways."""
    by_name = {t.name: t for t in reader.tensors}
    output = by_name.get("output.weight")
    if output is None:
        return True
    a = dequantized(by_name["token_embd.weight"], TIED_SAMPLE_ROWS).ravel()
    b = dequantized(output, TIED_SAMPLE_ROWS).ravel()
    return bool(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) > TIED_COSINE)


def write_tensors(reader: gguf.GGUFReader, out: Path, *, tied: bool, on_progress: Progress) -> None:
    """`model.safetensors` in bfloat16."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    arch = field(reader, "general.architecture")
    heads = int(field(reader, f"{arch}.attention.head_count"))
    kv_heads = int(field(reader, f"{arch}.attention.head_count_kv", heads))
    sources = list(reader.tensors)
    names = {t.name for t in sources}
    if tied and "output.weight" in names:
        # Of two copies of one matrix the output's is quantized less: it serves both ends.
        sources = [t for t in sources if t.name != "token_embd.weight"]
    total, done = sum(int(t.n_bytes) for t in sources), 0
    weights: dict[str, torch.Tensor] = {}
    for tensor in sources:
        values = dequantized(tensor)
        if arch == "llama" and ".attn_q." in tensor.name:
            values = undo_permutation(values, heads)
        elif arch == "llama" and ".attn_k." in tensor.name:
            values = undo_permutation(values, kv_heads)
        name = hf_name(tensor.name)
        if tied and name == TOP_NAMES["output.weight"]:
            name = TOP_NAMES["token_embd.weight"]
        weights[name] = torch.tensor(values).to(torch.bfloat16)
        done += int(tensor.n_bytes)
        on_progress(done, total)
    path = out / "model.safetensors"
    try:
        save_file(weights, path, metadata={"format": "pt"})
    except SafetensorError as error:  # wraps what the system said, a full disk above all
        raise ConversionError(f"{path} cannot be written: {error}") from error
    with path.open("rb") as written:
        os.fsync(
            written.fileno()
        )  # the folder is renamed into place next: its content has to be on the disk by then


def convert(source: Path, out: Path, on_progress: Progress) -> None:
    """Write the Hugging Face folder `out` for the GGUF file `source`. Raises ConversionError, OSError."""
    try:
        reader = gguf.GGUFReader(source)
    except (ValueError, IndexError) as error:
        raise ConversionError(f"{source} is not a GGUF file that can be read: {error}") from error
    tied = embeddings_tied(reader)
    config = hf_config(reader, tied=tied)
    out.mkdir(parents=True, exist_ok=True)
    generation = {key: config[key] for key in ("bos_token_id", "eos_token_id")}
    generation["pad_token_id"] = field(reader, "tokenizer.ggml.padding_token_id")
    files = {
        "config.json": config,
        "generation_config.json": generation,
        "tokenizer.json": hf_tokenizer(reader),
        "tokenizer_config.json": hf_tokenizer_config(reader),
    }
    for name, content in files.items():
        (out / name).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    write_tensors(reader, out, tied=tied, on_progress=on_progress)


def main(argv: list[str]) -> int:
    """Command-line entry: 0 when the folder is whole, 1 with the reason on stderr."""
    source, out = Path(argv[0]), Path(argv[1])
    try:
        convert(source, out, lambda done, total: print(done, total, flush=True))
    except (ConversionError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
