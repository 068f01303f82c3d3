"""Definitions and references of one text, found by tree-sitter with the queries of `indexer/queries`.

A query marks a definition's node as `@definition.KIND` and its name as `@name`, what it belongs to as
`@container` where that does not enclose it, an enclosing node that is no definition itself as `@scope`, and
the name of a reference as `@reference.KIND`. Nothing here recurses: code may be nested deeper than Python's
stack."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import msgspec
import tree_sitter

from indexer.languages import has_grammar, parse, query_for


class Tag(msgspec.Struct, frozen=True):
    """One name at one place. Lines are 0-based, columns count characters."""

    name: str
    kind: str
    """Of definitions: `function`, `method`, `class`, `struct`, `interface`, `enum`, `type`, `constant`,
    `macro`, `module`, `prototype`; of references: `call`, `class`, `type`, `import`, `name`."""
    role: Literal["definition", "reference"]
    start_line: int
    end_line: int
    """Exclusive. Of the whole definition with its decorators; of a reference, the line after it."""
    name_line: int
    name_column: int
    container: str = ""
    """What it belongs to: the class of a method, the function of a nested one; empty at the top."""
    signature: str = ""
    """The definition up to its body in one line of at most `SIGNATURE_CHARACTERS`."""


class Tags(msgspec.Struct):
    """Both lists in the order of the text."""

    definitions: list[Tag]
    references: list[Tag]
    error: str = ""
    """Why there is nothing, or not all, although there is a grammar. A text with syntax errors still has tags
    and no `error`."""


SIGNATURE_CHARACTERS = 200
"""About two lines of code: enough for the parameters of nearly all functions."""

TIMEOUT_S = 5.0
"""A megabyte takes a quarter of a second. Only code that is nested thousands of levels deep takes longer,
since tree-sitter finds a node's parent from the root downwards."""

TYPE_KINDS = frozenset({"class", "struct", "interface", "enum", "scope"})
"""A function directly inside one of these is a method."""

FUNCTION_KINDS = frozenset({"function", "method"})

_LOCAL_KINDS = frozenset({"constant", "prototype"})
"""Kinds that are of no interest inside a function."""

_LEAF_KINDS = frozenset({"type", "macro", "prototype"})
"""Kinds that nothing belongs to (a `typedef struct a {…} b` encloses `a`, which is not a member of `b`)."""

_WRAPPERS = frozenset(
    {
        "decorated_definition",  # Python
        "export_statement",  # JavaScript and TypeScript, as are the next four
        "ambient_declaration",
        "lexical_declaration",
        "variable_declaration",
        "expression_statement",
        "type_declaration",  # Go, as are the next two
        "const_declaration",
        "var_declaration",
        "template_declaration",  # C++
    }
)
"""Nodes that belong to the definition within them, if it is the only one there."""

_SEVERAL = frozenset({"variable_declarator", "type_spec", "type_alias", "const_spec", "var_spec"})
"""Nodes of which one wrapper may hold many; each then stands for itself."""

_LEADERS = frozenset({"attribute_item", "decorator"})
"""Siblings before a definition that belong to it (Rust's attributes, decorators of TypeScript's methods)."""


class _Found(msgspec.Struct):
    """A definition's nodes, before its place among the others is known."""

    kind: str
    name: str
    name_node: tree_sitter.Node
    node: tree_sitter.Node
    outer: tree_sitter.Node
    container: str


class _Source:
    """The bytes of a text and what is asked of them all the time."""

    def __init__(self, data: bytes, deadline: float) -> None:
        self.data = data
        self._deadline = deadline
        self._ascii = data.isascii()
        self._names: dict[bytes, str] = {}

    def late(self) -> bool:
        return time.monotonic() > self._deadline

    def name(self, node: tree_sitter.Node) -> str:
        raw = self.data[node.start_byte : node.end_byte]
        known = self._names.get(raw)
        if known is None:
            known = raw.decode("utf-8", "replace")
            if "\n" in known:  # `~` and what it destroys may stand on two lines
                known = "".join(known.split())
            self._names[raw] = known
        return known

    def starts_with(self, node: tree_sitter.Node, prefix: bytes) -> bool:
        return self.data.startswith(prefix, node.start_byte)

    def column(self, node: tree_sitter.Node) -> int:
        column = node.start_point.column
        if self._ascii:
            return column
        return len(self.data[node.start_byte - column : node.start_byte].decode("utf-8", "replace"))


def tags(text: str | bytes, language: str | None) -> Tags:
    """The definitions and references of a text (bytes: UTF-8). Never raises for what is in the text."""
    if language is None or not has_grammar(language):
        return Tags([], [])
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return Tags([], [], "not UTF-8")
    source = _Source(data, time.monotonic() + TIMEOUT_S)
    tree = parse(data, language, TIMEOUT_S)
    if tree is None:
        return Tags([], [], f"parsing took longer than {TIMEOUT_S:.0f} s")
    definitions, name_bytes = _definitions(tree, language, source)
    references = _references(tree, language, source, name_bytes)
    error = f"not all definitions: took longer than {TIMEOUT_S:.0f} s" if source.late() else ""
    return Tags(definitions, references, error)


