"""What an expression is, as far as declarations tell: evaluates the receiver paths of `indexer.parsing.receivers`."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from indexer.modules.meanings import Modules, Seen
from indexer.names.members import Members
from indexer.names.memos import Memos, Question
from indexer.names.receiver_paths import Step, parse
from indexer.names.rootfacts import RootFacts
from indexer.names.type_meanings import TypeMeanings
from indexer.names.values import (
    NOT_HERE,
    UNKNOWN_RECEIVER,
    Instance,
    Module,
    Names,
    Place,
    Unknown,
    Value,
)
from indexer.parsing.tags import FUNCTION_KINDS, TYPE_KINDS, Tag

if TYPE_CHECKING:
    from indexer.names.visible import VisibleNames

_OWN_TYPE = frozenset({"Self", "this"})
"""Results that mean the type which the method was asked of."""


_THE_SAME = frozenset({"clone", "as_ref", "as_mut", "to_owned", "borrow", "borrow_mut"})
"""Methods of Rust's standard library that give what they are asked of, where the type has none of its own."""

_FIRST_TYPE = re.compile(r"\(\s*(?:self|cls)\s*:\s*(?:[Tt]ype\[)?([\w.]+)")
"""In a signature: the declared type of what a method runs on."""


class Evaluation:
    """`scopes` is handed over after it is made: names lead to expressions and expressions to names."""

    scopes: VisibleNames

    def __init__(self, facts: RootFacts, memos: Memos, modules: Modules, members: Members) -> None:
        self._facts = facts
        self._modules = modules
        self._members = members
        self.types = TypeMeanings(facts, modules, members, self)
        self.receiver = Question(memos, self._receiver, in_cycle=lambda: Unknown("said by itself"))
        self.result = Question(memos, self._result_of, in_cycle=lambda: Unknown("said by itself"))

    def _receiver(self, path: str, written: str, within: int) -> Value:
        """What stands before the dot, seen from within a definition of this file."""
        parsed = parse(written)
        if parsed is None:
            return UNKNOWN_RECEIVER
        if parsed.above:
            value = self.types.named(path, parsed.root, within)
            if not isinstance(value, Names):
                return value
            return self._along(Instance(value.places, above=True), parsed.steps)
        if parsed.instance:
            plain = itertools.takewhile(lambda step: not step.called, parsed.steps)
            used, value = self.types.instance_of(path, [parsed.root, *(step.name for step in plain)], within)
            return self._along(value, parsed.steps[used - 1 :])
        value = None if parsed.called else self._field_around(path, parsed.root, within)
        if value is None:
            value = self.scopes.lookup(path, parsed.root, within, "call" if parsed.called else "name")
        return self._along(self.call(value) if parsed.called else value, parsed.steps)

    def _field_around(self, path: str, name: str, within: int) -> Value | None:
        """Java and C++: what a bare name holds that is a field of an enclosing type, perhaps from a base or declared
        in another file."""
        for types in self.scopes.types_around(path, within):
            declared = self._members.attribute(types, name)
            if declared is not None:
                (file, ordinal), written = declared
                return self.receiver(file, written, ordinal)
        return None

    def _along(self, value: Value, steps: tuple[Step, ...]) -> Value:
        for step in steps:
            value = self._called_member(value, step.name) if step.called else self.attribute(value, step.name)
        return value

    # ------------------------------------------------------------ members

    def member(self, value: Value, name: str) -> Value:
        """What `value.name` refers to: definitions, or a module."""
        value = self._class_of(value)
        if isinstance(value, Module):
            found = self._modules.member(value, name)
            if found is not None:
                return found
            return self._of_module_class(value, name) or self.missing(value, name)
        if isinstance(value, Names):
            if self._facts.tag(value.places[0]).kind == "module":
                return self._modules.among(value, name, Seen()) or self.missing(value, name)
            if not any(self._members.is_type(place) for place in value.places):
                return self._of_constant(value, name)
        if isinstance(value, Names | Instance):
            return self._of_types(value, name)
        return value

    def _of_types(self, value: Names | Instance, name: str) -> Value:
        types, above = self._types_of(value), _is_above(value)
        found = self._members.of(types, name, above=above)
        if not found:
            return self.missing(value, name)
        owner = self._facts.tag(types[0]).name
        own = {place for one in types for place in self._members.own(one, name)}
        why = f"member of {owner}" if not above and own & set(found) else f"{owner} has it from a base"
        return Names(found, why)

    def _of_constant(self, value: Names, name: str) -> Value:
        """A member of what a constant holds, or of what a function's attribute is."""
        held = self._held(value)
        return self.member(held, name) if isinstance(held, Instance | Module) else held

    def _held(self, value: Names) -> Value:
        place = value.places[0]
        tag = self._facts.tag(place)
        if tag.kind == "constant":
            return self.constant(place)
        return Unknown(f"a member of the {tag.kind} `{tag.name}`")

    def _class_of(self, value: Value) -> Value:
        """A constant that holds a class, or an instance, is that."""
        if isinstance(value, Names) and all(self._facts.tag(one).kind == "constant" for one in value.places):
            return self.constant(value.places[0])
        return value

    def _of_module_class(self, module: Module, name: str) -> Value | None:
        """CommonJS: what a file hands on as a whole."""
        whole = self._modules.member(module, "default") if module.family == "ecmascript" else None
        return self.member(whole, name) if isinstance(whole, Names) else None

    def attribute(self, value: Value, name: str) -> Value:
        """What `value.name` is when it is read."""
        if isinstance(value, Names | Instance) and (places := self._types_of(value)):
            declared = self._members.attribute(places, name, above=_is_above(value))
            if declared is not None:
                (path, ordinal), written = declared
                return self.receiver(path, written, ordinal)
        found = self.member(value, name)
        if not isinstance(found, Names):
            return found
        kinds = {self._facts.tag(place).kind for place in found.places}
        if kinds <= TYPE_KINDS or "type" in kinds or "module" in kinds:
            return found
        if kinds <= {"constant"}:
            return self.constant(found.places[0])
        if isinstance(value, Module) and kinds <= FUNCTION_KINDS:
            return found
        return Unknown(f"`{name}` is a method that is not called")

    def _types_of(self, value: Names | Instance) -> tuple[Place, ...]:
        if isinstance(value, Instance):
            return value.places
        return tuple(place for place in value.places if self._members.is_type(place))

    def _called_member(self, value: Value, name: str) -> Value:
        if isinstance(value, Names | Instance) and (places := self._types_of(value)):
            above = _is_above(value)
            own = self._members.of(places, name, above=above)
            if not own and name == "__enter__":  # `async with` enters otherwise
                name = "__aenter__"
            if not own and self._members.attribute(places, name, above=above) is not None:
                return self.call(self.attribute(value, name))
            if not own and name in _THE_SAME and places[0][0].endswith(".rs"):
                return Instance(places)
        return self.call(self.member(value, name), value)

    def missing(self, value: Value, name: str) -> Value:
        if isinstance(value, Module):
            return Unknown(f"{value.path} defines no `{name}`")
        if isinstance(value, Names | Instance):
            place = value.places[0]
            if self._members.is_type(place) and self._members.attribute(value.places, name) is not None:
                return Unknown(f"a field of {self._facts.tag(place).name}, which is no definition")
            if self._members.is_type(place) and (base := self._members.missing(value.places)):
                return Unknown(f"no member of {self._facts.tag(place).name}; its base {base} is {NOT_HERE}")
            return Unknown(f"no member of {self._facts.tag(place).name}")
        return value

    # ------------------------------------------------------------ calls

    def call(self, value: Value, of: Value | None = None) -> Value:
        """What calling it gives; `of`: what it is a member of."""
        if isinstance(value, Module):
            whole = self._modules.member(value, "default") if value.family == "ecmascript" else None
            return Unknown(f"{value.path} is called") if whole is None else self.call(whole)
        if isinstance(value, Instance):
            made = self._members.of(value.places, "__call__")
            return self._returned(Names(made), value) if made else UNKNOWN_RECEIVER
        if not isinstance(value, Names):
            return value
        value = self._class_of(value)
        if not isinstance(value, Names):
            return value
        if any(self._members.is_type(place) for place in value.places):
            return self.types.instance(value)
        return self._returned(value, of)

    def _returned(self, functions: Names, of: Value | None) -> Value:
        """By the declared results of these functions, which must not say different things."""
        results: dict[Value, None] = {}
        for place in functions.places:
            tag = self._facts.tag(place)
            if isinstance(of, Names | Instance) and _gives_itself(tag):
                results[Instance(self._types_of(of))] = None
            elif tag.result:
                results[self.result(*place)] = None
        if not results:
            return Unknown(f"`{self._facts.tag(functions.places[0]).name}` does not declare its result")
        if len(results) > 1:
            known = [one for one in results if isinstance(one, Instance)]
            return known[0] if len(known) == 1 == len(functions.places) else Unknown("several results")
        return next(iter(results))

    def _result_of(self, path: str, ordinal: int) -> Value:
        """An instance of the declared type of a definition, which its own file says."""
        tag = self._facts.table(path).tags[ordinal]
        return self.receiver(path, f":{tag.result}", ordinal)

    def constant(self, place: Place) -> Value:
        """What a constant or field holds."""
        path, ordinal = place
        table = self._facts.table(path)
        tag = table.tags[ordinal]
        written = table.types.get(f"{tag.container}.{tag.name}" if tag.container else tag.name)
        if written is not None:
            return self.receiver(path, written, table.parent(ordinal))
        if tag.result:
            return self.result(path, ordinal)
        return Unknown(f"what `{tag.name}` holds is not declared")


def _gives_itself(method: Tag) -> bool:
    """Whether its result is the type that it was asked of: `Self`, or the type variable of its first parameter."""
    if method.result in _OWN_TYPE:
        return True
    first = _FIRST_TYPE.search(method.signature)
    return bool(method.result) and first is not None and first[1] == method.result


def _is_above(value: Names | Instance) -> bool:
    return isinstance(value, Instance) and value.above
