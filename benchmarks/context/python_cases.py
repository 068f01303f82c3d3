"""Cuts cases from a Python repository: lines in functions that use what another file defines, and any lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.context.case import Case, Kind, Needed, cut, is_fit
from benchmarks.context.python_modules import Bound, Function, Module, Place, Project


def cases_of(root: Path, repository: str, kind: Kind) -> Iterator[Case]:
    """All there are of a kind, tests left out."""
    project = Project(root)
    for module in project.modules.values():
        if not module.is_test:
            yield from _of_module(project, module, repository, kind)


def _of_module(project: Project, module: Module, repository: str, kind: Kind) -> Iterator[Case]:
    uses = _Uses(project, module)
    uses.visit(module.tree)
    if kind == "random":
        for line in sorted(uses.code - _in_long_strings(module.tree)):
            if is_fit(module.lines[line]):
                yield cut(repository, kind, module.path, module.lines, line, None)
        return
    strings = _in_long_strings(module.tree)
    seen: set[int] = set()
    for line, place in uses.members if kind == "member" else uses.imported:
        other = project.modules[place.module]
        if line in seen or line in strings or other.is_test or not is_fit(module.lines[line]):
            continue
        seen.add(line)
        needed = Needed(other.path, place.name, place.line, place.end_line)
        if kind == "noimport":
            lines, moved = _without_imports(module, place, project, line)
            if lines:
                yield cut(repository, kind, module.path, lines, moved, needed)
        else:
            yield cut(repository, kind, module.path, module.lines, line, needed)


class _Scope:
    """One function's own names."""

    def __init__(self, module: Module, node: Function) -> None:
        self.local = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
        self.imports: dict[str, Bound] = {}
        self.types: dict[str, ast.expr] = {}
        """Name → the class that it is said, or made, to be of."""
        assigned: dict[str, list[ast.expr | None]] = {}
        elsewhere: set[str] = set()
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            if argument.annotation is not None:
                assigned.setdefault(argument.arg, []).append(_plain(argument.annotation))
        for inner in ast.walk(node):
            match inner:
                case ast.Name(ctx=ast.Store() | ast.Del()):
                    self.local.add(inner.id)
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if inner is not node:
                    self.local.add(inner.name)
                case ast.ExceptHandler() if inner.name:
                    self.local.add(inner.name)
                case ast.Global() | ast.Nonlocal():
                    elsewhere.update(inner.names)
                case ast.Import() | ast.ImportFrom():
                    self.imports.update(module.bindings(inner))
                case ast.AnnAssign(target=ast.Name(id=name)):
                    assigned.setdefault(name, []).append(_plain(inner.annotation))
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    assigned.setdefault(name, []).append(_made(value))
                case _:
                    pass
        stores = [
            inner.id
            for inner in ast.walk(node)
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
        ]
        for name, said in assigned.items():
            if len(said) == 1 and said[0] is not None and stores.count(name) <= 1:
                self.types[name] = said[0]
        self.local -= elsewhere


