"""sentence-transformers as it comes, timed: `stock_child.py MODEL_FOLDER THREADS` reads lists of texts from stdin, one
JSON document a line, and answers each with the seconds that `encode` took. It imports nothing of Foreword."""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

WARM_TEXTS = ["def warm(): return 1", "class Warm:\n    pass"] * 16
"""The first batches of a process compile kernels for their shapes."""


def main(folder: str, threads: int) -> None:
    torch: Any = importlib.import_module("torch")
    library: Any = importlib.import_module("sentence_transformers")
    torch.set_num_threads(threads)
    model = library.SentenceTransformer(folder, device="cpu", local_files_only=True)
    model.encode(WARM_TEXTS, show_progress_bar=False)
    versions = f"sentence-transformers {library.__version__}, torch {torch.__version__}"
    _answer({"versions": versions})
    for line in sys.stdin:
        texts = json.loads(line)
        began = time.perf_counter()
        model.encode(texts, show_progress_bar=False)
        _answer({"seconds": time.perf_counter() - began})


def _answer(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
