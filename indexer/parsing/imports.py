"""What a file imports, read from its syntax tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec
from tree_sitter import Node, QueryCursor

from indexer.modules.resolution import PathIndex as PathIndex
from indexer.modules.resolution import resolve as resolve
from indexer.parsing import exported
from indexer.parsing.languages import has_grammar, parse, query_for


class Import(msgspec.Struct, frozen=True):
    """One name that a file takes from elsewhere."""

    module: str
    """As written: `a.b`, `./x`, `github.com/o/r/pkg`, `crate::m`, `dir/x.h`; of a relative Python import
    without its dots. Empty without dots: not taken but handed on, see `indexer.parsing.exported`."""
    name: str | None
    """None: the module itself. `*`: all of it (`#include` too). `default`: JavaScript's default export."""
    alias: str
    """The local name; empty if it binds no single name (side effects, `*`, `import a.b`)."""
    level: int
    """Leading dots of a relative Python import."""
    line: int


PARSE_TIMEOUT_S = 10.0


def imports(text: str | bytes, language: str | None) -> list[Import]:
    """The imports of a text, in its order; empty for languages without a grammar. Never raises for what is in
    it."""
    if language is None or not has_grammar(language):
        return []
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    tree = parse(data, language, PARSE_TIMEOUT_S)
    if tree is None:
        return []
    nodes = QueryCursor(query_for(language, "imports")).captures(tree.root_node).get("statement", [])
    return [found for _, found in read(nodes, language, data)]


def read(nodes: Iterable[Node], language: str, data: bytes) -> list[tuple[Node, Import]]:
    """The imports in statements of a language, with the statement of each, in the order of the text, which is
    `data`."""
    reader = _READERS.get(language)
    if reader is None:
        return []
    text = _Text(data)
    ordered = sorted(nodes, key=lambda node: node.start_byte)
    return [(node, found) for node in ordered for found in reader(node, text)]


