"""What can be said of every candidate, whoever has found it: of its file, and of what it is called."""

from __future__ import annotations

import math
from collections.abc import Mapping

from indexer.messages import Definition
from indexer.packing.evidence import Candidate, Evidence
from indexer.packing.spans import CONTAINERS
from indexer.packing.view import IndexView
from indexer.parsing.definitions import FUNCTION_KINDS

TYPES = CONTAINERS | {"type"}

_NO_CONSTANTS = TYPES | FUNCTION_KINDS

_POPULAR = math.log1p(100)
"""What a hundred files refer to is as popular as can be."""


class Telling:
    """For one pack."""

    def __init__(
        self, view: IndexView, own_path: str, said: Mapping[str, float], used: Mapping[str, float]
    ) -> None:
        """`said`: words near the cursor. `used`: names that the files beside this one use."""
        self._view = view
        self._said = said
        self._used = used
        self._together = dict(view.history.together(own_path))
        self._folder = own_path.rpartition("/")[0]
        self._own_is_test = is_test(own_path)
        self._of_paths: dict[str, tuple[float, float, float, float]] = {}
        self._of_names: dict[str, tuple[float, float, float, float]] = {}

    def of(self, candidate: Candidate) -> None:
        """Adds it to its evidence, once all else but search has been added."""
        evidence, path = candidate.evidence, candidate.path
        known = self._of_paths.get(path)
        if known is None:
            known = self._of_paths[path] = self._place(path)
        evidence.near_by, evidence.together, evidence.changed, evidence.test = known
        if candidate.definition is not None:
            self._named(evidence, candidate.definition)

    def _place(self, path: str) -> tuple[float, float, float, float]:
        return (
            float(path.rpartition("/")[0] == self._folder),
            min(1.0, self._together.get(path, 0.0)),
            float(path in self._view.history.changed),
            float(is_test(path) and not self._own_is_test),
        )

    def _named(self, evidence: Evidence, definition: Definition) -> None:
        name, kind = definition.name, definition.kind
        known = self._of_names.get(name)
        if known is None:
            known = self._of_names[name] = self._name(name)
        lexical, sibling, evidence.popular, evidence.private = known
        if lexical > evidence.lexical:
            evidence.lexical = lexical
        if sibling > evidence.sibling:
            evidence.sibling = sibling
        if kind in TYPES:
            evidence.type = 1.0
        if kind in FUNCTION_KINDS and definition.container:
            evidence.method = 1.0
        if kind not in _NO_CONSTANTS:
            evidence.constant = 1.0

    def _name(self, name: str) -> tuple[float, float, float, float]:
        return (
            self._view.lexicon.likeness(name, self._said),
            self._used.get(name, 0.0),
            min(1.0, math.log1p(self._view.popularity(name)) / _POPULAR),
            float(name.startswith("_") and not name.endswith("__")),
        )


def is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    marked = name.startswith(("test_", "conftest")) or any(
        mark in name for mark in ("_test.", ".test.", ".spec.")
    )
    return marked or any(f"/{folder}/" in f"/{path}" for folder in ("test", "tests", "__tests__"))