def _definitions(tree: tree_sitter.Tree, language: str, source: _Source) -> tuple[list[Tag], set[int]]:
    """The definitions, and the bytes at which their names begin."""
    found = list(_found(tree, language, source))
    found.sort(key=lambda item: (item.outer.start_byte, -item.outer.end_byte))
    result: list[Tag] = []
    enclosing: list[_Found] = []
    constants: set[tuple[str, str]] = set()
    for item in found:
        if source.late():
            break
        while enclosing and not _encloses(enclosing[-1].outer, item.outer):
            enclosing.pop()
        parent = enclosing[-1] if enclosing else None
        if parent and parent.kind in FUNCTION_KINDS and item.kind in _LOCAL_KINDS:
            continue
        if item.kind not in _LEAF_KINDS:
            enclosing.append(item)
        if item.kind == "scope":
            continue
        container = item.container or (parent.name if parent else "")
        if item.kind == "constant":
            if (container, item.name) in constants:
                continue
            constants.add((container, item.name))
        kind = item.kind
        if kind in ("function", "prototype") and parent and parent.kind in TYPE_KINDS:
            kind = "method"
        result.append(_tag(item, kind, container, source))
    return result, {item.name_node.start_byte for item in found if item.kind != "scope"}


def _encloses(outer: tree_sitter.Node, inner: tree_sitter.Node) -> bool:
    """Truly: `var a, b = 1, 2` is the whole of both and encloses neither."""
    return outer.end_byte >= inner.end_byte and outer.byte_range != inner.byte_range


def _found(tree: tree_sitter.Tree, language: str, source: _Source) -> Iterator[_Found]:
    """Each definition once: where several patterns match a name, what is more than a constant wins."""
    by_name: dict[tuple[int, bool], _Found] = {}
    for _, captures in tree_sitter.QueryCursor(query_for(language, "definitions")).matches(tree.root_node):
        capture = next((key for key in captures if key.startswith("definition.") or key == "scope"), None)
        if source.late():
            break
        if capture is None or "name" not in captures:
            continue
        kind = capture.removeprefix("definition.")
        name_node, node = captures["name"][0], captures[capture][0]
        if "value" in captures and source.starts_with(captures["value"][0], b"require("):
            continue
        key = (name_node.start_byte, kind == "scope")
        known = by_name.get(key)
        if known and (known.kind not in _LOCAL_KINDS or kind in _LOCAL_KINDS):
            continue
        container = captures["container"][0] if "container" in captures else None
        while name_node.type == "qualified_identifier":  # C++: outer::inner::name
            container, inner = name_node.child_by_field_name("scope"), name_node.child_by_field_name("name")
            if inner is None:
                break
            name_node = inner
        by_name[key] = _Found(
            kind=kind,
            name=source.name(name_node),
            name_node=name_node,
            node=node,
            outer=_outer(node),
            container=source.name(container).partition("<")[0] if container else "",
        )
    yield from by_name.values()


def _outer(node: tree_sitter.Node) -> tree_sitter.Node:
    """The node with its decorators, `export`, `template` and the like."""
    while (parent := node.parent) is not None and parent.type in _WRAPPERS:
        if node.type in _SEVERAL and parent.named_child_count > 1:
            break
        node = parent
    return node


def _tag(item: _Found, kind: str, container: str, source: _Source) -> Tag:
    first = item.outer
    while (before := first.prev_sibling) is not None and before.type in _LEADERS:
        first = before
    start, end = first.start_point.row, item.outer.end_point
    ends_before = end.column == 0 and end.row > start
    return Tag(
        name=item.name,
        kind=kind,
        role="definition",
        start_line=start,
        end_line=end.row if ends_before else end.row + 1,
        name_line=item.name_node.start_point.row,
        name_column=source.column(item.name_node),
        container=container,
        signature=_signature(item, source.data),
    )


def _signature(item: _Found, data: bytes) -> str:
    node = item.node if item.outer.type == "decorated_definition" else item.outer
    start = next((child.start_byte for child in node.children if child.type != "decorator"), node.start_byte)
    body = item.node.child_by_field_name("body")
    for field in ("value", "right"):
        if body is None and (value := item.node.child_by_field_name(field)) is not None:
            body = value.child_by_field_name("body")
    end = body.start_byte if body is not None else node.end_byte
    # A character has at most four bytes; blanks that collapse are rarely more than as much again.
    text = data[start : min(end, start + 8 * SIGNATURE_CHARACTERS)].decode("utf-8", "ignore")
    return " ".join(text.split()).removesuffix("{").rstrip()[:SIGNATURE_CHARACTERS]


def _references(
    tree: tree_sitter.Tree, language: str, source: _Source, definition_names: set[int]
) -> list[Tag]:
    """One per name and line. A `name` (used, but not called) counts only when written like a class or
    constant."""
    captures = tree_sitter.QueryCursor(query_for(language, "references")).captures(tree.root_node)
    seen: set[tuple[int, str]] = set()
    result: list[Tag] = []
    # Kinds that say more come first, so that they win where several patterns match one node.
    for capture in sorted(captures, key=lambda key: key == "reference.name"):
        kind = capture.removeprefix("reference.")
        for node in captures[capture]:
            name = source.name(node)
            if not name or (kind == "name" and not name[0].isupper()):
                continue
            line = node.start_point.row
            if (line, name) in seen or node.start_byte in definition_names:
                continue
            seen.add((line, name))
            result.append(Tag(name, kind, "reference", line, line + 1, line, source.column(node)))
    result.sort(key=lambda tag: (tag.name_line, tag.name_column))
    return result
