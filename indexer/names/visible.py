"""What a bare name means at a place of a file, by the rules of its language, innermost scope first."""

from __future__ import annotations

import builtins
import posixpath
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from indexer.modules import rust
from indexer.modules.meanings import Modules, Seen
from indexer.modules.rustpaths import RustPaths
from indexer.names.memos import Memos, Question
from indexer.names.rootfacts import RootFacts
from indexer.names.tables import OF_TYPES, TOP, Table
from indexer.names.values import Names, Outside, Place, Unknown, Value
from indexer.parsing.tags import FUNCTION_KINDS

if TYPE_CHECKING:
    from indexer.names.members import Members

_PYTHON_BUILTINS = frozenset(dir(builtins))

_MEMBERS_ARE_IN_SCOPE = frozenset({"java", "c"})
"""Families in which a bare name may be a member of the enclosing type (`this` is left out)."""


class VisibleNames:
    """Kinds of sites: `call`, `class`, `type`, `name`, `header` for what stands in a definition's own header."""

    members: Members

    def __init__(self, facts: RootFacts, memos: Memos, modules: Modules) -> None:
        self._facts = facts
        self._modules = modules
        self._rust = RustPaths(facts, modules)
        self.bindings = Question(memos, self._bindings)
        self.lookup = Question(memos, self._lookup, in_cycle=lambda: Unknown("said by itself"))

    def _lookup(self, path: str, name: str, within: int, kind: str) -> Value:
        """The meaning of `name` within the definition `within` of the file; never `None`: what is not found is
        said to be outside, or unknown."""
        table = self._facts.table(path)
        if name == "Self" and table.family == "rust":
            return self._rust_self(table, within)
        inner = self._inner(table, name, within, kind)
        if inner is not None:
            return inner
        found = self._at_top(table, name, within, kind)
        if found is not None:
            return found
        if table.family == "python" and name not in _PYTHON_BUILTINS and not self._stars_lead_out(table):
            return Unknown(f"`{name}` is not defined in this file")
        return self._not_found(name)

    def _not_found(self, name: str) -> Value:
        """Bare names that other files define may all the same be of a library, or come out of a macro."""
        if name in _PYTHON_BUILTINS or not self._facts.defining(name):
            return Outside(name)
        return Unknown(f"no `{name}` of this repository is visible here")

    def _stars_lead_out(self, table: Table) -> bool:
        targets = self._facts.targets(table.path)
        return any(not targets[number] for number in table.stars.get(TOP, ()))

    # ------------------------------------------------------------ what encloses

    def _inner(self, table: Table, name: str, within: int, kind: str) -> Value | None:
        for ordinal in table.chain(within):
            tag = table.tags[ordinal]
            if tag.kind in FUNCTION_KINDS:
                found = self._in_function(table, ordinal, name)
            elif tag.kind == "module":
                found = self._in_module(table, ordinal, name)
                if found is None and table.family == "rust":  # which sees nothing of what is around it
                    return self._rust_root(table, ordinal, name) or self._not_found(name)
            elif tag.kind in OF_TYPES:
                found = self._in_type(table, ordinal, name, within, kind)
            else:
                found = None
            if found is not None:
                return found
        return self._in_named_container(table, name, within, kind)

    def _in_function(self, table: Table, ordinal: int, name: str) -> Value | None:
        places = tuple((table.path, one) for one in table.inside(ordinal).get(name, ()))
        if places:
            return Names(places, "same file")
        return self._bound(table, ordinal, name)

    def _bound(self, table: Table, scope: int, name: str) -> Value | None:
        if scope == TOP:
            return _because(self.bindings(table.path).get(name), "import")
        numbers = table.bound(scope).get(name)
        return _because(self._modules.imported(table.path, numbers[-1]), "import") if numbers else None

    def _bindings(self, path: str) -> dict[str, Value]:
        """What the imports at the top of a file bind, by local name; of several the last counts."""
        imported = self._modules.imported
        bound = self._facts.table(path).bound(TOP)
        return {local: imported(path, numbers[-1]) for local, numbers in bound.items()}

    def _in_module(self, table: Table, ordinal: int, name: str) -> Value | None:
        found = self._modules.in_scope(table.path, ordinal, name, Seen())
        here = isinstance(found, Names) and any(place[0] == table.path for place in found.places)
        return _because(found, "same file" if here else "import")

    def _in_type(self, table: Table, ordinal: int, name: str, within: int, kind: str) -> Value | None:
        """A type's own names are in scope in its body, in some languages also in its methods."""
        if table.family in _MEMBERS_ARE_IN_SCOPE:
            places = self.members.of(((table.path, ordinal),), name)
            return self._of_kind(places, kind, f"member of {table.tags[ordinal].name}")
        if table.family == "python" and (
            (ordinal == within and kind != "class") or kind in ("type", "header")
        ):
            places = tuple((table.path, one) for one in table.inside(ordinal).get(name, ()) if one != within)
            return Names(places, "same file") if places else None
        return None

    def types_around(self, path: str, within: int) -> Iterator[tuple[Place, ...]]:
        """The types whose members are in scope within a definition, innermost first."""
        table = self._facts.table(path)
        if table.family not in _MEMBERS_ARE_IN_SCOPE:
            return
        for ordinal in table.chain(within):
            tag = table.tags[ordinal]
            if tag.kind in OF_TYPES:
                yield ((path, ordinal),)
            elif tag.container and table.family == "c" and table.parent(ordinal) == TOP:
                owner = self._at_top(table, tag.container, TOP, "type")
                if isinstance(owner, Names):
                    yield tuple(place for place in owner.places if self.members.is_type(place))

    def _in_named_container(self, table: Table, name: str, within: int, kind: str) -> Value | None:
        """C++: the class of a function that stands outside of it."""
        if table.family != "c":
            return None
        for ordinal in table.chain(within):
            container = table.tags[ordinal].container
            if container and table.parent(ordinal) == TOP and container != name:
                owner = self._at_top(table, container, TOP, "type")
                if isinstance(owner, Names):
                    places = self.members.of([one for one in owner.places if self.members.is_type(one)], name)
                    if not places:
                        value = self._modules.among(owner, name, Seen())
                        places = value.places if isinstance(value, Names) else ()
                    return self._of_kind(places, kind, f"member of {container}")
        return None

    def _of_kind(self, places: Iterable[Place], kind: str, why: str) -> Value | None:
        """Java and C++ tell methods, types and fields of one name apart by their use."""
        kept = tuple(place for place in places if self._fits(place, kind))
        return Names(kept, why) if kept else None

    def _fits(self, place: Place, kind: str) -> bool:
        found = self._facts.tag(place).kind
        if kind == "type" or kind == "class":
            return found in OF_TYPES or found == "module"
        return kind != "call" or found not in ("constant", "module")

    # ------------------------------------------------------------ the file and beyond

    def _at_top(self, table: Table, name: str, within: int, kind: str) -> Value | None:
        match table.family:
            case "go":
                return self._go(table, name)
            case "java":
                return self._java(table, name, kind)
            case "c":
                return self._c(table, name, kind)
            case "rust":
                return self._rust_root(table, TOP, name)
            case _:
                return self._module_level(table, name)

    def _own(self, table: Table, name: str) -> tuple[Place, ...]:
        """Definitions at the top of the file. A method without a class (of an object literal) is no name."""
        ordinals = table.top.get(name, ())
        return tuple((table.path, one) for one in ordinals if table.tags[one].kind != "method")

    def _module_level(self, table: Table, name: str) -> Value | None:
        own = self._own(table, name)
        bound = self._bound(table, TOP, name)
        if own:
            both = bound.places if isinstance(bound, Names) else ()
            return Names(tuple(dict.fromkeys((*own, *both))), "same file")
        if bound is not None:
            return bound
        return self._stars(table, TOP, name)

    def _stars(self, table: Table, scope: int, name: str) -> Value | None:
        for number in reversed(table.stars.get(scope, ())):
            for source in self._modules.star_sources(table, number, Seen()):
                found = (
                    self._modules.among(source, name, Seen())
                    if self._modules.offers.may_have(source, name) and self._modules.hands_on(source, name)
                    else None
                )
                if found is not None:
                    return _because(found, "star import")
        return None

    def _go(self, table: Table, name: str) -> Value | None:
        bound = self._bound(table, TOP, name)
        if bound is not None:
            return bound
        own = self._own(table, name)
        if own:
            return Names(own, "same file")
        folder = table.path.rpartition("/")[0]
        if places := self._modules.in_package(f"{folder}/", ".go", name):
            return Names(places, "same package")
        return self._stars(table, TOP, name)

    def _java(self, table: Table, name: str, kind: str) -> Value | None:
        for value in (self._bound(table, TOP, name), Names(self._own(table, name), "same file")):
            if isinstance(value, Names) and (fitting := self._of_kind(value.places, kind, value.why)):
                return fitting
            if value is not None and not isinstance(value, Names):
                return value
        if kind != "call" and (places := self._modules.java_package(table.path, name)):
            return Names(places, "same package")
        stars = self._stars(table, TOP, name)
        return self._of_kind(stars.places, kind, stars.why) if isinstance(stars, Names) else stars

    def _rust_root(self, table: Table, scope: int, name: str) -> Value | None:
        """A name in a module: its items, what it uses, other crates. Modules do not see what is around them."""
        match name:
            case "crate" | "self" | "super":
                return self._rust.walk(table, scope, [name], Seen())
            case _:
                found = self._modules.in_scope(table.path, scope, name, Seen())
        if found is None:
            found = self._rust.crate(name, table.path) or self._rust_macro(table, name)
        if isinstance(found, Names):
            here = any(place[0] == table.path for place in found.places)
            return Names(found.places, "same file" if here else found.why or "import")
        return found

    def _rust_macro(self, table: Table, name: str) -> Value | None:
        """`macro_rules!` are in scope by where they stand in the text of the crate, not by paths."""
        folder = posixpath.dirname(rust.crate_root(table.path, self._facts.files()))
        places = tuple(
            (path, ordinal)
            for path in self._facts.defining(name)
            if not folder or path.startswith(f"{folder}/")
            for ordinal in self._facts.table(path).top.get(name, ())
            if self._facts.tag((path, ordinal)).kind == "macro"
        )
        return Names(places, "macro of this crate") if places else None

    def _rust_self(self, table: Table, within: int) -> Value:
        """The type of the `impl`, or the trait, around a place."""
        for ordinal in table.chain(within):
            tag = table.tags[ordinal]
            if tag.kind in OF_TYPES:
                return Names(((table.path, ordinal),), "same file")
            if tag.container and table.parent(ordinal) == TOP:
                return self.lookup(table.path, tag.container, TOP, "type")
        return Outside("Self")

    def _c(self, table: Table, name: str, kind: str) -> Value | None:
        places = self._modules.includes.visible(table.path, name)
        wanted = tuple(place for place in places if self._fits(place, kind)) or places
        if not wanted:
            return None
        here = any(place[0] == table.path for place in wanted)
        return Names(wanted, "same file" if here else "include")


def _because(value: Value | None, why: str) -> Value | None:
    return Names(value.places, why) if isinstance(value, Names) else value