class _Uses(ast.NodeVisitor):
    """(line, definition) of what a module's functions use of other files; lines count from 0."""

    def __init__(self, project: Project, module: Module) -> None:
        self._project, self._module = project, module
        self._scopes: list[_Scope] = []
        self._classes: list[ast.ClassDef] = []
        self.imported: list[tuple[int, Place]] = []
        self.members: list[tuple[int, Place]] = []
        self.code: set[int] = set()
        """First lines of statements in functions."""

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._classes.append(node)
        self.generic_visit(node)
        self._classes.pop()

    def _visit_function(self, node: Function) -> None:
        self._scopes.append(_Scope(self._module, node))
        for statement in node.body:
            self.code.update(inner.lineno - 1 for inner in ast.walk(statement) if isinstance(inner, ast.stmt))
            self.visit(statement)
        self._scopes.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = _visit_function

    def visit_Import(self, node: ast.Import) -> None:
        """Imports use nothing."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Imports use nothing."""

    def visit_Name(self, node: ast.Name) -> None:
        self._use(node, node.lineno - 1)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not self._use(node, (node.end_lineno or node.lineno) - 1):
            self._use_member(node)
            self.generic_visit(node)

    def _use(self, node: ast.Name | ast.Attribute, line: int) -> bool:
        if not self._scopes or not isinstance(node.ctx, ast.Load):
            return False
        found = self._project.find_expression(self._module, node, self._visible(node))
        if isinstance(found, Place) and found.module != self._module.name:
            self.imported.append((line, found))
            return True
        return False

    def _use_member(self, node: ast.Attribute) -> None:
        if not self._scopes or not isinstance(node.ctx, ast.Load):
            return
        receiver = self._class_of(node.value)
        found = self._project.member(receiver, node.attr) if receiver is not None else None
        if found is not None and found.module != self._module.name:
            self.members.append(((node.end_lineno or node.lineno) - 1, found))

    def _class_of(self, receiver: ast.expr) -> Place | None:
        """Of an object: a local name, or an attribute of `self` that is made once."""
        if isinstance(receiver, ast.Name):
            if receiver.id == "self" and self._classes:
                own = self._module.places.get(self._classes[-1].name)
                return own if own is not None and len(self._classes) == 1 else None
            for scope in reversed(self._scopes):
                if receiver.id in scope.types:
                    return self._project.find_class(self._module, scope.types[receiver.id], self._imports())
                if receiver.id in scope.local:
                    return None
        if (
            isinstance(receiver, ast.Attribute)
            and isinstance(receiver.value, ast.Name)
            and receiver.value.id == "self"
            and self._classes
        ):
            said = _fields(self._classes[-1]).get(receiver.attr)
            return self._project.find_class(self._module, said) if said is not None else None
        return None

    def _imports(self) -> Mapping[str, Bound]:
        return {name: bound for scope in self._scopes for name, bound in scope.imports.items()}

    def _visible(self, node: ast.expr) -> Mapping[str, Bound] | None:
        """What local imports say of the name at the root; a local name that is none hides the module's."""
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name):
            return None
        for scope in reversed(self._scopes):
            if root.id in scope.imports:
                return scope.imports
            if root.id in scope.local:
                return {root.id: Bound("")}  # no module has this name
        return None


def _fields(node: ast.ClassDef) -> dict[str, ast.expr]:
    """Attributes of `self` whose class is said or made in exactly one place."""
    said: dict[str, list[ast.expr | None]] = {}
    for inner in ast.walk(node):
        match inner:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value):
                said.setdefault(name, []).append(_made(value))
            case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name)):
                said.setdefault(name, []).append(_plain(inner.annotation))
            case _:
                pass
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            said.setdefault(statement.target.id, []).append(_plain(statement.annotation))
    return {name: found[0] for name, found in said.items() if len(found) == 1 and found[0] is not None}


def _made(value: ast.expr) -> ast.expr | None:
    """The class in `Class(...)`, if it is one."""
    return (
        value.func
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name | ast.Attribute)
        else None
    )


def _plain(annotation: ast.expr) -> ast.expr | None:
    """The class in `Class`, `Class | None`, `Optional[Class]`."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return left
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return inner
        case ast.Name() | ast.Attribute() | ast.Constant():
            return annotation
        case _:
            return None


def _without_imports(module: Module, place: Place, project: Project, line: int) -> tuple[list[str], int]:
    """The lines without what imports this definition at the module's top, and where `line` is then; empty where the
    definition is reached in another way."""
    lines = list(module.lines)
    removed = 0
    found = False
    for node in reversed(module.tree.body):
        if not isinstance(node, ast.Import | ast.ImportFrom) or node.lineno - 1 > line:
            continue
        bound = list(module.bindings(node))
        kept = [
            alias for alias, (_, what) in zip(node.names, bound, strict=False) if project.find(what) != place
        ]
        if len(bound) != len(node.names) or len(kept) == len(node.names):
            continue
        found = True
        start, end = node.lineno - 1, node.end_lineno or node.lineno
        node.names, names = kept, node.names
        lines[start:end] = [ast.unparse(node) + "\n"] if kept else []
        node.names = names
        removed += end - start - bool(kept)
    return (lines, line - removed) if found else ([], line)


def _in_long_strings(tree: ast.Module) -> set[int]:
    """Lines that touch a string of several lines."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and (end := node.end_lineno or 0) > node.lineno:
            lines.update(range(node.lineno - 1, end))
    return lines
