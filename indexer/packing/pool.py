"""Collects what speaks for each definition of a root, from many sides."""

from __future__ import annotations

from collections.abc import Iterable

from indexer.messages import Definition
from indexer.packing.evidence import Candidate, Evidence
from indexer.packing.spans import Span

Place = tuple[str, int, str]
"""Path, first line and name."""


class Pool:
    """Candidates by place. Never of the cursor's own file."""

    def __init__(self, own_path: str) -> None:
        self._own_path = own_path
        self._found: dict[Place, Candidate] = {}
        self._fresh: list[Candidate] = []

    def add(self, definition: Definition, feature: str, strength: float, reason: str) -> None:
        """The strongest of each feature counts."""
        if definition.path == self._own_path or strength <= 0.0:
            return
        place = definition.path, definition.start_line, definition.name
        known = self._found.get(place)
        if known is None:
            known = self._found[place] = Candidate(
                definition.path, definition.start_line, definition.end_line, definition, Evidence(), {}
            )
            self._fresh.append(known)
        if strength > getattr(known.evidence, feature):
            setattr(known.evidence, feature, min(1.0, strength))
            known.reasons[feature] = reason

    def add_lines(
        self, path: str, start_line: int, end_line: int, near: Span, strength: float, reason: str
    ) -> None:
        """Lines that search has found, those in which it found most being `near`."""
        place = path, start_line, ""
        if path != self._own_path and place not in self._found:
            evidence, reasons = Evidence(search=strength), {"search": reason}
            found = Candidate(path, start_line, end_line, None, evidence, reasons, near=near)
            self._found[place] = found
            self._fresh.append(found)

    def fresh(self) -> list[Candidate]:
        """Those that have come since this was asked last."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def candidates(self) -> list[Candidate]:
        """By place."""
        return [self._found[place] for place in sorted(self._found)]


def closeness(distance: int) -> float:
    """Of something so many lines from the cursor: 1 at the cursor, half 8 lines away."""
    return 1.0 / (1.0 + distance / 8)


def first(definitions: Iterable[Definition], most: int) -> list[Definition]:
    return [one for one, _ in zip(definitions, range(most), strict=False)]
