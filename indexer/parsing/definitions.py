"""Makes definitions out of what a query has matched: their extent, what they belong to, what they say about
themselves.

A query marks a definition's node as `@definition.KIND` and its name as `@name`, what it belongs to as
`@container` where that does not enclose it, and an enclosing node that is no definition itself as
`@definition.scope`. What belongs to it beyond its node (decorators, `export`) it marks as `@outer`, or it is found
by the node types below. Nothing here recurses: code may be nested deeper than Python's stack."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import tree_sitter

from indexer.parsing import descriptions
from indexer.parsing.descriptions import Additions
from indexer.parsing.dialect import Dialect
from indexer.parsing.nesting import Nesting
from indexer.parsing.source import Source

TYPE_KINDS = frozenset({"class", "struct", "interface", "enum", "scope"})
"""A function directly inside one of these is a method."""

FUNCTION_KINDS = frozenset({"function", "method"})

_LOCAL_KINDS = frozenset({"constant", "prototype"})
"""Kinds that are of no interest inside a function."""

_LEAF_KINDS = frozenset({"type", "macro", "prototype"})
"""Kinds that nothing belongs to (a `typedef struct a {…} b` encloses `a`, which is not a member of `b`)."""

_WRAPPERS = frozenset(
    {
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


class Tag(msgspec.Struct, frozen=True):
    """One definition. Lines are 0-based, columns count characters."""

    name: str
    kind: str
    """`function`, `method`, `class`, `struct`, `interface`, `enum`, `type`, `constant`, `macro`, `module` or
    `prototype`."""
    start_line: int
    end_line: int
    """Exclusive. Of the whole definition with its decorators."""
    name_line: int
    name_column: int
    container: str = ""
    """What it belongs to: the class of a method, the function of a nested one; empty at the top."""
    signature: str = ""
    """The definition up to its body in one line of at most `descriptions.SIGNATURE_CHARACTERS`."""
    docstring: str = ""
    """First paragraph of its docstring or doc comment in one line, cut at `docstrings.DOCSTRING_CHARACTERS`."""
    bases: tuple[str, ...] = ()
    """Of types: what they extend and implement, dotted names as written, without type arguments."""
    result: str = ""
    """The declared type, as written but without type arguments: of functions what they return, of constants and
    fields their own. `Optional[X]` and `X | None` are `X`; empty when it is none or several."""


class Found(msgspec.Struct):
    """A definition's place, before that among the others is known. Places are bytes."""

    kind: str
    name: str
    name_start: int
    node: tree_sitter.Node
    start: int
    """With decorators, `export` and the like, as is `end`."""
    end: int
    first: int
    """With attributes that stand before it."""
    head: int
    """Without any of them."""
    container: str
    stands_outside: bool
    """Whether it belongs to something that does not enclose it."""
    rank: int = 0
    """The number of its pattern in the query: what says more comes first."""


class Definitions(msgspec.Struct):
    """Those of one text."""

    found: list[Found]
    """All, also those that are left out of `tags`; by place."""
    tags: list[Tag]
    """In the order of the text."""
    name_starts: set[int]
    places: Nesting
    """Of `tags`."""
    ordinals: list[int]
    """Of each of `tags`, its number when they are sorted `by_place`."""
    complete: bool
    """Whether there was time for all."""

    def within(self, places: Iterable[int]) -> list[int]:
        """The ordinals of the innermost definitions at bytes in ascending order, -1 at the top."""
        ordinals = [*self.ordinals, -1]  # the last for what is in none
        return [ordinals[number] for number in self.places.at_each(places)]


