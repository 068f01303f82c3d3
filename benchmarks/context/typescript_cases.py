"""Cuts cases from a TypeScript repository: lines in functions that use what a relative import brings from another
file, through index files and re-exports."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

import msgspec
from tree_sitter import Node

from benchmarks.context.case import Case, Needed, cut, is_fit
from benchmarks.context.trees import SourceFile, everything, read, written

_SUFFIXES = (".ts", ".tsx")
_MOST_HOPS = 8
"""Re-exports that are followed from an import to a definition."""
_TESTS = frozenset({"test", "tests", "spec", "__tests__", "__mocks__"})

_DEFINITIONS = frozenset(
    {"function_declaration", "generator_function_declaration", "function_signature", "class_declaration"}
    | {"abstract_class_declaration", "interface_declaration", "type_alias_declaration", "enum_declaration"}
)
_FUNCTIONS = frozenset(
    {"function_declaration", "generator_function_declaration", "function_expression", "arrow_function"}
    | {"method_definition", "generator_function"}
)
_NAMES = frozenset({"identifier", "type_identifier", "shorthand_property_identifier"})
_BOUND_BY = {
    "variable_declarator": "name",
    "required_parameter": "pattern",
    "optional_parameter": "pattern",
    "arrow_function": "parameter",
    "catch_clause": "parameter",
    "for_in_statement": "left",
    "type_parameter": "name",
    **dict.fromkeys(_DEFINITIONS, "name"),
}
"""Nodes that bind a name, and the field that holds it."""


class Bound(msgspec.Struct, frozen=True):
    """What an import or a re-export stands for: a name of a module, or (`*`) the module."""

    module: str
    name: str


class Module:
    """One file: what it defines, imports and exports."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.places: dict[str, list[Node]] = {}
        """The heads of each definition at the top: overloads have several."""
        self.imports: dict[str, Bound] = {}
        self.exports: dict[str, str | Bound] = {}
        """Exported name → the local one, or what is passed on."""
        self.stars: list[str] = []
        for node in file.top.children:
            if node.type == "import_statement":
                self._import(node)
            elif node.type == "export_statement":
                self._export(node)
            else:
                self._define(node)
        self.hidden = {
            written(inner)
            for node in everything(file.top)
            if (field := _BOUND_BY.get(node.type)) and (name := node.child_by_field_name(field)) is not None
            for inner in everything(name)
            if inner.type in ("identifier", "type_identifier", "shorthand_property_identifier_pattern")
        }
        """Names that something in this file binds: with one of them, an import is not certainly meant."""

    @property
    def is_test(self) -> bool:
        *folders, name = self.file.path.split("/")
        return not _TESTS.isdisjoint(folders) or ".spec." in name or ".test." in name

    def _import(self, node: Node) -> None:
        module = self._target(node)
        for part in everything(node) if module else ():
            if part.type == "import_clause":
                for child in part.children:
                    if child.type == "identifier":
                        self.imports[written(child)] = Bound(module, "default")
            elif part.type == "namespace_import":
                self.imports[written(part.named_children[0])] = Bound(module, "*")
            elif part.type == "import_specifier":
                name = written(part.child_by_field_name("name"))
                self.imports[written(part.child_by_field_name("alias")) or name] = Bound(module, name)

    def _export(self, node: Node) -> None:
        module = self._target(node)
        declared = node.child_by_field_name("declaration")
        if declared is not None:
            for name in self._define(declared):
                self.exports[name] = name
            if any(child.type == "default" for child in node.children):
                self.exports["default"] = written(declared.child_by_field_name("name"))
        elif (value := node.child_by_field_name("value")) is not None and value.type == "identifier":
            self.exports["default"] = written(value)
        elif any(child.type == "*" for child in node.children):
            self.stars.append(module)
        for part in everything(node):
            if part.type == "namespace_export":
                self.exports[written(part.named_children[0])] = Bound(module, "*")
            elif part.type == "export_specifier":
                name = written(part.child_by_field_name("name"))
                shown = written(part.child_by_field_name("alias")) or name
                self.exports[shown] = Bound(module, name) if module else name

    def _define(self, node: Node) -> list[str]:
        if node.type in _DEFINITIONS:
            name = node.child_by_field_name("name")
            if name is None:
                return []
            self.places.setdefault(written(name), []).append(node)
            return [written(name)]
        if node.type in ("lexical_declaration", "variable_declaration"):
            names = [child for child in node.named_children if child.type == "variable_declarator"]
            for child in names:
                self.places.setdefault(written(child.child_by_field_name("name")), []).append(child)
            return [written(child.child_by_field_name("name")) for child in names]
        return []

    def _target(self, node: Node) -> str:
        """The path that the statement names, without an ending; empty for another package's."""
        source = written(node.child_by_field_name("source")).strip("'\"")
        if not source.startswith("."):
            return ""
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.file.path), source))


