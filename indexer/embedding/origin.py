"""Where an embedding model comes from: the default one, a folder of this machine, or the model hub."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec

from indexer.embedding import folder as model_folder
from indexer.embedding import weights
from indexer.embedding.embedder import Wanted
from indexer.embedding.folder import BrokenModel
from indexer.embedding.settings import EmbedderSettings
from indexer.embedding.weights import WeightsUnavailable, models_folder

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_DOWNLOAD_TIMEOUT_S = 3_600.0
"""A gigabyte over a slow line."""

_GRAPHS = "onnx"


def find(settings: EmbedderSettings) -> Wanted:
    """The model with what is to be known of it. Blocks: may download, and reads all weights once.
    Raises WeightsUnavailable, BrokenModel and OSError."""
    folder = folder_of(settings.model)
    facts = model_folder.read(folder)
    if not settings.model:  # named by the hash of its archive, whatever else a later version of us may hash
        facts = msgspec.structs.replace(facts, fingerprint=weights.FINGERPRINT)
    if settings.max_tokens:
        facts = msgspec.structs.replace(facts, max_tokens=min(facts.max_tokens, settings.max_tokens))
    chosen = settings.query_prefix, settings.document_prefix
    own = facts.query_prefix, facts.document_prefix
    query, document = (mine if mine is not None else its for mine, its in zip(chosen, own, strict=True))
    facts = msgspec.structs.replace(facts, fingerprint=facts.fingerprint + settings.suffix())
    return Wanted(facts, str(models_folder() / _GRAPHS), query_prefix=query, document_prefix=document)


def folder_of(model: str) -> Path:
    """Raises WeightsUnavailable and BrokenModel."""
    if not model:
        return weights.ensure()
    folder = Path(model).expanduser()
    if folder.is_absolute():
        if not folder.is_dir():
            raise BrokenModel(
                f"the embedder {model} is no folder: name one, or a model of the hub as owner/name"
            )
        return folder
    if not _HUB_NAME.fullmatch(model):
        raise BrokenModel(
            f"the embedder {model!r} is neither an absolute folder nor a model of the hub as owner/name"
        )
    return _from_hub(model)


def _from_hub(model: str) -> Path:
    target = models_folder() / "hub" / model.replace("/", "--")
    if (target / "modules.json").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "indexer.embedding.hub", model, str(target)],
            capture_output=True,
            timeout=_DOWNLOAD_TIMEOUT_S,
            check=False,
            cwd=target.parent,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"HF_HUB_DISABLE_TELEMETRY": "1"},
        )
    except subprocess.TimeoutExpired as late:
        raise WeightsUnavailable(
            f"downloading the embedder {model} took more than {_DOWNLOAD_TIMEOUT_S:.0f} s"
        ) from late
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason was given"]
        raise WeightsUnavailable(
            f"the embedder {model} cannot be had from the model hub ({lines[-1]}): name a folder with it instead"
        )
    return target
