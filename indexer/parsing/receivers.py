"""Receiver paths: what stands before the dot of a reference, as far as its own file tells.

A path is a root and `.member` steps, each of which may end in `()`. Its root is a name (of a module, class or
function, whatever the file does not say), or `:Type` for an instance of `Type`, `:super(C)` for one of C seen as
its base class, or `?` alone for what cannot be read. `with X() as y` makes y `X().__enter__()`.

Nothing is guessed: a name that is bound to two different things is `?`, and so is a parameter without a type.
What a language needs for that is told in `indexer.parsing.dialect`."""

from __future__ import annotations

import re
from collections.abc import Iterable

import tree_sitter

from indexer.parsing.definitions import FUNCTION_KINDS, Found
from indexer.parsing.dialect import Dialect, Expression
from indexer.parsing.localscopes import FILE, Binding, Rule, Scopes
from indexer.parsing.source import Source
from indexer.parsing.typenames import value_of

UNKNOWN = "?"
NOTHING = ""
"""The path of `None`: it says nothing about what else a name may be."""

_LONGEST_PATH = 12
"""Steps; who chains more calls gets `?`."""

_DEEPEST = 8
"""Names that may stand for one another before it is `?`; also the end of circles."""

_ARGUMENTS = re.compile(r"<.*?>+")

_REMEMBERED_BYTES = 100
"""Of an expression whose path is kept: longer ones hardly ever come twice."""

_FIRST_ARGUMENT = re.compile(r"\(\s*([\w.]+)")


