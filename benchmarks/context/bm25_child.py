"""BM25 over windows of lines, ranked by bm25s: run as a plain file by the interpreter of the venv that holds it.

`bm25_child.py ROOT` reads one JSON line with the names of the files, and then one question a line (`query`, and `path`,
the file whose windows do not count); it answers each with the places of the best windows. It imports nothing of
Foreword.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

WINDOW_LINES = 20
STEP_LINES = 10
"""Windows overlap by half, so that a definition is whole in one of them."""
MOST_WINDOWS = 400
"""Of an answer: more than any budget has room for."""
WORD = re.compile(r"[^\W\d]\w*")
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words(text: str) -> list[str]:
    """Identifiers, and the words that they are made of."""
    found: list[str] = []
    for name in WORD.findall(text):
        parts = PART.findall(name)
        found.append(name.lower())
        if len(parts) > 1:
            found.extend(part.lower() for part in parts)
    return found


def windows(root: Path, names: list[str]) -> tuple[list[tuple[str, int]], list[list[str]]]:
    """(path, first line) of each window, and its words."""
    places: list[tuple[str, int]] = []
    texts: list[list[str]] = []
    for name in names:
        try:
            lines = (root / name).read_text("utf-8").splitlines()
        except (OSError, UnicodeError):
            continue
        for start in range(0, max(1, len(lines) - STEP_LINES), STEP_LINES):
            said = words("\n".join(lines[start : start + WINDOW_LINES]))
            if said:
                places.append((name, start))
                texts.append(said)
    return places, texts


def main(root: str) -> None:
    bm25s: Any = importlib.import_module("bm25s")
    names: list[str] = json.loads(sys.stdin.readline())["files"]
    places, texts = windows(Path(root), names)
    index = bm25s.BM25()
    index.index(texts, show_progress=False)
    answer({"ready": f"bm25s {bm25s.__version__}"})
    for line in sys.stdin:
        asked = json.loads(line)
        began = time.perf_counter()
        scores = index.get_scores(words(asked["query"]))
        best = [
            number
            for number in scores.argsort(kind="stable")[::-1][: MOST_WINDOWS * 2]
            if scores[number] > 0 and places[number][0] != asked["path"]
        ]
        seconds = time.perf_counter() - began
        answer({"seconds": seconds, "windows": [places[number] for number in best[:MOST_WINDOWS]]})


def answer(told: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