class _Text:
    """The texts of nodes. Asking the node itself would copy what follows it too, up to what the parser takes at a
    time."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __call__(self, node: Node | None) -> str:
        if node is None:
            return ""
        return self._data[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def field(self, node: Node, name: str) -> str:
        return self(node.child_by_field_name(name))

    def unquoted(self, node: Node | None) -> str:
        return self(node).strip("\"'`<>")


def _python(node: Node, text: _Text) -> Iterator[Import]:
    line = node.start_point.row
    if node.type.endswith("assignment"):
        yield from (Import("", name, alias, 0, line) for name, alias in exported.in_all(node, text))
        return
    module_node = node.child_by_field_name("module_name")
    module, level = text(module_node).replace(" ", ""), 0
    if module_node is not None and module_node.type == "relative_import":
        level = len(module) - len(module.lstrip("."))
        module = module.lstrip(".")
    if any(child.type == "wildcard_import" for child in node.children):
        yield Import(module, "*", "", level, line)
    for child in node.children_by_field_name("name"):
        aliased = child.type == "aliased_import"
        name = text.field(child, "name") if aliased else text(child)
        alias = text.field(child, "alias") if aliased else ""
        if module_node is not None:
            yield Import(module, name, alias or name, level, line)
        else:
            yield Import(name, None, alias or ("" if "." in name else name), 0, line)


def _ecmascript(node: Node, text: _Text) -> Iterator[Import]:
    if node.type == "call_expression":
        yield from _require(node, text)
        return
    line = node.start_point.row
    if node.type != "import_statement" and node.child_by_field_name("source") is None:
        yield from (Import("", name, alias, 0, line) for name, alias in exported.in_statement(node, text))
        return
    clause = next((child for child in node.named_children if child.type.endswith("_clause")), None)
    source = node.child_by_field_name("source") or (clause and clause.child_by_field_name("source"))
    module = text.unquoted(source)
    if not module:
        return
    parts = [] if clause is None else clause.named_children
    if clause is None:
        namespace = next((child for child in node.named_children if child.type == "namespace_export"), None)
        if namespace is not None:
            yield Import(module, None, text(namespace).removeprefix("*").split()[-1], 0, line)
        else:
            yield Import(module, "*" if node.type == "export_statement" else None, "", 0, line)
    for part in parts:
        if part.type == "identifier":
            whole = clause is not None and clause.type == "import_require_clause"
            yield Import(module, None if whole else "default", text(part), 0, line)
        elif part.type == "namespace_import":
            yield Import(module, None, text(part).split()[-1], 0, line)
        for specifier in [part, *part.named_children]:
            if specifier.type in ("import_specifier", "export_specifier"):
                name = text.field(specifier, "name")
                yield Import(module, name, text.field(specifier, "alias") or name, 0, line)


_AROUND_REQUIRE = frozenset({"await_expression", "member_expression", "parenthesized_expression"})


def _require(node: Node, text: _Text) -> Iterator[Import]:
    """`require("x")` and `import("x")`, with the names that they are assigned to."""
    if text.field(node, "function") not in ("require", "import"):
        return
    line = node.start_point.row
    arguments = node.child_by_field_name("arguments")
    module = text.unquoted(arguments.named_children[0] if arguments else None)
    outer, member, awaited = node.parent, None, text.field(node, "function") == "require"
    while outer is not None and outer.type in _AROUND_REQUIRE and (member is None or not awaited):
        awaited = awaited or outer.type == "await_expression"
        if awaited and outer.type == "member_expression":  # else a member of the promise
            member = text.field(outer, "property")
        outer = outer.parent
    target = None
    if outer is not None and outer.type == "variable_declarator":
        target = outer.child_by_field_name("name")
    elif outer is not None and outer.type == "assignment_expression":
        target = outer.child_by_field_name("left")
        target = target if target is not None and target.type == "identifier" else None
    if target is None or target.type != "object_pattern":
        yield Import(module, member, text(target), 0, line)
        return
    for part in target.named_children:
        if part.type == "pair_pattern":
            yield Import(module, text.field(part, "key"), text.field(part, "value"), 0, line)
        elif part.type == "shorthand_property_identifier_pattern":
            yield Import(module, text(part), text(part), 0, line)


_GO_VERSION = re.compile(r"v\d+")


def _go(node: Node, text: _Text) -> Iterator[Import]:
    module = text.unquoted(node.child_by_field_name("path"))
    alias = text.field(node, "name")
    line = node.start_point.row
    if alias == ".":
        yield Import(module, "*", "", 0, line)
        return
    if not alias:
        parts = [part for part in module.split("/") if not _GO_VERSION.fullmatch(part)] or [module]
        alias = re.sub(r"\.v\d+$", "", parts[-1])
    yield Import(module, None, "" if alias == "_" else alias, 0, line)


def _rust(node: Node, text: _Text) -> Iterator[Import]:
    line = node.start_point.row
    if node.type == "mod_item":
        yield Import(f"self::{text.field(node, 'name')}", None, text.field(node, "name"), 0, line)
        return
    if node.type == "extern_crate_declaration":
        name = text.field(node, "name")
        yield Import(name, None, text.field(node, "alias") or name, 0, line)
        return
    argument = node.child_by_field_name("argument")
    pending = [("", argument)] if argument is not None else []
    while pending:
        prefix, tree = pending.pop()
        if tree.type in ("scoped_use_list", "use_list"):
            inner = _rust_path(prefix, text.field(tree, "path"))
            branches = tree.child_by_field_name("list") or tree
            pending.extend((inner, branch) for branch in reversed(branches.named_children))
        elif tree.type == "use_wildcard":
            yield Import(
                _rust_path(prefix, text(tree).removesuffix("*").removesuffix("::")), "*", "", 0, line
            )
        elif tree.type not in ("line_comment", "block_comment"):
            aliased = tree.type == "use_as_clause"
            path = _rust_path(prefix, text.field(tree, "path") if aliased else text(tree))
            yield _rust_use(path, text.field(tree, "alias") if aliased else "", line)


def _rust_path(prefix: str, path: str) -> str:
    path = "".join(path.split())
    return f"{prefix}::{path}" if prefix and path else prefix or path


def _rust_use(path: str, alias: str, line: int) -> Import:
    path = path.removeprefix("::")
    if path.endswith("::self"):
        path = path.removesuffix("::self")
        return Import(path, None, alias or path.rpartition("::")[2], 0, line)
    module, _, name = path.rpartition("::")
    return (
        Import(module, name, alias or name, 0, line) if module else Import(name, None, alias or name, 0, line)
    )


def _java(node: Node, text: _Text) -> Iterator[Import]:
    path = next((text(child) for child in node.named_children if "identifier" in child.type), "")
    line = node.start_point.row
    if any(child.type == "asterisk" for child in node.children):
        yield Import(path, "*", "", 0, line)
        return
    module, _, name = path.rpartition(".")
    yield Import(module, name, name, 0, line)


def _include(node: Node, text: _Text) -> Iterator[Import]:
    module = text.unquoted(node.child_by_field_name("path"))
    if module:
        yield Import(module, "*", "", 0, node.start_point.row)


_READERS: dict[str, Callable[[Node, _Text], Iterator[Import]]] = {
    "python": _python,
    "javascript": _ecmascript,
    "typescript": _ecmascript,
    "tsx": _ecmascript,
    "go": _go,
    "rust": _rust,
    "java": _java,
    "c": _include,
    "cpp": _include,
}
