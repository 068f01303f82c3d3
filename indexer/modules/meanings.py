"""What a module, a package or an import stands for: names are followed through re-exports, aliases and stars."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from indexer.modules import java, python
from indexer.modules.includes import Includes
from indexer.modules.offers import Offers
from indexer.modules.rustpaths import RustPaths
from indexer.names.memos import Memos, Question
from indexer.names.rootfacts import RootFacts
from indexer.names.tables import TOP, Table
from indexer.names.values import Module, Names, Outside, Place, Unknown, Value

if TYPE_CHECKING:
    from indexer.names.members import Members

_MOST_HOPS = 40
"""Files that a name may be handed on through, one after the other; real packages use up to five."""


class Seen(set[tuple[str, int, str]]):
    """(path, scope, name) of a search so far: re-exports may go in circles."""

    hops = 0


PACKAGE_ENDINGS = {"go": ".go", "java": ".java"}
"""Of the languages in which the files of a folder share their names."""


class Modules:
    """`members` is handed over after it is made, since classes are looked up in modules and hold names too."""

    members: Members

    def __init__(self, facts: RootFacts, memos: Memos) -> None:
        self._facts = facts
        self._rust = RustPaths(facts, self)
        self.includes = Includes(facts, memos)
        self.offers = Offers(facts, memos)
        self.member = Question(memos, self._member)

    def _member(self, module: Module, name: str) -> Value | None:
        return self.find(module, name, Seen())

    def imported(self, path: str, number: int) -> Value:
        """What one import of a file means; not of a star."""
        return self.import_value(path, number, Seen())

    def family(self, path: str) -> str:
        return self._facts.table(path).family or ""

    # ------------------------------------------------------------ names of a module

    def find(self, module: Module, name: str, seen: Seen) -> Value | None:
        """What `module.name` means; None when nothing says."""
        if module.path.endswith("/"):
            return self._in_folder(module, name)
        found = self.in_scope(module.path, TOP, name, seen)
        if found is None and module.family == "python":
            inner = python.submodule(module.path, name, self._facts.files())
            found = None if inner is None else Module(inner, "python")
        elif found is None and module.family == "rust":
            found = self._rust.child(module.path, name)
        return found

    def _in_folder(self, module: Module, name: str) -> Value | None:
        if module.family == "python":
            inner = python.submodule(module.path, name, self._facts.files())
            return None if inner is None else Module(inner, "python")
        places = self.in_package(module.path, PACKAGE_ENDINGS[module.family], name)
        if places:
            return Names(places)
        inner = f"{module.path}{name}/"
        lies_there = module.family == "java" and bool(self._facts.files().in_folder(inner[:-1]))
        return Module(inner, "java") if lies_there else None

    def in_package(self, folder: str, ending: str, name: str) -> tuple[Place, ...]:
        """What a package defines under a name; what only its tests define comes last."""
        places = self._facts.package(folder, ending).names.get(name, ())
        shipped = tuple(place for place in places if not place[0].endswith("_test.go"))
        return shipped or places

    def in_scope(self, path: str, scope: int, name: str, seen: Seen) -> Value | None:
        """What a name is bound to right in the module `path`, or, in Rust, in the inline module `scope`."""
        if (path, scope, name) in seen or seen.hops >= _MOST_HOPS:
            return None
        seen.add((path, scope, name))
        seen.hops += 1
        try:
            return self._bound_in(path, scope, name, seen)
        finally:
            seen.hops -= 1

    def _bound_in(self, path: str, scope: int, name: str, seen: Seen) -> Value | None:
        table = self._facts.table(path)
        if scope == TOP and name in table.exports:
            local = table.exports[name]
            if local != name:
                return self.in_scope(path, TOP, local, seen) or self._anywhere(table, local)
        own = table.top if scope == TOP else table.inside(scope)
        places = [(path, ordinal) for ordinal in own.get(name, ())]
        other: Value | None = None
        for number in reversed(table.bound(scope).get(name, ())):
            value = self.import_value(path, number, seen)
            if isinstance(value, Names):
                places += value.places
            elif not isinstance(other, Module):
                other = value
        if places:
            return Names(tuple(dict.fromkeys(places)))
        if isinstance(other, Module):
            return other
        return self._through_stars(table, scope, name, seen) or other

    def _anywhere(self, table: Table, name: str) -> Value | None:
        """CommonJS: a function that is named where it is handed on is in no scope at all."""
        places = tuple((table.path, number) for number, tag in enumerate(table.tags) if tag.name == name)
        return Names(places) if places and table.family == "ecmascript" else None

    def _through_stars(self, table: Table, scope: int, name: str, seen: Seen) -> Value | None:
        """What leads nowhere, as in a circle, counts only when nothing else is found."""
        other: Value | None = None
        for number in reversed(table.stars.get(scope, ())):
            for value in self.star_sources(table, number, seen):
                if not self.offers.may_have(value, name):
                    continue
                found = self.among(value, name, seen) if self.hands_on(value, name) else None
                if isinstance(found, Names | Module):
                    return found
                other = other or found
        return other

    def hands_on(self, source: Value, name: str) -> bool:
        """Whether an import of everything takes this name as well."""
        if not isinstance(source, Module) or source.family != "python" or source.path.endswith("/"):
            return name != "default"
        table = self._facts.table(source.path)
        if name in table.exports:
            return True
        return table.exports_more and not (name.startswith("_") and not table.exports)

    def star_sources(self, table: Table, number: int, seen: Seen) -> Iterator[Value]:
        """What an import of everything takes its names from."""
        family = table.family or ""
        if family == "rust":
            value = self._rust.path(table.path, number, seen)
            if value is not None:
                yield value
            return
        if family == "java":
            found = self._java(table.path, table.imports[number].module)
            if found is not None:
                yield found
            return
        for target in self._facts.targets(table.path)[number]:
            yield Module(target, family)

    def among(self, value: Value, name: str, seen: Seen) -> Value | None:
        """`value.name`, where the value is a module, a namespace or a type."""
        if name == "super" and isinstance(value, Module | Names) and self._is_rust(value):
            return self._rust.parent(value)
        if isinstance(value, Module):
            return self.find(value, name, seen)
        if not isinstance(value, Names):
            return None
        for path, ordinal in value.places:
            tag = self._facts.tag((path, ordinal))
            if tag.kind == "module" and self.family(path) == "c":
                places = self.includes.in_namespace(path, tag.name, name)
                found = Names(places) if places else None
            elif tag.kind == "module":
                found = self.in_scope(path, ordinal, name, seen)
            else:
                places = self.members.of(((path, ordinal),), name)
                found = Names(places) if places else None
            if found is not None:
                return found
        return None

    def _is_rust(self, value: Module | Names) -> bool:
        path = value.path if isinstance(value, Module) else value.places[0][0]
        return path.endswith(".rs")

    # ------------------------------------------------------------ imports

    def meaning(self, path: str, number: int) -> list[Value]:
        """What one import leads to; of a star, what it takes its names from."""
        table = self._facts.table(path)
        import_ = table.imports[number]
        if not import_.module and not import_.level:
            return []
        if import_.name == "*":
            return list(self.star_sources(table, number, Seen()))
        value = self.imported(path, number)
        if table.family == "python" and import_.name is None and not import_.alias:  # it binds its first part
            for part in import_.module.split(".")[1:]:
                value = self.among(value, part, Seen()) or Outside(import_.module)
        return [value]

    def import_value(self, path: str, number: int, seen: Seen) -> Value:
        table = self._facts.table(path)
        import_ = table.imports[number]
        if table.family == "rust":
            return self._rust.path(path, number, seen) or Outside(import_.module)
        if table.family == "java":
            return self._java(path, f"{import_.module}.{import_.name}") or Outside(import_.module)
        targets = self._facts.targets(path)
        if number >= len(targets) or not targets[number]:
            return Outside(import_.module or "." * import_.level)
        return self._named(table, number, targets[number], seen)

    def _named(self, table: Table, number: int, targets: Sequence[str], seen: Seen) -> Value:
        import_ = table.imports[number]
        module = Module(targets[0], table.family or "")
        if import_.name is None:
            return module
        found = self.find(module, import_.name, seen) if seen else self.member(module, import_.name)
        if (
            found is None and seen and module.family == "python"
        ):  # in a circle the module is found all the same
            inner = python.submodule(module.path, import_.name, self._facts.files())
            found = None if inner is None else Module(inner, "python")
        if found is not None:
            return found
        if import_.name == "default" and not self._facts.table(module.path).tags:
            return module  # a component in a language of its own, an image, data
        return Unknown(f"{module.path} defines no `{import_.name}`")

    def _java(self, path: str, written: str) -> Value | None:
        """A class, a package or a static member, by its whole name."""
        index = self._facts.files()
        package, _, name = written.rpartition(".")
        for folder in java.package_folders(package, path, index) if package else ():
            places = self._java_class(folder, name)
            if places:
                return Names(places)
        if java.package_folders(written, path, index):
            folder = java.package_folders(written, path, index)[0]
            return Module(f"{folder}/", "java")
        owner = self._java(path, package) if "." in package else None
        return self.among(owner, name, Seen()) if isinstance(owner, Names) else None

    def _java_class(self, folder: str, name: str) -> tuple[Place, ...]:
        file = posixpath.join(folder, f"{name}.java")
        if file in self._facts.files():
            ordinals = self._facts.table(file).top.get(name, ())
            if ordinals:
                return tuple((file, ordinal) for ordinal in ordinals)
        return self.in_package(f"{folder}/", ".java", name)

    def java_package(self, path: str, name: str) -> tuple[Place, ...]:
        """A class of the package that the file is in."""
        for folder in java.same_package(path, self._facts.files()):
            if places := self._java_class(folder, name):
                return places
        return ()
