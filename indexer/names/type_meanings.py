"""What a name means where a type is expected: classes through modules, namespaces and aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.modules.meanings import Modules, Seen
from indexer.names.members import Members
from indexer.names.rootfacts import RootFacts
from indexer.names.values import UNKNOWN_RECEIVER, Instance, Module, Names, Place, Unknown, Value
from indexer.parsing.tags import TYPE_KINDS

if TYPE_CHECKING:
    from indexer.names.evaluation import Evaluation


class TypeMeanings:
    def __init__(self, facts: RootFacts, modules: Modules, members: Members, evaluation: Evaluation) -> None:
        self._facts = facts
        self._modules = modules
        self._members = members
        self._evaluation = evaluation

    def named(self, path: str, written: str, within: int) -> Value:
        """The types that a dotted name means as a type, seen from within a definition: `Names` of types."""
        names = [name for name in written.split(".") if name]
        if not names:
            return UNKNOWN_RECEIVER
        used, value = self.instance_of(path, names, within)
        if not isinstance(value, Instance):
            return value
        return Names(value.places) if used == len(names) else self._evaluation.missing(value, names[used])

    def instance_of(self, path: str, names: list[str], within: int) -> tuple[int, Value]:
        """An instance of the type that the first of `names` mean, and how many of them that took: `a.B.c` may be
        the attribute `c` of an `a.B`. At least up to a type; at most all."""
        value = self._evaluation.scopes.lookup(path, names[0], within, "type")
        used = 1
        while used < len(names) and self._holds_types(value):
            inner = self._modules.among(value, names[used], Seen())
            if self._is_class(value):
                if inner is None or not self._is_type(inner):
                    break
            elif inner is None:
                return used, self._evaluation.missing(value, names[used])
            value = inner
            used += 1
        return used, self.instance(value)

    def _is_class(self, value: Value) -> bool:
        return isinstance(value, Names) and self._facts.tag(value.places[0]).kind != "module"

    def _holds_types(self, value: Value) -> bool:
        return isinstance(value, Module) or (
            isinstance(value, Names)
            and all(self._facts.tag(place).kind in TYPE_KINDS | {"module"} for place in value.places)
        )

    def _is_type(self, value: Value) -> bool:
        return isinstance(value, Module) or (
            isinstance(value, Names) and any(self._members.is_type(place) for place in value.places)
        )

    def instance(self, value: Value) -> Value:
        """An instance of what a type's name means; aliases are followed."""
        if not isinstance(value, Names):
            return value
        found: dict[Place, None] = {}
        other: Value | None = None
        for place in value.places:
            aliased = self._aliased(place)
            if aliased is None and self._members.is_type(place):
                found[place] = None
            elif isinstance(aliased, Instance):
                found.update(dict.fromkeys(aliased.places))
            else:
                other = other or aliased
        if found:
            return Instance(tuple(found))
        name = self._facts.tag(value.places[0]).name
        return other or Unknown(f"`{name}` is no type that can be told")

    def _aliased(self, place: Place) -> Value | None:
        """What a type or constant stands for as a type; None when it stands for itself."""
        tag = self._facts.tag(place)
        if tag.kind == "type" and tag.result:
            followed = self._evaluation.result(*place)
            return followed if isinstance(followed, Instance) else None
        if tag.kind == "constant":
            value = self._evaluation.constant(place)
            return self.instance(value) if isinstance(value, Names) else value
        return None