def cases_of(root: Path, repository: str) -> Iterator[Case]:
    """All there are of the kind `import`, tests left out."""
    project = _Project(root)
    for module in project.modules.values():
        if not module.is_test:
            yield from _of_module(project, module, repository)


def _of_module(project: _Project, module: Module, repository: str) -> Iterator[Case]:
    strings = module.file.in_long_strings()
    seen: set[int] = set()
    for row, needed in project.uses(module):
        if row not in seen and row not in strings and is_fit(module.file.lines[row]):
            seen.add(row)
            yield cut(repository, "import", module.file.path, module.file.lines, row, needed)


class _Project:
    """All modules of a repository, by path."""

    def __init__(self, root: Path) -> None:
        self.modules = {
            file.path: Module(file) for file in read(root, _SUFFIXES) if not file.path.endswith(".d.ts")
        }

    def uses(self, module: Module) -> Iterator[tuple[int, Needed]]:
        """(row, definition) of what the module's functions use of other files."""
        for node in _in_functions(module.file.top):
            bound = module.imports.get(written(node))
            if bound is None or written(node) in module.hidden:
                continue
            if bound.name == "*":
                node, bound = _of_namespace(node, bound)
            needed = self.find(bound) if bound is not None else None
            if needed is not None and needed.path != module.file.path:
                yield node.start_point.row, needed

    def find(self, bound: Bound, hops: int = 0) -> Needed | None:
        """The definition, through re-exports."""
        module = self._module(bound.module)
        if module is None or hops > _MOST_HOPS:
            return None
        exported = module.exports.get(bound.name)
        if isinstance(exported, str) and exported in module.places:
            return None if module.is_test else _needed(module, exported)
        if isinstance(exported, str):  # what was imported is passed on
            exported = module.imports.get(exported)
        if exported is not None:
            return self.find(exported, hops + 1)
        found = [self.find(Bound(star, bound.name), hops + 1) for star in module.stars]
        return next((each for each in found if each is not None), None)

    def _module(self, path: str) -> Module | None:
        stem = path.removesuffix(".js")
        names = (f"{each}{ending}" for each in (stem, f"{path}/index") for ending in _SUFFIXES)
        return next((self.modules[name] for name in (path, *names) if name in self.modules), None)


def _needed(module: Module, name: str) -> Needed:
    nodes = module.places[name]
    heads = [node.child_by_field_name("name") or node for node in nodes]
    rows = [head.start_point.row for head in heads]
    return Needed(module.file.path, name, rows[0], nodes[-1].end_point.row + 1, tuple(rows[1:]))


def _of_namespace(node: Node, bound: Bound) -> tuple[Node, Bound | None]:
    """`space.name`: the node of the name, and what it stands for."""
    parent = node.parent
    if parent is None or parent.type not in ("member_expression", "nested_type_identifier"):
        return node, None
    name = parent.child_by_field_name("property") or parent.child_by_field_name("name")
    if name is None or parent.children[0] != node:
        return node, None
    return name, Bound(bound.module, written(name))


def _in_functions(top: Node) -> Iterator[Node]:
    """Names in the bodies of functions, in the order of the text."""
    waiting = [(top, False)]
    while waiting:
        node, inside = waiting.pop()
        if inside and node.type in _NAMES:
            yield node
        body = node.child_by_field_name("body") if node.type in _FUNCTIONS else None
        waiting.extend((child, inside or child == body) for child in reversed(node.children))
