"""aider's first map of a repository, timed: run as a plain file by the interpreter of the venv that holds aider.

`aider_child.py ROOT` reads file names from stdin, one a line, and prints one JSON object. Everything that aider and
networkx import is imported before the clock starts. It imports nothing of Foreword.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

MAP_TOKENS = 1024
"""aider's own default; without files in the chat it multiplies this itself, by 8."""
CONTEXT_WINDOW = 128_000
CHARACTERS_PER_TOKEN = 4
IMPORTED_BY_THE_MAP = ("networkx", "numpy", "scipy.sparse", "pygments.lexers.python")
"""Which aider or its libraries import only while they make the map."""


class Model:
    """What the map asks of a model. Counting characters is faster than any tokenizer: this favours aider."""

    def token_count(self, text: str) -> int:
        return len(text) // CHARACTERS_PER_TOKEN


class Console:
    """What the map asks of aider's terminal."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def read_text(self, filename: str) -> str | None:
        try:
            return Path(filename).read_text(encoding="utf-8")
        except (OSError, UnicodeError):
            return None

    def tool_output(self, *messages: str, **_: Any) -> None:
        """Told to nobody."""

    def tool_warning(self, message: str = "", **_: Any) -> None:
        self.warnings.append(message)

    tool_error = tool_warning


def main(root: str) -> None:
    repomap: Any = importlib.import_module("aider.repomap")
    for name in IMPORTED_BY_THE_MAP:
        importlib.import_module(name)
    names = [line.rstrip("\n") for line in sys.stdin]
    cache = Path(root) / repomap.RepoMap.TAGS_CACHE_DIR
    shutil.rmtree(cache, ignore_errors=True)
    console = Console()
    began, cpu = time.perf_counter(), time.process_time()
    made = repomap.RepoMap(
        map_tokens=MAP_TOKENS, root=root, main_model=Model(), io=console, max_context_window=CONTEXT_WINDOW
    )
    text = made.get_repo_map([], [str(Path(root) / name) for name in names])
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    shutil.rmtree(cache, ignore_errors=True)
    answer = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "characters": len(text or ""),
        "warnings": console.warnings,
    }
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