def by_place(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Definitions by start line, the enclosing one first."""
    return tuple(sorted(tags, key=_place))


def _place(tag: Tag) -> tuple[int, int, str]:
    return tag.start_line, -tag.end_line, tag.name


def find(captures: dict[str, list[tree_sitter.Node]], mark: str, kind: str, source: Source) -> Found | None:
    """What one match of a definition's pattern has found; `mark` is its node."""
    names, node = captures.get("name"), captures[mark][0]
    if names is None:
        return None
    if "value" in captures and source.data.startswith(b"require(", captures["value"][0].start_byte):
        return None
    name_node, containers = names[0], captures.get("container")
    container = containers[0] if containers else None
    while name_node.type == "qualified_identifier":  # C++: outer::inner::name
        container, inner = name_node.child_by_field_name("scope"), name_node.child_by_field_name("name")
        if inner is None:
            break
        name_node = inner
    name, name_start = source.name(name_node), name_node.start_byte
    if not name:  # made up by the parser
        return None
    if name.startswith("`"):  # Kotlin, Scala and Swift quote what is a keyword, but not everywhere
        name, name_start = name.strip("`"), name_start + 1
    outer = captures.get("outer")
    outer_node = outer[0] if outer else node
    return Found(
        kind=kind,
        name=name,
        name_start=name_start,
        node=node,
        start=outer_node.start_byte,
        end=outer_node.end_byte,
        first=outer_node.start_byte,
        head=node.start_byte,
        container=source.name(container).partition("<")[0] if container else "",
        stands_outside=container is not None,
    )


def arrange(
    found: list[Found],
    additions: list[descriptions.Captures],
    dialect: Dialect | None,
    marked: bool,
    source: Source,
) -> Definitions:
    """All that was found in one text. `marked`: the query marks `@outer` itself, so no node needs a look
    around."""
    found = _once(found)
    name_starts = {item.name_start for item in found if item.kind != "scope"}
    added = Additions(additions, name_starts, dialect, source)
    if not marked:
        for item in found:
            _widen(item, source)
    found.sort(key=lambda item: (item.start, -item.end))
    tags: list[Tag] = []
    spans: list[tuple[int, int]] = []
    enclosing: list[Found] = []
    constants: set[tuple[str, str]] = set()
    complete = True
    for item in found:
        if source.late():
            complete = False
            break
        while enclosing and not _encloses(enclosing[-1], item):
            enclosing.pop()
        parent = enclosing[-1] if enclosing else None
        if parent and parent.kind in FUNCTION_KINDS and item.kind in _LOCAL_KINDS:
            continue
        if item.kind not in _LEAF_KINDS:
            enclosing.append(item)
        if item.kind == "scope":
            continue
        if parent and not item.container:
            item.container = parent.name
        if item.kind == "constant":
            if (item.container, item.name) in constants:
                continue
            constants.add((item.container, item.name))
        elif item.kind in ("function", "prototype") and parent and parent.kind in TYPE_KINDS:
            item.kind = "method"
        tags.append(_tag(item, added, dialect, source))
        spans.append((item.start, item.end))
    ordinals = [0] * len(tags)
    for ordinal, number in enumerate(sorted(range(len(tags)), key=lambda number: _place(tags[number]))):
        ordinals[number] = ordinal
    return Definitions(found, tags, name_starts, Nesting(spans), ordinals, complete)


def _once(found: list[Found]) -> list[Found]:
    """Each definition once: where several patterns match a name, what is more than a constant wins, then what
    has something around it, then the pattern that comes first."""
    by_name: dict[tuple[int, bool], Found] = {}
    for item in found:
        key = (item.name_start, item.kind == "scope")
        known = by_name.get(key)
        if known is None or (known.kind in _LOCAL_KINDS, known.start, known.rank) > (
            item.kind in _LOCAL_KINDS,
            item.start,
            item.rank,
        ):
            by_name[key] = item
    return list(by_name.values())


def _encloses(outer: Found, inner: Found) -> bool:
    """Truly: `var a, b = 1, 2` is the whole of both and encloses neither."""
    return outer.end >= inner.end and (outer.start, outer.end) != (inner.start, inner.end)


def _widen(item: Found, source: Source) -> None:
    """Takes in decorators, `export`, `template` and the like."""
    node = item.node
    while (parent := node.parent) is not None and parent.type in _WRAPPERS:
        if node.type in _SEVERAL and parent.named_child_count > 1:
            break
        node = parent
    item.start = item.first = item.head = node.start_byte
    item.end = node.end_byte
    if source.data.startswith(b"@", item.start):
        item.head = next(
            (child.start_byte for child in node.children if child.type != "decorator"), item.start
        )
    while (before := node.prev_sibling) is not None and before.type in _LEADERS:
        node = before
        item.first = node.start_byte


def _tag(item: Found, added: Additions, dialect: Dialect | None, source: Source) -> Tag:
    start_line, name_line = source.line(item.first), source.line(item.name_start)
    node = item.node
    body = node.child_by_field_name("body")
    if body is None:  # the name of a function may be what it is set to
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        body = value.child_by_field_name("body") if value is not None else None
        node = value if value is not None and body is not None else node
    docstring, bases, result = "", [], ""
    if dialect is not None:
        if body is None and dialect.bodies:
            body = next((child for child in item.node.children if child.type in dialect.bodies), None)
        docstring = descriptions.docstring(body, start_line, dialect, source)
        if item.kind in TYPE_KINDS:
            bases = descriptions.bases(node, dialect, source)
            bases += added.bases.get(item.name_start, []) + added.bases.get(item.name, [])
        else:
            of_function = item.kind in FUNCTION_KINDS
            declaring = node if of_function else item.node
            result = added.results.get(item.name_start)
            if result is None:
                result = descriptions.result(declaring, dialect, source, of_function=of_function)
    return Tag(
        name=item.name,
        kind=item.kind,
        start_line=start_line,
        end_line=max(source.end_line(item.end), start_line + 1),
        name_line=name_line,
        name_column=source.column(item.name_start, name_line),
        container=item.container,
        signature=descriptions.signature(item.head, item.end, body, dialect, source),
        docstring=docstring,
        bases=tuple(dict.fromkeys(bases)),
        result=result,
    )