class Receivers:
    """Works out the paths of one text."""

    def __init__(self, source: Source, dialect: Dialect, scopes: Scopes, found: Iterable[Found]) -> None:
        self._source = source
        self._dialect = dialect
        self.calls_no_variables = dialect.calls_no_variables
        self._scopes = scopes
        self._methods = {item.node.start_byte: item for item in found if item.kind in FUNCTION_KINDS}
        self._static = re.compile(dialect.static.encode()) if dialect.static else None
        self._of_class = re.compile(dialect.of_class.encode()) if dialect.of_class else None
        self._getter = re.compile(dialect.getter.encode()) if dialect.getter else None
        self._path_separator = dialect.path_separator.encode()
        self._texts: dict[tuple[int, bytes, bool], str] = {}
        self._names: dict[tuple[int, str], str] = {}
        self._depth = 0

    def of(self, node: tree_sitter.Node, scope: int) -> str:
        """The path of the expression before a dot, in the scope of what stands behind the dot."""
        start, end = node.start_byte, node.end_byte
        if end - start > _REMEMBERED_BYTES:
            return self.path(node, scope) or UNKNOWN
        key = scope, self._source.data[start:end], self._is_in_path(node)
        path = self._texts.get(key)  # within one scope the same text means the same
        if path is None:
            path = self._texts[key] = self.path(node, scope) or UNKNOWN
        return path

    def bind_getters(self) -> None:
        """Makes methods that are read like fields into fields of their class, of the type that they declare."""
        for method in self._methods.values():
            if not self._says(self._getter, method):
                continue
            around = self._scopes.around(method.node.start_byte, method.node.end_byte)
            if around >= 0 and self._scopes.all[around].kind == "class":
                declared = (method.node.child_by_field_name(field) for field in self._dialect.results)
                node = next(filter(None, declared), None)
                rule = Rule.TYPE if node is not None else Rule.UNKNOWN
                self._scopes.bind_field(around, method.name, Binding(rule, node, around))

    def types(self) -> dict[str, str]:
        """The paths of fields as `Class.field`, and of the file's variables where more than a plain value is
        known."""
        found: dict[str, str] = {}
        for scope, fields in self._scopes.fields.items():
            of_class = self._scopes.all[scope].name
            for field, bindings in fields.items():
                path = self._resolve(field, bindings, itself=f":{of_class}.{field}")
                if path and path != field:
                    key = f"{of_class}.{field}"
                    found[key] = path if found.get(key, path) == path else UNKNOWN
        for name, bindings in self._scopes.names[FILE].items():
            if all(binding.rule in (Rule.TYPE, Rule.VALUE) for binding in bindings):
                path = self._resolve(name, bindings)
                if path not in (NOTHING, UNKNOWN, name) and not self._is_literal(bindings):
                    found[name] = path
        return found

    def path(self, node: tree_sitter.Node, scope: int) -> str:
        """Of any expression that stands in this scope."""
        steps: list[str] = []
        for _ in range(2 * _LONGEST_PATH):
            expression = self._dialect.expressions.get(node.type)
            if expression is None:
                return UNKNOWN
            fields = expression.fields
            match expression.rule:
                case "member":
                    step, inner = self._field(node, fields[1]), self._field(node, fields[0])
                    if step is None:
                        return UNKNOWN
                    if self._takes_out(step, inner, steps):
                        steps.pop()
                    else:
                        steps.append("." + self._step(step))
                case "call":
                    steps.append("()")
                    inner = self._field(node, fields[0])
                    if len(fields) == 2:
                        name = self._text(self._field(node, fields[1]))
                        if inner is None:
                            plain = self._dialect.calls_no_variables
                            return self._joined(name if plain else self._name(name, scope), steps)
                        steps.append("." + name)
                    elif inner is not None and self._text(inner) == self._dialect.super_call != "":
                        steps.pop()
                        return self._joined(self._super(node, scope), steps)
                case "same":
                    inner = self._field(node, fields[0])
                case _:
                    return self._joined(self._root(node, expression, scope), steps)
            if inner is None:
                return UNKNOWN
            node = inner
        return UNKNOWN

    def _step(self, node: tree_sitter.Node) -> str:
        name = self._text(node)
        if ":" in name or "<" in name:  # C++: `a::b` as a whole, with type arguments
            name = _ARGUMENTS.sub("", name).replace("::", ".")
        return name

    def _takes_out(self, step: tree_sitter.Node, inner: tree_sitter.Node | None, steps: list[str]) -> bool:
        """Whether this is a called method that gives what is in the result of a call, as its type is told."""
        if inner is None or steps[-1:] != ["()"] or self._text(step) not in self._dialect.taking_out:
            return False
        made = self._dialect.expressions.get(inner.type)
        return made is not None and made.rule == "call"

    def _is_in_path(self, node: tree_sitter.Node) -> bool:
        """Whether it is of a module or type, being followed by more of a path."""
        return self._path_separator != b"" and self._source.data.startswith(
            self._path_separator, node.end_byte
        )

    def _root(self, node: tree_sitter.Node, expression: Expression, scope: int) -> str:
        match expression.rule:
            case "name":
                name = self._text(node)
                if self._is_in_path(node) and name not in self._dialect.types.own:
                    return name
                return self._name(name, scope)
            case "own":
                return self._text(node) if self._is_in_path(node) else self._own(scope)
            case "parent":
                return self._super(node, scope)
            case "instance":
                return self._instance(self._field(node, expression.fields[0]), scope)
            case "either":
                return self._either(node, expression, scope)
            case "literal":
                return f":{expression.fields[0]}"
            case _:
                return NOTHING

    def _joined(self, root: str, steps: list[str]) -> str:
        """`steps` from the last to the first."""
        if not steps:
            return root
        if root in (UNKNOWN, NOTHING) or len(steps) > _LONGEST_PATH:
            return UNKNOWN
        if root[0] != ":" and steps[-1] == ".this":  # Java's `Outer.this`
            root = f":{root}"
            steps.pop()
        if root[0] == ":" and steps[-1:] == [".__class__"]:
            root = root[1:]
            steps.pop()
        return root + "".join(reversed(steps))

    def _field(self, node: tree_sitter.Node, field: str) -> tree_sitter.Node | None:
        if not field.isdigit():
            return node.child_by_field_name(field)
        for place in map(int, field):
            children = node.named_children
            if place >= len(children):
                return None
            node = children[place]
        return node

    def _text(self, node: tree_sitter.Node | None) -> str:
        return self._source.name(node) if node is not None else ""

    def _name(self, name: str, scope: int) -> str:
        """What a bare name is in this scope."""
        if name in self._dialect.types.own:
            return self._of_own_class(scope).removeprefix(":")
        key = scope, name
        path = self._names.get(key)
        if path is None:
            self._names[key] = UNKNOWN  # what stands for itself is a circle
            _, bindings = self._scopes.find(scope, name, own_names=self._dialect.implicit_own)
            path = self._names[key] = self._resolve(name, bindings) or UNKNOWN if bindings else name
        return path

    def _resolve(self, name: str, bindings: list[Binding], itself: str = NOTHING) -> str:
        """The one path that all bindings agree on. A declared type counts more than what is assigned; being set
        to `itself` says nothing."""
        declared = [binding for binding in bindings if binding.rule is Rule.TYPE]
        paths: set[str] = set()
        self._depth += 1
        for binding in declared or bindings:
            paths.add(self._bound(name, binding) if self._depth <= _DEEPEST else UNKNOWN)
            if UNKNOWN in paths:
                break
        self._depth -= 1
        paths -= {NOTHING, itself}
        if len(paths) > 1:
            return UNKNOWN
        return paths.pop() if paths else NOTHING

    def _bound(self, name: str, binding: Binding) -> str:
        node = binding.node
        if binding.rule is Rule.ITSELF:
            return name
        if binding.rule is Rule.NOTHING:
            return NOTHING
        if binding.rule is Rule.FIRST:
            return self._first(binding.scope)
        if node is None or binding.rule is Rule.UNKNOWN:
            return UNKNOWN
        if binding.rule is Rule.TYPE:
            path = value_of(self._source.short_text(node), self._dialect.types)
            return self._of_own_class(binding.scope) if path == ":" else path
        path = self.path(node, binding.scope)
        if binding.rule is Rule.ENTERED:
            return self._joined(path, [".__enter__()"])
        return path

    def _first(self, scope: int) -> str:
        """The first parameter of the function that is this scope."""
        around = self._scopes.parents[scope] if scope >= 0 else FILE
        if around < 0 or self._scopes.all[around].kind != "class":
            return UNKNOWN
        method = self._methods.get(self._scopes.all[scope].start)
        if method is None or self._says(self._static, method):
            return UNKNOWN
        name = self._scopes.all[around].name
        if method.name in self._dialect.class_methods or self._says(self._of_class, method):
            return name
        return f":{name}"

    def _own(self, scope: int) -> str:
        """`this`, which every function has anew unless it is an arrow."""
        while scope >= 0 and self._scopes.all[scope].kind in ("block", "arrow"):
            scope = self._scopes.parents[scope]
        if scope >= 0 and self._scopes.all[scope].kind == "function":
            around = self._scopes.parents[scope]
            if around < 0 or self._scopes.all[around].kind != "class":
                return UNKNOWN
            method = self._methods.get(self._scopes.all[scope].start)
            name = self._scopes.all[around].name
            return name if method is not None and self._says(self._static, method) else f":{name}"
        return f":{self._scopes.all[scope].name}" if self._scopes.class_of(scope) >= 0 else UNKNOWN

    def _super(self, node: tree_sitter.Node, scope: int) -> str:
        named = _FIRST_ARGUMENT.search(self._source.text(node.start_byte, node.end_byte))
        if named:
            return f":super({named.group(1)})"
        around = self._scopes.class_of(scope)
        return f":super({self._scopes.all[around].name})" if around >= 0 else UNKNOWN

    def _of_own_class(self, scope: int) -> str:
        around = self._scopes.class_of(scope)
        return f":{self._scopes.all[around].name}" if around >= 0 else UNKNOWN

    def _instance(self, node: tree_sitter.Node | None, scope: int) -> str:
        """Of a type that is made or cast to; its name may be a variable too."""
        if node is None:
            return UNKNOWN
        path = value_of(self._source.short_text(node), self._dialect.types)
        if path == ":":
            return self._of_own_class(scope)
        name = path.removeprefix(":")
        if "." in name or name == path:
            return path
        meant = self._name(name, scope)
        return UNKNOWN if meant.startswith((":", UNKNOWN)) else f":{meant}"

    def _either(self, node: tree_sitter.Node, expression: Expression, scope: int) -> str:
        paths: set[str] = set()
        self._depth += 1
        for field in expression.fields:
            inner = self._field(node, field)
            if inner is None or self._depth > _DEEPEST:
                paths.add(UNKNOWN)
            else:
                paths.add(self.path(inner, scope))
        self._depth -= 1
        paths.discard(NOTHING)
        if len(paths) > 1:
            return UNKNOWN
        return paths.pop() if paths else NOTHING

    def _says(self, expression: re.Pattern[bytes] | None, method: Found) -> bool:
        """Whether it is found before the method's name."""
        return expression is not None and bool(
            expression.search(self._source.data, method.start, method.name_start)
        )

    def _is_literal(self, bindings: list[Binding]) -> bool:
        def rule(binding: Binding) -> str:
            found = self._dialect.expressions.get(binding.node.type) if binding.node is not None else None
            return found.rule if found else ""

        return all(rule(binding) in ("literal", "nothing") for binding in bindings)
