"""The modules of a Python repository as the interpreter would see them: definitions, imports, re-exports.

Read with `ast` alone, so that what is measured (the index) has no part in what it is measured by."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

LEFT_OUT = frozenset(
    {"build", "dist", "doc", "docs", "example", "examples", "node_modules", "site-packages", "third_party"}
    | {"_vendor", "vendor", "venv", "__pycache__"}
)
"""Folders in which nobody of the project writes."""

_MOST_HOPS = 8
"""Re-exports that are followed from an import to a definition."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Place(msgspec.Struct, frozen=True):
    """A definition. Lines count from 0."""

    module: str
    name: str
    line: int
    end_line: int


class Bound(msgspec.Struct, frozen=True):
    """What an import binds: a name of a module, or (without a name) the module."""

    module: str
    name: str = ""


class Module:
    """One file."""

    def __init__(self, path: str, name: str, source: str) -> None:
        """Raises SyntaxError or ValueError."""
        self.path, self.name = path, name
        self.lines = source.splitlines(keepends=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the repository's own strings
            self.tree = ast.parse(source)
        self.is_package = path.rpartition("/")[2] == "__init__.py"
        self.classes: dict[str, ast.ClassDef] = {}
        self.functions: dict[str, Function] = {}
        self.places: dict[str, Place] = {}
        self.imports: dict[str, Bound] = {}
        self.stars: list[str] = []
        self._look(self.tree.body)

    @property
    def is_test(self) -> bool:
        *folders, file = self.path.split("/")
        return not {"test", "tests", "testing"}.isdisjoint(folders) or file.startswith(("test_", "conftest"))

    def bindings(self, node: ast.stmt) -> Iterator[tuple[str, Bound]]:
        """(local name, what it stands for) of an import statement; stars are in `stars`."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, Bound(alias.name)) if alias.asname else (top, Bound(top))
        elif isinstance(node, ast.ImportFrom):
            base = self._base(node)
            for alias in node.names:
                if alias.name == "*":
                    self.stars.append(base)
                else:
                    yield alias.asname or alias.name, Bound(base, alias.name)

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".") if self.name else []
        up = node.level - self.is_package
        kept = package[: len(package) - up] if up else package
        return ".".join([*kept, node.module] if node.module else kept)

    def _look(self, body: list[ast.stmt]) -> None:
        for node in body:
            match node:
                case ast.ClassDef():
                    self.classes[node.name] = node
                    self.places[node.name] = self.place(node)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self.functions[node.name] = node
                    self.places[node.name] = self.place(node)
                case ast.Assign() | ast.AnnAssign():
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    for target in targets:
                        if isinstance(target, ast.Name):
                            end = node.end_lineno or node.lineno
                            self.places.setdefault(
                                target.id, Place(self.name, target.id, node.lineno - 1, end)
                            )
                case ast.Import() | ast.ImportFrom():
                    self.imports.update(self.bindings(node))
                case ast.If() | ast.Try() | ast.With():
                    self._look(node.body)
                    self._look(getattr(node, "orelse", []))
                    for handler in getattr(node, "handlers", []):
                        self._look(handler.body)
                case _:
                    pass

    def place(self, node: ast.ClassDef | Function) -> Place:
        """From the line with its name: decorators stand above."""
        return Place(self.name, node.name, node.lineno - 1, node.end_lineno or node.lineno)


class Project:
    """All modules of a repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules: dict[str, Module] = {}
        self.unread = 0
        """Files that this Python cannot parse."""
        top = next((name for name in ("src", "lib") if (root / name).is_dir()), "")
        for path in _files(root):
            inside = path.removeprefix(f"{top}/") if top else path
            parts = inside.removesuffix(".py").split("/")
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            try:
                self.modules[name] = Module(path, name, (root / path).read_text("utf-8"))
            except (SyntaxError, ValueError):
                self.unread += 1

    def find(self, bound: Bound | None, hops: int = 0) -> Place | Module | None:
        """The definition, or the module, that is bound, through re-exports and stars."""
        if bound is None or hops > _MOST_HOPS:
            return None
        module = self.modules.get(bound.module)
        if module is None or not bound.name:
            return module
        if bound.name in module.places:
            return module.places[bound.name]
        found = self.find(module.imports.get(bound.name), hops + 1)
        if found is None:
            found = self.modules.get(f"{bound.module}.{bound.name}".lstrip("."))
        for star in reversed(module.stars if found is None else ()):  # the last one wins
            if not bound.name.startswith("_") and (found := self.find(Bound(star, bound.name), hops + 1)):
                break
        return found

    def member(self, place: Place, name: str, hops: int = 0) -> Place | None:
        """A method of a class, its own or of a base in this repository."""
        module = self.modules[place.module]
        node = module.classes.get(place.name)
        if node is None or hops > _MOST_HOPS:
            return None
        for statement in node.body:
            if isinstance(statement, Function) and statement.name == name:
                return module.place(statement)
        for base in node.bases:
            found = self.find_class(module, base)
            if found is not None and (place := found) and (method := self.member(place, name, hops + 1)):
                return method
        return None

    def find_class(
        self, module: Module, expression: ast.expr | None, local: Mapping[str, Bound] | None = None
    ) -> Place | None:
        """The class of this repository that a name, or a dotted one, stands for."""
        found = self.find_expression(module, expression, local)
        if isinstance(found, Place) and found.name in self.modules[found.module].classes:
            return found
        return None

    def find_expression(
        self, module: Module, expression: ast.expr | None, local: Mapping[str, Bound] | None = None
    ) -> Place | Module | None:
        if isinstance(expression, ast.Constant) and isinstance(
            expression.value, str
        ):  # an annotation in quotes
            try:
                expression = ast.parse(expression.value, mode="eval").body
            except SyntaxError:
                return None
        if isinstance(expression, ast.Name):
            if local and expression.id in local:
                return self.find(local[expression.id])
            return module.places.get(expression.id) or self.find(module.imports.get(expression.id))
        if isinstance(expression, ast.Attribute):
            owner = self.find_expression(module, expression.value, local)
            if isinstance(owner, Module):
                return self.find(Bound(owner.name, expression.attr))
        return None


def _files(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in LEFT_OUT and not name.startswith(".") and "egg-info" not in name
        )
        for file in sorted(files):
            if file.endswith(".py"):
                yield (Path(folder) / file).relative_to(root).as_posix()
