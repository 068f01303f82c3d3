"""What a run has found so far, and what it could not find."""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """Something that was to be measured and could not be."""

    target: str
    what: str
    reason: str


class Results(msgspec.Struct):
    """What a run has found so far."""

    measured: dict[str, dict[str, list[float]]] = {}
    described: dict[tuple[str, str], str] = {}
    """By row and target: the settings that it ran with."""
    problems: list[Problem] = []

    def add(self, row: str, target: str, values: list[float], settings: str = "") -> None:
        self.measured.setdefault(row, {})[target] = values
        self.described[row, target] = settings

    def failed(self, target: str, what: str, error: Exception) -> None:
        self.problems.append(Problem(target, what, str(error)))
