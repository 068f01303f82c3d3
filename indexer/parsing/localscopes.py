"""What names mean where within one text: its scopes, and what is bound in them."""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec
import tree_sitter

from indexer.parsing.nesting import Nesting

FILE = -1
"""The number of the scope around all others."""


class Rule(IntEnum):
    """How a binding says what its name is; what says most comes first."""

    ITSELF = 0
    """A function, class or import: the name stands for what it is called."""
    TYPE = 1
    """It is of the type that the node writes."""
    VALUE = 2
    """It is what the node evaluates to."""
    ENTERED = 3
    """It is what `with` makes of what the node evaluates to."""
    FIRST = 4
    """It is the first parameter of a function."""
    NOTHING = 5
    """It has no value yet."""
    UNKNOWN = 6


class Standing(Enum):
    FOREIGN = 0
    """Bound nowhere in this text."""
    OWN = 1
    """A definition, an import or a name at the top of the file."""
    LOCAL = 2
    """A variable or parameter."""


class Binding(msgspec.Struct, frozen=True, gc=False):
    rule: Rule
    node: tree_sitter.Node | None
    scope: int
    """In which `node` is read."""


class Scope(msgspec.Struct, gc=False):
    """A function, block or class. Places are bytes."""

    start: int
    end: int
    kind: str
    """`function`, `arrow`, `block`, `unknown` or `class`."""
    name: str = ""
    """Of a class."""
    stands_outside: bool = False
    """Whether this is no class, but a method of the class of this name."""


Names = dict[str, list[Binding]]


class Scopes:
    """The scopes of one text by number, and what is bound in each; -1 is the file."""

    def __init__(self, scopes: list[Scope]) -> None:
        unique = {(scope.start, -scope.end): scope for scope in scopes}
        self.all = [unique[place] for place in sorted(unique)]
        self._nesting = Nesting([(scope.start, scope.end) for scope in self.all])
        self.parents = self._nesting.parents
        self.at = self._nesting.at
        self.at_each = self._nesting.at_each
        self._numbers = {(scope.start, scope.end): number for number, scope in enumerate(self.all)}
        self._binders = self._nearest({"block"})
        self._classes = self._nearest({"block", "function", "arrow"})
        self._bodies = self._bodies_of_outsiders()
        self.names: list[Names] = [{} for _ in range(len(self.all) + 1)]
        """Of each scope; the last are the file's."""
        self.fields: dict[int, Names] = {}
        """Of classes."""

    def _nearest(self, passed: set[str]) -> list[int]:
        """For each scope, itself or the nearest around it that is of no kind in `passed`."""
        nearest: list[int] = []
        for number, scope in enumerate(self.all):
            parent = self.parents[number]
            nearest.append(number if scope.kind not in passed else nearest[parent] if parent >= 0 else FILE)
        return nearest

    def _bodies_of_outsiders(self) -> dict[int, int]:
        """For what stands outside of its class, the class, if only one has this name."""
        by_name: dict[str, list[int]] = {}
        for number, scope in enumerate(self.all):
            if scope.kind == "class" and not scope.stands_outside:
                by_name.setdefault(scope.name, []).append(number)
        outside = (
            (number, by_name.get(scope.name, []))
            for number, scope in enumerate(self.all)
            if scope.stands_outside
        )
        return {number: bodies[0] for number, bodies in outside if len(bodies) == 1}

    def binder(self, scope: int) -> int:
        """The nearest function, class or file."""
        return self._binders[scope] if scope >= 0 else FILE

    def class_of(self, scope: int) -> int:
        """The nearest class around, FILE if there is none or something else has a `this` of its own there."""
        found = self._classes[scope] if scope >= 0 else FILE
        return found if found >= 0 and self.all[found].kind == "class" else FILE

    def around(self, start: int, end: int) -> int:
        """The scope that a definition with these bytes stands in, not the one that it is."""
        number = self._numbers.get((start, end))
        return self.parents[number] if number is not None else self.at(start)

    def bind(self, scope: int, name: str, binding: Binding) -> None:
        self.names[scope].setdefault(name, []).append(binding)

    def bind_field(self, scope: int, name: str, binding: Binding) -> None:
        self.fields.setdefault(scope, {}).setdefault(name, []).append(binding)

    def assign(self, scope: int, name: str, binding: Binding) -> None:
        """To a name that is declared somewhere around."""
        while scope >= 0 and name not in self.names[scope]:
            scope = self.parents[scope]
        self.bind(scope, name, binding)

    def hand_out(self, scope: int, name: str) -> None:
        """Makes what is bound here a binding of the nearest scope around that knows this name."""
        if scope >= 0:
            for binding in self.names[scope].pop(name, []):
                self.assign(self.parents[scope], name, binding)

    def find(self, scope: int, name: str, *, own_names: bool) -> tuple[int, list[Binding]]:
        """Where a bare name is bound, and how; the file and nothing if it is not. `own_names`: fields of classes
        around count as bare names."""
        start = scope
        while scope >= 0:
            visible = scope == start or self.all[scope].kind != "class"
            if visible and (found := self.names[scope].get(name)):
                return scope, found
            if own_names and (found := self.fields.get(self._bodies.get(scope, scope), {}).get(name)):
                return scope, found
            scope = self.parents[scope]
        return FILE, self.names[FILE].get(name, [])

    def standing(self, scope: int, name: str) -> Standing:
        """What a bare name is."""
        found, bindings = self.find(scope, name, own_names=False)
        if not bindings:
            return Standing.FOREIGN
        if found >= 0 and any(binding.rule is not Rule.ITSELF for binding in bindings):
            return Standing.LOCAL
        return Standing.OWN
