"""An embedder that costs next to nothing: the default model's first layer alone, and the first tokens of each text.

Its vectors are as many and as long as the real ones and tell texts apart, so search over them costs what it costs with
the whole model; making 100,000 of them takes a minute instead of half an hour, and a question's about nothing.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

TOKENS = 32
WEIGHTS, CONFIGURATION, LIMITS = "model.safetensors", "config.json", "sentence_bert_config.json"
_LATER_LAYER = re.compile(r"encoder\.layer\.[1-9]\d*\.")


def make(model: Path, target: Path) -> Path:
    """`target`, as a model folder of its own made from the folder `model`."""
    safetensors: Any = importlib.import_module("safetensors.numpy")
    draft = target.with_name(f"{target.name}.new")
    shutil.copytree(
        model, draft, ignore=shutil.ignore_patterns(WEIGHTS, "onnx", "openvino", "*.bin", "*.h5", "*.ot")
    )
    weights = safetensors.load_file(model / WEIGHTS)
    kept = {name: value for name, value in weights.items() if not _LATER_LAYER.search(name)}
    safetensors.save_file(kept, draft / WEIGHTS, metadata={"format": "pt"})
    _changed(draft / CONFIGURATION, "num_hidden_layers", 1)
    _changed(draft / LIMITS, "max_seq_length", TOKENS)
    draft.rename(target)
    return target


def _changed(path: Path, name: str, value: int) -> None:
    found = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**found, name: value}), "utf-8")
