"""Tells the scopes of a text what every name and field in them is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set

import tree_sitter

from indexer.parsing.definitions import FUNCTION_KINDS, TYPE_KINDS, Definitions
from indexer.parsing.dialect import Dialect, TypeSyntax
from indexer.parsing.imports import Import
from indexer.parsing.localscopes import FILE, Binding, Rule, Scope, Scopes
from indexer.parsing.matching import Captures, Matched
from indexer.parsing.receivers import Receivers
from indexer.parsing.source import Source

_BOUND = re.compile(rb"(?<![\w$\x80-\xff])(?<![^.]\.)([A-Za-z_$\x80-\xff][\w$\x80-\xff]*)\s*(?=[,)\]}=]|$)")
"""The names that a pattern binds: not those before a dot, a bracket or a colon, nor fields."""

_ITSELF = Binding(Rule.ITSELF, None, FILE)


def scopes_of(
    matched: Matched,
    definitions: Definitions,
    imports: Iterable[tuple[tree_sitter.Node, Import]],
    dialect: Dialect | None,
    source: Source,
) -> Scopes:
    """The scopes of a text with all names that are bound in them, without fields of objects. A value that begins
    with one of the dialect's `importing` binds nothing: its names are among `imports`."""
    scopes = Scopes([*matched.scopes, *_classes(definitions, source)])
    for item in definitions.found:
        if item.kind != "constant" and item.kind != "scope":
            around = scopes.around(item.node.start_byte, item.node.end_byte)
            scopes.bind(scopes.binder(around), item.name, _ITSELF)
    for node, import_ in imports:
        name = import_.alias or (import_.module.partition(".")[0] if import_.name is None else "")
        if name and import_.module:
            scopes.bind(scopes.binder(scopes.at(node.start_byte)), name, _ITSELF)
    _bind_names(matched.bindings, dialect or Dialect(), scopes, source)
    return scopes


def _classes(definitions: Definitions, source: Source) -> Iterator[Scope]:
    """The bodies of types, and what is around a method that stands outside of its own."""
    for item in definitions.found:
        start, end = item.node.start_byte, item.node.end_byte
        if item.kind in TYPE_KINDS:
            yield Scope(start, end, "class", item.name)
        elif item.stands_outside and item.kind in FUNCTION_KINDS and not source.data[end : end + 1].strip():
            yield Scope(start, end + 1, "class", item.container, stands_outside=True)


def _bind_names(
    bindings: list[tuple[str, Captures]], dialect: Dialect, scopes: Scopes, source: Source
) -> None:
    importing = tuple(text.encode() for text in dialect.importing)
    said: dict[int, tuple[str, str, Binding]] = {}
    """Where a name begins → mark, name, binding: of several for one place that which says most."""
    outer: list[tuple[int, str]] = []
    at, name_of = scopes.at, source.name
    for mark, captures in bindings:
        if mark == "field":
            continue
        node = captures[mark][0]
        start = node.start_byte
        scope = at(start)
        if mark == "outer":
            outer.append((scopes.binder(scope), name_of(node)))
            continue
        binding = _binding(mark, captures, scope, dialect, source)
        if importing and binding.rule is Rule.VALUE and source.starts_with(binding.node, importing):
            continue
        if mark in _UNPACKED:
            for found in _BOUND.finditer(source.data, start, node.end_byte):
                name = found.group(1).decode("utf-8", "replace")
                said.setdefault(found.start(), (mark, name, Binding(Rule.UNKNOWN, None, scope)))
            continue
        known = said.get(start)
        if known is None or known[2].rule > binding.rule:
            said[start] = mark, name_of(node), binding
    assigned: list[tuple[int, str, Binding]] = []
    for mark, name, binding in said.values():
        if mark in _ASSIGNED:
            assigned.append((binding.scope, name, binding))
        elif mark in _IN_INNERMOST:
            scopes.bind(binding.scope, name, binding)
        else:
            binder = scopes.binder(binding.scope)
            scopes.bind(binder, name, binding)
            if binder >= 0 and scopes.all[binder].kind == "class":
                scopes.bind_field(binder, name, binding)
    for scope, name, binding in assigned:
        scopes.assign(scope, name, binding)
    for scope, name in outer:
        scopes.hand_out(scope, name)


def bind_fields(
    matched: Matched,
    defined: Set[int],
    scopes: Scopes,
    receivers: Receivers,
    dialect: Dialect,
    source: Source,
) -> None:
    """Tells the classes what their fields are. `defined`: where names of definitions begin; a field that is set
    to a function is a method."""
    receivers.bind_getters()
    said: dict[int, tuple[int, str, Binding]] = {}
    for mark, captures in matched.bindings:
        if mark != "field":
            continue
        node = captures[mark][0]
        start = node.start_byte
        scope = scopes.at(start)
        own = scopes.class_of(scope)
        if own < 0 or start in defined:
            continue
        name = scopes.all[own].name
        if "object" not in captures or receivers.of(captures["object"][0], scope) in (name, f":{name}"):
            binding = _binding(mark, captures, scope, dialect, source)
            known = said.get(start)
            if known is None or known[2].rule > binding.rule:
                said[start] = own, source.name(node), binding
    for own, name, binding in said.values():
        scopes.bind_field(own, name, binding)


_UNPACKED = frozenset({"unpacked", "unpacked.local", "unpacked.assigned"})
_ASSIGNED = frozenset({"assigned", "unpacked.assigned"})
_IN_INNERMOST = frozenset({"local", "declared", "unpacked.local"})
_ALONE = {"first": Rule.FIRST, "declared": Rule.NOTHING}


def _binding(mark: str, captures: Captures, scope: int, dialect: Dialect, source: Source) -> Binding:
    if len(captures) == 1:
        return Binding(_ALONE.get(mark, Rule.UNKNOWN), None, scope)
    nodes = captures.get("type")
    if nodes is not None and not _is_inferred(nodes[0], dialect.types, source):
        return Binding(Rule.TYPE, nodes[0], scope)
    nodes = captures.get("value")
    if nodes is not None:
        return Binding(Rule.VALUE, nodes[0], scope)
    nodes = captures.get("entered")
    if nodes is not None:
        return Binding(Rule.ENTERED, nodes[0], scope)
    return Binding(Rule.UNKNOWN, None, scope)


def _is_inferred(node: tree_sitter.Node, types: TypeSyntax, source: Source) -> bool:
    return bool(types.inferred) and source.name(node) in types.inferred
