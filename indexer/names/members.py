"""Members of types: what a type defines itself, what it has from its bases, and what its attributes are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from indexer.names.memos import Memos, Question
from indexer.names.rootfacts import RootFacts
from indexer.names.tables import OF_TYPES
from indexer.names.values import Names, Place

if TYPE_CHECKING:
    from indexer.names.evaluation import Evaluation

_MOST_BASES = 200
"""Of one type with all above it; only made-up code has more."""


class Line(msgspec.Struct, frozen=True):
    """A type and what it has its members from, in the order in which they are looked at."""

    types: tuple[Place, ...]
    missing: tuple[str, ...] = ()
    """Bases, as written, that this repository does not hold or that cannot be told."""


class Members:
    evaluation: Evaluation

    def __init__(self, facts: RootFacts, memos: Memos) -> None:
        self._facts = facts
        self.bases = Question(memos, self._bases, in_cycle=lambda: Line(()))
        self._line = Question(memos, self._whole_line, in_cycle=lambda: Line(()))
        self._scattered = Question(memos, self._elsewhere, in_cycle=lambda: ())

    def _bases(self, path: str, ordinal: int) -> Line:
        """The direct bases, resolved in the file that names them."""
        table = self._facts.table(path)
        found: list[Place] = []
        missing: list[str] = []
        for base in table.tags[ordinal].bases:
            value = self.evaluation.types.named(path, base, table.parent(ordinal))
            if isinstance(value, Names):
                found += (place for place in value.places if place != (path, ordinal))
            else:
                missing.append(base)
        return Line(tuple(found), tuple(missing))

    def line(self, place: Place) -> Line:
        """The type first, then its bases; each as late as possible, as in Python's own order of resolution."""
        found = self._line(*place)
        return found if found.types else Line((place,), found.missing)

    def _whole_line(self, path: str, ordinal: int) -> Line:
        first = (path, ordinal)
        met: list[Place] = []
        missing: dict[str, None] = {}
        pending: list[tuple[Place, frozenset[Place]]] = [(first, frozenset())]
        while pending and len(met) < _MOST_BASES:
            place, below = pending.pop()
            met.append(place)
            direct = self.bases(*place)
            missing.update(dict.fromkeys(direct.missing))
            below |= {place}
            pending += ((base, below) for base in reversed(direct.types) if base not in below)
        return Line(tuple(reversed(dict.fromkeys(reversed(met)))), tuple(missing))

    def of(self, types: Sequence[Place], name: str, *, above: bool = False) -> tuple[Place, ...]:
        """The definitions of a member: those of the first in the line that has it. `above`: of the bases only."""
        found: dict[Place, None] = {}
        for one in types:
            for place in self.line(one).types[above:]:
                if own := self.own(place, name):
                    found.update(dict.fromkeys(own))
                    break
        return tuple(found)

    def missing(self, types: Sequence[Place]) -> str:
        """The first base that is not known, empty when all are."""
        return next((base for one in types for base in self.line(one).missing), "")

    def own(self, place: Place, name: str) -> tuple[Place, ...]:
        """What the type itself defines under this name, wherever that stands."""
        path, ordinal = place
        table = self._facts.table(path)
        tag = table.tags[ordinal]
        found = [(path, one) for one in table.inside(ordinal).get(name, ())]
        if table.family == "go":
            methods = self._facts.package(f"{path.rpartition('/')[0]}/", ".go").belonging.get(tag.name, {})
            found += (one for one in methods.get(name, ()) if one not in found)
        elif tag.kind in OF_TYPES and table.family in ("rust", "c", "ecmascript"):
            found += ((path, one) for one in table.belonging(tag.name).get(name, ()))
            if table.family != "ecmascript":
                found += self._scattered(path, ordinal, name)
        return tuple(dict.fromkeys(found))

    def _elsewhere(self, path: str, ordinal: int, name: str) -> tuple[Place, ...]:
        """Rust's `impl`s and C++'s definitions in other files that mean this type by their container."""
        table = self._facts.table(path)
        own = table.tags[ordinal]
        found: list[Place] = []
        for other in self._facts.defining(name):
            if other == path:
                continue
            there = self._facts.table(other)
            if there.family != table.family:
                continue
            ordinals = there.belonging(own.name).get(name, ())
            if not ordinals:
                continue
            value = self.evaluation.types.named(other, own.name, -1)
            if isinstance(value, Names) and (path, ordinal) in value.places:
                found += ((other, one) for one in ordinals)
        return tuple(found)

    def attribute(
        self, types: Sequence[Place], name: str, *, above: bool = False
    ) -> tuple[Place, str] | None:
        """The class whose attribute it is, and the receiver path of its type as its file says it."""
        for one in types:
            for path, ordinal in self.line(one).types[above:]:
                table = self._facts.table(path)
                written = table.types.get(f"{table.tags[ordinal].name}.{name}")
                if written is not None:
                    return (path, ordinal), written
        return None

    def is_type(self, place: Place) -> bool:
        return self._facts.tag(place).kind in OF_TYPES
