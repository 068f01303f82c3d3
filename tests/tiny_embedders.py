"""Tiny random BERTs as sentence-transformers folders, for tests of whatever runs an embedder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

WORDS = (
    *("how", "is", "the", "area", "of", "a", "circle", "computed", "def", "return", "send"),
    *("mail", "to", "parse", "date", "retry", "fetch", "open", "file", "close"),
)
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
HIDDEN, LAYERS, HEADS, WIDE, POSITIONS = 64, 2, 4, 128, 80
SPREAD = 0.15
"""Standard deviation of the weights: wide enough that texts are told apart."""


def make(
    folder: Path,
    *,
    seed: int = 0,
    hidden: int = HIDDEN,
    architecture: str = "bert",
    pooling: str = "mean_tokens",
    prompts: dict[str, str] | None = None,
    max_tokens: int = 48,
) -> Path:
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    _write(folder / "config.json", _config(architecture, hidden))
    _write(
        folder / "modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ],
    )
    (folder / "1_Pooling").mkdir()
    _write(
        folder / "1_Pooling/config.json",
        {"word_embedding_dimension": hidden, f"pooling_mode_{pooling}": True},
    )
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", {"prompts": prompts or {}})
    save_file(_weights(architecture, hidden, seed), folder / "model.safetensors", metadata={"format": "pt"})
    _tokenizer(folder)
    return folder


def _config(architecture: str, hidden: int) -> dict[str, Any]:
    named = {"bert": "BertModel", "roberta": "RobertaModel"}[architecture]
    return {
        "architectures": [named],
        "model_type": architecture,
        "hidden_size": hidden,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": WIDE,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "vocab_size": len(MARKS) + len(WORDS),
        "type_vocab_size": 1,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
    }


def _weights(architecture: str, hidden: int, seed: int) -> dict[str, Any]:
    chance = np.random.default_rng(seed)

    def some(*shape: int) -> Any:
        return (chance.standard_normal(shape) * SPREAD).astype(np.float32)

    def norm(name: str) -> dict[str, Any]:
        return {f"{name}.weight": 1 + some(hidden), f"{name}.bias": some(hidden)}

    def dense(name: str, outputs: int, inputs: int) -> dict[str, Any]:
        return {f"{name}.weight": some(outputs, inputs), f"{name}.bias": some(outputs)}

    found = {
        "embeddings.word_embeddings.weight": some(len(MARKS) + len(WORDS), hidden) * 5,
        "embeddings.position_embeddings.weight": some(POSITIONS, hidden),
        "embeddings.token_type_embeddings.weight": some(1, hidden),
        **norm("embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            found |= dense(f"{name}.attention.self.{part}", hidden, hidden)
        found |= dense(f"{name}.attention.output.dense", hidden, hidden)
        found |= norm(f"{name}.attention.output.LayerNorm")
        found |= dense(f"{name}.intermediate.dense", WIDE, hidden)
        found |= dense(f"{name}.output.dense", hidden, WIDE)
        found |= norm(f"{name}.output.LayerNorm")
    return found


def _tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    numbers = {word: number for number, word in enumerate((*MARKS, *WORDS))}
    tokenizer = Tokenizer(WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    marks = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), MARKS, strict=True))
    _write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": POSITIONS, **marks},
    )


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))
