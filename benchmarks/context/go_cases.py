"""Cuts cases from a Go module: lines in functions that use what another package of it defines (`pkg.Name`), or another
file of their own package."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tree_sitter import Node

from benchmarks.context.case import Case, Needed, cut, is_fit
from benchmarks.context.trees import SourceFile, everything, read, written

_LEFT_OUT = frozenset({"testdata", "test", "tests", "testing", "mock", "mocks"})
_FUNCTIONS = ("function_declaration", "method_declaration")
_SPECS = ("type_spec", "type_alias", "const_spec", "var_spec")
_NAMES = frozenset({"identifier", "type_identifier", "package_identifier"})
_BOUND_BY = {
    "parameter_declaration": "name",
    "variadic_parameter_declaration": "name",
    "short_var_declaration": "left",
    "range_clause": "left",
    "receive_statement": "left",
    "type_switch_statement": "alias",
    "var_spec": "name",
    "const_spec": "name",
    "type_spec": "name",
}
"""Nodes that bind names in a function, and the field that holds them."""


class GoFile:
    """One file of a package."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.folder = file.path.rpartition("/")[0]
        self.package = ""
        self.imports: list[tuple[str, str]] = []
        """(path, the name that it is given here; empty for the package's own)."""
        self.places: dict[str, Node] = {}
        self.functions: list[Node] = []
        for node in file.top.children:
            if node.type == "package_clause":
                self.package = written(node.named_children[0])
            elif node.type == "import_declaration":
                self._import(node)
            elif node.type in _FUNCTIONS:
                self.functions.append(node)
                if node.type == "function_declaration" and (name := node.child_by_field_name("name")):
                    self.places[written(name)] = node
            elif node.type in ("type_declaration", "const_declaration", "var_declaration"):
                self._define(node)

    def _import(self, node: Node) -> None:
        for spec in everything(node):
            if spec.type == "import_spec":
                path = written(spec.child_by_field_name("path")).strip('"`')
                self.imports.append((path, written(spec.child_by_field_name("name"))))

    def _define(self, node: Node) -> None:
        for spec in everything(node):
            if spec.type in _SPECS:
                for name in spec.children_by_field_name("name"):
                    self.places.setdefault(written(name), spec)


def cases_of(root: Path, repository: str) -> Iterator[Case]:
    """All there are of the kind `import`, tests left out."""
    module = _Module(root)
    for file in module.files:
        strings, lines = file.file.in_long_strings(), file.file.lines
        seen: set[int] = set()
        for row, needed in module.uses(file):
            if row not in seen and row not in strings and is_fit(lines[row]):
                seen.add(row)
                yield cut(repository, "import", file.file.path, lines, row, needed)


class _Module:
    """All packages of a repository."""

    def __init__(self, root: Path) -> None:
        self.path = _module_path(root)
        self.files = [GoFile(file) for file in read(root, (".go",)) if not _is_test(file.path)]
        found: dict[tuple[str, str], list[tuple[GoFile, Node]]] = defaultdict(list)
        for file in self.files:
            for name, node in file.places.items():
                found[file.folder, name].append((file, node))
        # What two files define is one or the other by build constraints.
        self._places = {key: places[0] for key, places in found.items() if len(places) == 1}
        self._packages = {file.folder: file.package for file in self.files}

    def uses(self, file: GoFile) -> Iterator[tuple[int, Needed]]:
        """(row, definition) of what the functions of a file use of other files."""
        imported = {
            name or self._packages[folder]: folder
            for path, name in file.imports
            if (folder := self._folder(path)) is not None and folder in self._packages
        }
        for function in file.functions:
            body = function.child_by_field_name("body")
            local = _bound(function)
            for node in everything(body) if body is not None else ():
                if node.type not in _NAMES or written(node) in local or _is_key(node):
                    continue
                name, folder = node, file.folder
                if written(node) in imported:
                    folder = imported[written(node)]
                    name = _selected(node)
                needed = self._needed(folder, written(name))
                if name is not None and needed is not None and needed.path != file.file.path:
                    yield name.start_point.row, needed

    def _folder(self, path: str) -> str | None:
        if path == self.path:
            return ""
        return path.removeprefix(f"{self.path}/") if path.startswith(f"{self.path}/") else None

    def _needed(self, folder: str, name: str) -> Needed | None:
        place = self._places.get((folder, name))
        if place is None:
            return None
        file, node = place
        head = next(
            (each for each in node.children_by_field_name("name") if written(each) == name), node
        ).start_point.row
        return Needed(file.file.path, name, head, node.end_point.row + 1)


def _module_path(root: Path) -> str:
    try:
        lines = (root / "go.mod").read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith("module ")), "")


def _is_test(path: str) -> bool:
    *folders, name = path.split("/")
    return name.endswith("_test.go") or not _LEFT_OUT.isdisjoint(folders)


def _selected(node: Node) -> Node | None:
    """The name behind the dot of `pkg.Name`."""
    parent = node.parent
    if (
        parent is None
        or parent.type not in ("selector_expression", "qualified_type")
        or parent.children[0] != node
    ):
        return None
    return parent.child_by_field_name("field") or parent.child_by_field_name("name")


def _is_key(node: Node) -> bool:
    """Whether it names a field in a literal."""
    element = node.parent
    pair = element.parent if element is not None and element.type == "literal_element" else element
    first = pair.named_children[0] if pair is not None and pair.type == "keyed_element" else None
    return first is not None and first in (node, element)


def _bound(function: Node) -> set[str]:
    """Names that something in the function binds: with one of them, a package's own is not certainly meant."""
    return {
        written(inner)
        for node in everything(function)
        if (field := _BOUND_BY.get(node.type))
        for name in node.children_by_field_name(field)
        for inner in everything(name)
        if inner.type in ("identifier", "type_identifier")
    }
