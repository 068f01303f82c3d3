"""What a model may be trusted with when it edits: by its score in `foreword bench edit` where that was measured, else
by the size that its name tells."""

from __future__ import annotations

import re

import msgspec

SCORES: dict[str, float] = {
    "qwen2.5-coder-0.5b": 0.01,  # 24 changes in seven languages; 6 of its answers change anything
}
"""`diff_similarity` of `foreword bench edit` with the suite of releases, by short name: of the lines that a true change
takes away and adds, and those that the model's does, the share that both have (F1)."""

LEAST_SCORE = 0.3
"""For an edit of several files: below it, most lines that a model changes are not those that were to change, and with
several files nobody looks at each."""

LEAST_BILLIONS = 3.0
"""Of parameters, where nothing was measured."""

_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s?([bm])(?![a-z0-9])", re.IGNORECASE)


class Ability(msgspec.Struct, frozen=True):
    several_files: bool
    """It is offered edits of several files."""
    small: bool
    """It gets examples of one place, few blocks, and greedy decoding."""
    why: str
    """For people."""


def ability(model: str) -> Ability:
    """Of a model by its short name or the name that its server knows."""
    size = billions(model)
    small = size is not None and size < LEAST_BILLIONS
    score = SCORES.get(model.rpartition("/")[2].lower().removesuffix("-instruct"))
    if score is not None:
        enough = score >= LEAST_SCORE
        told = f"{model} has {score:.2f} in foreword bench edit, and {LEAST_SCORE:.2f} is asked for"
        return Ability(enough, small, told)
    if size is None:
        return Ability(True, False, f"{model or 'this model'} was not measured, and its name tells no size")
    told = (
        f"{model} was not measured; it has {size:g} billion parameters, and {LEAST_BILLIONS:g} are asked for"
    )
    return Ability(not small, small, told)


def billions(model: str) -> float | None:
    """Of parameters, as far as the name tells: `0.5b`, `30B-A3B`, `135M`; the first counts."""
    found = _SIZE.search(model.replace("-", " ").replace("_", " ").replace(":", " ").replace("/", " "))
    if found is None:
        return None
    return float(found[1]) / (1 if found[2].lower() == "b" else 1_000)
