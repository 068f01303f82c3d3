"""Rust's paths, walked module by module as rustc does: `crate`, `self`, `super`, inline modules, other crates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.modules import rust
from indexer.names.rootfacts import RootFacts
from indexer.names.tables import TOP, Table
from indexer.names.values import Module, Names, Value

if TYPE_CHECKING:
    from indexer.modules.meanings import Modules, Seen


class RustPaths:
    def __init__(self, facts: RootFacts, modules: Modules) -> None:
        self._facts = facts
        self._modules = modules

    def path(self, path: str, number: int, seen: Seen) -> Value | None:
        """What a `use` or `mod` of this file means: of a star, what it takes its names from."""
        table = self._facts.table(path)
        import_ = table.imports[number]
        parts = [part for part in import_.module.split("::") if part]
        if import_.name is None and import_.module.startswith("self::"):  # `mod name;`
            child = self.child(path, import_.module.removeprefix("self::"))
            if child is not None:
                return child
        if import_.name not in (None, "*"):
            parts.append(str(import_.name))
        return self.walk(table, self.module_at(table, import_.line), parts, seen)

    def module_at(self, table: Table, line: int) -> int:
        """The innermost inline module around a line."""
        return self.module_around(table, table.innermost(line))

    def module_around(self, table: Table, ordinal: int) -> int:
        """The innermost inline module that a definition is in; itself, if it is one."""
        return next((one for one in table.chain(ordinal) if table.tags[one].kind == "module"), TOP)

    def walk(self, table: Table, scope: int, parts: list[str], seen: Seen) -> Value | None:
        """What a path means, seen from an inline module of a file."""
        value = self._here(table, scope)
        if not parts:
            return value
        rest = parts[1:]
        match parts[0]:
            case "crate":
                value = Module(rust.crate_root(table.path, self._facts.files()), "rust")
            case "self":
                pass
            case "super":
                rest = parts
            case first:
                value = self._first(value, first, table, seen)
        while rest and rest[0] == "super" and value is not None:
            value, rest = self.parent(value), rest[1:]
        for part in rest:
            if value is None:
                return None
            value = self._modules.among(value, part, seen)
        return value

    def _here(self, table: Table, scope: int) -> Value:
        return Module(table.path, "rust") if scope == TOP else Names(((table.path, scope),))

    def _first(self, here: Value, name: str, table: Table, seen: Seen) -> Value | None:
        found = self._modules.among(here, name, seen)
        return found if found is not None else self.crate(name, table.path)

    def crate(self, name: str, from_path: str) -> Value | None:
        """Another crate of this repository."""
        facts = self._facts
        root = rust.crate_named(name, from_path, facts.files(), facts.layouts())
        return None if root is None else Module(root, "rust")

    def child(self, path: str, name: str) -> Value | None:
        """The module that lies in a file of its own below this one."""
        file = rust.child_module(path, name, self._facts.files())
        return None if file is None else Module(file, "rust")

    def parent(self, value: Value) -> Value | None:
        """The module that a module is in."""
        if isinstance(value, Module):
            path = rust.parent_module(value.path, self._facts.files())
            return None if path is None else Module(path, "rust")
        if isinstance(value, Names):
            path, ordinal = value.places[0]
            table = self._facts.table(path)
            return self._here(table, self.module_around(table, table.parent(ordinal)))
        return None
