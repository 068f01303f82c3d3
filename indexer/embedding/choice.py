"""Which of the ways to run a model is the fastest on this machine, by measurement at its first load; remembered."""

from __future__ import annotations

import hashlib
import logging
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from indexer.embedding.folder import ModelFacts
from indexer.embedding.models import GRAPH_VERSION, Floats, Model, ways
from indexer.embedding.probe import NONSENSE, pieces

if TYPE_CHECKING:
    from indexer.embedding.embedder import Wanted

_log = logging.getLogger(__name__)

LEAST_COSINE = 0.99
"""Mean over the probe texts, to the same model in float32: retrieval is then within 1% (benchmarks/LOG.md)."""

LEAST_WORST_COSINE = 0.96

_PROBE_TEXTS = 12
_SCALE_TEXTS = 48
_ROUNDS = 3
"""Half a second for each way, once per machine and model."""

_REMEMBERED = "choices.json"

_DECISIVE_PACKAGES = ("onnxruntime", "torch", "sentence-transformers")


class Choice(msgspec.Struct, frozen=True):
    """What was measured once for a model on this machine."""

    precision: str
    mean: float
    spread: float
    """Of the cosines of questions without sense to code: see `ranking.Scale`."""


def load(wanted: Wanted) -> tuple[Model, Choice, bool]:
    """The model in its fastest faithful way, and whether that was measured now. Raises BrokenModel, and what the
    libraries raise: ImportError, OSError, ValueError, RuntimeError."""
    facts, graphs = wanted.facts, Path(wanted.graphs)
    possible = ways(facts, graphs)
    key = _key(wanted)
    remembered = _read(graphs / _REMEMBERED)
    known = remembered.get(key)
    if known is not None and known.precision in possible:
        return possible[known.precision](), known, False
    precision = _fastest(facts, graphs)
    model = possible[precision]()
    choice = Choice(precision, *_of_nonsense(wanted, model))
    _remember(graphs / _REMEMBERED, remembered | {key: choice})
    return model, choice, True


def _of_nonsense(wanted: Wanted, model: Model) -> tuple[float, float]:
    """Mean and standard deviation."""
    questions = model.embed([wanted.query_prefix + question for question in NONSENSE], 1)
    texts = model.embed([wanted.document_prefix + piece for piece in pieces(_SCALE_TEXTS)], 1)
    cosines = questions @ texts.T
    return float(cosines.mean()), float(cosines.std())


def _fastest(facts: ModelFacts, graphs: Path) -> str:
    texts = pieces(_PROBE_TEXTS)
    found = ways(facts, graphs)
    exact = list(found)[-1]
    took: dict[str, float] = {}
    reference: Floats | None = None
    for precision in (exact, *list(found)[:-1]):
        model = found[precision]()
        vectors = model.embed(texts, 1)
        if reference is None:
            reference = vectors
        cosines = (vectors * reference).sum(axis=1)
        if cosines.mean() < LEAST_COSINE or cosines.min() < LEAST_WORST_COSINE:
            _log.info("%s in %s is too coarse here: cosine %.3f", facts.folder, precision, cosines.mean())
            continue
        took[precision] = min(_time(model, texts) for _ in range(_ROUNDS))
    _log.info("%s, CPU seconds for %d texts: %s", facts.folder, len(texts), took)
    return min(took, key=lambda precision: took[precision])


def _time(model: Model, texts: list[str]) -> float:
    """CPU time, since others may be busy while we try."""
    started = time.process_time()
    model.embed(texts, 1)
    return time.process_time() - started


def _key(wanted: Wanted) -> str:
    """What the choice depends on."""
    versions = [f"{name} {_version(name)}" for name in _DECISIVE_PACKAGES]
    model = [wanted.facts.fingerprint, wanted.query_prefix, str(GRAPH_VERSION)]
    parts = [*model, platform.machine(), _processor(), *versions]
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def _processor() -> str:
    """Model and instructions, as far as the system tells."""
    try:
        lines = (
            Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split("\n\n")[0].split("\n")
        )
    except OSError:
        return platform.processor()
    return "\n".join(line for line in lines if line.startswith(("model name", "flags", "Features")))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _read(path: Path) -> dict[str, Choice]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Choice])
    except (OSError, msgspec.MsgspecError):
        return {}  # nothing is remembered, or nothing that can be read: it is measured again


def _remember(path: Path, choices: dict[str, Choice]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(choices))
    draft.replace(path)
