"""How an embedding model runs here: a BERT in ONNX Runtime, everything else in sentence-transformers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.embedding.folder import ModelFacts

Floats = NDArray[np.float32]

Precision = Literal["int8", "uint8", "float32"]
"""Of the weights in products. `int8` is the fastest where the processor has dot products of unsigned with signed bytes;
where it has none, sums of two may saturate in 16 bits, and `uint8` is the exact way."""

GRAPH_VERSION = 2
"""Raised with every change of `bert_graph`: graphs made before are made anew."""

ARCHITECTURES = ("bert", "roberta", "xlm-roberta", "camembert")
"""`model_type`s whose layers `bert_graph` makes; others run in PyTorch."""

POSITIONS_AFTER_PADDING = ARCHITECTURES[1:]
"""RoBERTa counts positions from the one behind the padding token's number."""

_CHARACTERS_PER_TOKEN = 8
"""What lies behind so many for each token that the model reads is only work for its tokenizer."""

_BATCH = 16
"""Texts of one pass in PyTorch; more does not get faster on one thread and makes a question wait longer."""

_ERRORS_ONLY = 3


class Model(Protocol):
    """A loaded model."""

    precision: str

    def embed(self, texts: Sequence[str], threads: int) -> Floats:
        """Unit vectors [texts, dimensions]; on at most so many threads."""
        ...


class OnnxModel:
    """A BERT in ONNX Runtime: no PyTorch, loaded in a fifth of a second, 140 MB."""

    def __init__(self, facts: ModelFacts, precision: Precision, graphs: Path) -> None:
        """The graph is made once and kept in the folder `graphs`. Raises BrokenModel and OSError."""
        import onnxruntime

        self.precision = precision
        self._dimensions = facts.dimensions
        self._encode = tokenizer_of(facts)
        file = graphs / f"{facts.fingerprint}-{facts.max_tokens}-{precision}-{GRAPH_VERSION}.onnx"
        if not file.exists():
            from indexer.embedding.bert_graph import build

            _write(file, build(facts, precision))
        self._session: Any = onnxruntime.InferenceSession(
            str(file), session_options(), providers=["CPUExecutionProvider"]
        )

    def embed(self, texts: Sequence[str], threads: int) -> Floats:
        found = np.empty((len(texts), self._dimensions), np.float32)

        def one(place: int) -> None:
            ids = np.array([self._encode(texts[place])], np.int32)
            found[place] = self._session.run(None, {"ids": ids})[0][0]

        if threads == 1 or len(texts) == 1:
            for place in range(len(texts)):
                one(place)
            return found
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, range(len(texts))))
        return found


def tokenizer_of(facts: ModelFacts) -> Callable[[str], list[int]]:
    """Cuts a text into the tokens that the model reads."""
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(Path(facts.folder) / "tokenizer.json"))
    tokenizer.enable_truncation(facts.max_tokens)
    tokenizer.no_padding()
    characters = facts.max_tokens * _CHARACTERS_PER_TOKEN
    return lambda text: tokenizer.encode(text[:characters]).ids


def session_options() -> Any:
    """Of ONNX Runtime."""
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # texts are shared out among threads, not the products of one
    options.log_severity_level = _ERRORS_ONLY
    # the level above joins an addition and a normalization into one operator that is ten times slower than both
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return options


class TorchModel:
    """Any sentence-transformers model in PyTorch."""

    def __init__(self, facts: ModelFacts, precision: str) -> None:
        """Raises what sentence-transformers raises: ImportError, OSError, ValueError, RuntimeError."""
        import torch
        from sentence_transformers import SentenceTransformer

        self.precision = precision
        self._torch: Any = torch
        self._characters = facts.max_tokens * _CHARACTERS_PER_TOKEN
        model: Any = SentenceTransformer(
            facts.folder, device="cpu", local_files_only=True, trust_remote_code=False
        )
        model.max_seq_length = facts.max_tokens
        self._model: Any = model.to(torch.bfloat16) if precision == "bfloat16" else model

    def embed(self, texts: Sequence[str], threads: int) -> Floats:
        self._torch.set_num_threads(threads)
        cut = [text[: self._characters] for text in texts]
        found: Any = self._model.encode(
            cut,
            batch_size=_BATCH,
            prompt="",  # prefixes stand in the texts already
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.ascontiguousarray(found, np.float32)


def ways(facts: ModelFacts, graphs: Path) -> dict[str, Callable[[], Model]]:
    """How this model may run, by precision; the last is the one that the others are held against."""
    if _is_bert(facts) and _has_onnx():
        precisions: tuple[Precision, ...] = ("int8", "uint8", "float32")
        return {it: lambda it=it: OnnxModel(facts, it, graphs) for it in precisions}
    return {it: lambda it=it: TorchModel(facts, it) for it in ("bfloat16", "float32")}


def _is_bert(facts: ModelFacts) -> bool:
    files = ("tokenizer.json", "model.safetensors")
    here = all((Path(facts.folder) / file).exists() for file in files)
    return here and facts.plain and facts.architecture in ARCHITECTURES


def _has_onnx() -> bool:
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, draft = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
