"""What the folder of a sentence-transformers model says of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

Pooling = Literal["mean", "cls", "other"]

_MOST_TOKENS = 512
"""Of a chunk, where a model would read more: chunks are of 60 lines, and attention costs the square."""

_DEFAULT_TOKENS = 256

_MODULES = "sentence_transformers."
_QUERY_PROMPTS = ("query", "search_query", "code_query")
_DOCUMENT_PROMPTS = ("document", "passage", "search_document", "code_document", "corpus")
"""What models call them in `config_sentence_transformers.json`, most usual first."""

_HASHED = (".safetensors", ".bin", ".json", ".txt", ".model")
"""Suffixes of what decides about vectors: weights, configuration, vocabulary."""

_DIGEST_BYTES = 6


class BrokenModel(ValueError):
    """The folder holds no model that can be used; the message says what is wrong with it."""


class ModelFacts(msgspec.Struct, frozen=True):
    folder: str
    architecture: str
    """`model_type` of its config.json."""
    dimensions: int
    max_tokens: int
    pooling: Pooling
    plain: bool
    """Whether its vector is the pooled and normalized output of one transformer, and nothing more."""
    query_prefix: str
    document_prefix: str
    fingerprint: str
    """Of weights, configuration and vocabulary."""


def read(folder: Path) -> ModelFacts:
    """Raises BrokenModel. Reads the whole weights: blocks for a tenth of a second per 100 MB."""
    config = _json(folder / "config.json")
    modules = _modules(folder)
    kinds = [kind for kind, _ in modules]
    if kinds[:1] != ["Transformer"]:
        raise BrokenModel(f"{folder} begins with a module {kinds[:1]}, not with a transformer")
    pooling, dimensions = _pooling(folder, modules, config)
    sentence = _json(folder / "sentence_bert_config.json", {})
    prompts = _json(folder / "config_sentence_transformers.json", {}).get("prompts") or {}
    return ModelFacts(
        folder=str(folder),
        architecture=str(config.get("model_type", "")),
        dimensions=dimensions,
        max_tokens=_max_tokens(config, sentence),
        pooling=pooling,
        plain=set(kinds[1:]) <= {"Pooling", "Normalize"} and pooling != "other",
        query_prefix=_prompt(prompts, _QUERY_PROMPTS),
        document_prefix=_prompt(prompts, _DOCUMENT_PROMPTS),
        fingerprint=_fingerprint(folder),
    )


def _modules(folder: Path) -> list[tuple[str, str]]:
    """(kind, folder) of the modules in their order."""
    listed = _json(folder / "modules.json", None)
    if not isinstance(listed, list):
        raise BrokenModel(f"{folder} has no modules.json: it is no sentence-transformers model")
    found: list[tuple[str, str]] = []
    for module in cast("list[dict[str, Any]]", listed):
        kind = str(module.get("type", ""))
        if not kind.startswith(_MODULES):
            raise BrokenModel(f"{folder} has a module {kind!r} with code of its own, which is not run")
        found.append((kind.rpartition(".")[2], str(module.get("path", ""))))
    return found


def _pooling(folder: Path, modules: list[tuple[str, str]], config: dict[str, Any]) -> tuple[Pooling, int]:
    """How tokens become one vector, and how long that is."""
    dimensions = config.get("hidden_size") or config.get("dim") or config.get("d_model") or 0
    pooling: Pooling = "other"
    for kind, path in modules:
        said = _json(folder / path / "config.json", {}) if kind in ("Pooling", "Dense") else {}
        if kind == "Pooling":
            dimensions = said.get("word_embedding_dimension", dimensions)
            modes = {name for name, on in said.items() if name.startswith("pooling_mode_") and on is True}
            chosen = said.get("pooling_mode") or ",".join(sorted(modes))
            pooling = {
                "mean": "mean",
                "cls": "cls",
                "pooling_mode_mean_tokens": "mean",
                "pooling_mode_cls_token": "cls",
            }.get(str(chosen), "other")  # pyright: ignore[reportAssignmentType]
        elif kind == "Dense":
            dimensions = said.get("out_features", dimensions)
    if not isinstance(dimensions, int) or dimensions <= 0:
        raise BrokenModel(f"{folder} does not say how many numbers a vector of it has")
    return pooling, dimensions


def _max_tokens(config: dict[str, Any], sentence: dict[str, Any]) -> int:
    said = sentence.get("max_seq_length") or config.get("max_position_embeddings") or _DEFAULT_TOKENS
    return min(int(said), _MOST_TOKENS)


def _prompt(prompts: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(prompts[name]) for name in names if prompts.get(name)), "")


def _fingerprint(folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    weights = False
    for path in sorted(folder.rglob("*")):
        if path.suffix not in _HASHED or not path.is_file() or "onnx" in path.relative_to(folder).parts:
            continue
        weights = weights or path.suffix in (".safetensors", ".bin")
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    if not weights:
        raise BrokenModel(f"{folder} has no weights (model.safetensors)")
    return digest.hexdigest()


_REQUIRED = object()


def _json(path: Path, default: Any = _REQUIRED) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if default is _REQUIRED:
            raise BrokenModel(
                f"{path.parent} has no {path.name}: it is no sentence-transformers model"
            ) from None
        return default
    except (OSError, ValueError) as failed:
        raise BrokenModel(f"{path} cannot be read: {failed}") from failed
