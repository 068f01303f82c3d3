"""The embedding model itself. Runs in one niced child process, the only one of the index that loads torch."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.children import settle_in

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BATCH = 16
"""Texts of one forward pass; more does not get faster on one thread and makes a question wait longer."""


def settle_in_offline() -> None:
    """As every child, and deaf to the model hub: the folder is whole."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # every length of text is a shape of its own, and by default 1024 compiled shapes are kept: 500 MB
    os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "16"
    settle_in()


@lru_cache(maxsize=1)
def _model(folder: str) -> SentenceTransformer:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)  # two threads on busy cores took a query from 13 to 488 ms
    model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    return model.to(torch.bfloat16) if _bfloat16_is_fast() else model


def embed(folder: str, texts: list[str]) -> bytes:
    """Unit vectors of these texts, as rows of little-endian float32."""
    import numpy as np

    vectors = _model(folder).encode(
        texts, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
    )
    return np.ascontiguousarray(vectors, dtype="<f4").tobytes()


def _bfloat16_is_fast() -> bool:
    """Whether the processor multiplies bfloat16 itself; elsewhere it is emulated and slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
