"""What speaks for showing a definition, as named features, and how much that is worth in all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from operator import attrgetter, mul

import msgspec

from indexer.messages import Definition
from indexer.packing.spans import Span


class Evidence(msgspec.Struct):
    """Why a definition may be what the next line names. Each between 0 (says nothing) and 1; in the order in which they
    are told, what explains most first."""

    imported_near: float = 0.0
    """Its import is used near the cursor: 1 at the cursor, half 8 lines away."""
    imported_new: float = 0.0
    """It is imported and not used yet."""
    imported_used: float = 0.0
    """It is imported and used somewhere in the file."""
    attribute: float = 0.0
    """It is named behind an imported module, near the cursor."""
    module: float = 0.0
    """It belongs to an imported module."""
    typed: float = 0.0
    """An object of this class, or of one that inherits from it, stands near the cursor."""
    member: float = 0.0
    """It is a member of such a class."""
    part: float = 0.0
    """It is a member of a class that is imported."""
    named: float = 0.0
    """Its name stands near the cursor, and the file does not say whose name that is; of n that are called so, each gets
    a part."""
    in_file: float = 0.0
    """The same, elsewhere in the file."""
    near_by: float = 0.0
    """It stands in the same folder."""
    together: float = 0.0
    """Its file changes together with this one."""
    changed: float = 0.0
    """Its file differs on this branch."""
    edited: float = 0.0
    """Somebody has just edited or looked at it."""
    unsaved: float = 0.0
    """Its file is open and not saved."""
    sibling: float = 0.0
    """The share of the files beside this one that refer to the name."""
    search: float = 0.0
    """Search finds it for the text around the cursor: 1 for the first hit."""
    lexical: float = 0.0
    """Its name is made of words that stand near the cursor."""
    popular: float = 0.0
    """How many files of the root refer to the name, on a logarithmic scale."""
    maker: float = 0.0
    """It makes objects of a class that is imported or at the cursor: what it takes is what a call has to give."""
    private: float = 0.0
    test: float = 0.0
    """It stands in a test, and the cursor does not."""
    type: float = 0.0
    method: float = 0.0
    constant: float = 0.0


FEATURES = Evidence.__struct_fields__


class Candidate(msgspec.Struct):
    """Lines of a file that may be worth their tokens."""

    path: str
    start_line: int
    end_line: int
    definition: Definition | None
    """None for a run of lines that search has found."""
    evidence: Evidence
    reasons: dict[str, str]
    """Feature → why, fit to be read."""
    near: Span | None = None
    """Of lines that search has found, those in which it found most."""

    @property
    def span(self) -> Span:
        return self.start_line, self.end_line


class Weights(msgspec.Struct, frozen=True):
    """A logistic regression: by how much each feature moves the logarithm of the odds."""

    bias: float
    of: Mapping[str, float]


class Chances:
    """A regression, ready to be asked about many candidates."""

    def __init__(self, weights: Weights) -> None:
        self._bias = weights.bias
        self._factors = tuple(weights.of.values())
        self._values: Callable[[Evidence], tuple[float, ...]] = attrgetter(*weights.of)

    def of(self, evidence: Evidence) -> float:
        """The probability that the next line names it."""
        total = self._bias + sum(map(mul, self._factors, self._values(evidence)))
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))


def told(candidate: Candidate, most: int = 2) -> list[str]:
    """The reasons that explain most, in words."""
    found = [candidate.reasons[name] for name in FEATURES if candidate.reasons.get(name)]
    if len(found) > 1 and "popular" in candidate.reasons:
        found.remove(candidate.reasons["popular"])  # explains little where anything else does
    return found[:most]
