"""aider's repository map for one cursor after another: run as a plain file by the interpreter of the venv that holds
aider.

`aider_map_child.py ROOT` reads one JSON line with the names of the files, and then one question a line (`path`, the
file in the chat, `mentioned`, identifiers, and `tokens`). While it makes a map it asks back how many tokens a text has
(`{"count": …}`, answered by a number), so that the tokenizer is the asker's. It imports nothing of Foreword.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

IMPORTED_BY_THE_MAP = ("networkx", "numpy", "scipy.sparse", "pygments.lexers.python")
"""Which aider or its libraries import only while they make the map."""


class Model:
    """What the map asks of a model."""

    def token_count(self, text: str) -> int:
        answer({"count": text})
        return int(sys.stdin.readline())


class Console:
    """What the map asks of aider's terminal."""

    def read_text(self, filename: str) -> str | None:
        try:
            return Path(filename).read_text(encoding="utf-8")
        except (OSError, UnicodeError):
            return None

    def tool_output(self, *messages: str, **_: Any) -> None:
        """Told to nobody."""

    tool_warning = tool_error = tool_output


def main(root: str) -> None:
    repomap: Any = importlib.import_module("aider.repomap")
    for name in IMPORTED_BY_THE_MAP:
        importlib.import_module(name)
    names: list[str] = json.loads(sys.stdin.readline())["files"]
    cache = Path(root) / repomap.RepoMap.TAGS_CACHE_DIR
    try:
        made = repomap.RepoMap(root=root, main_model=Model(), io=Console())
        answer({"ready": "aider"})
        for line in sys.stdin:
            asked = json.loads(line)
            made.max_map_tokens = asked["tokens"]
            chat = str(Path(root) / asked["path"])
            others = [str(Path(root) / name) for name in names if name != asked["path"]]
            began = time.perf_counter()
            text = made.get_repo_map([chat], others, set(), set(asked["mentioned"]), force_refresh=True)
            answer({"seconds": time.perf_counter() - began, "map": text or ""})
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def answer(told: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
