"""Goes through a syntax tree once, with all queries of its language in one, and sorts what it finds."""

from __future__ import annotations

import functools
import re

import msgspec
import tree_sitter

from indexer.parsing import definitions as defining
from indexer.parsing.definitions import Found
from indexer.parsing.languages import query_for, query_text
from indexer.parsing.localscopes import Scope
from indexer.parsing.references import Candidates
from indexer.parsing.source import Source

Captures = dict[str, list[tree_sitter.Node]]


class Matched(msgspec.Struct):
    """What was found in one text, in the order of the query's matches."""

    definitions: list[Found] = []
    marks_outer: bool = False
    """Whether the definitions have what is around them already."""
    additions: list[Captures] = []
    """What else is known of a definition with this `name`: a `base` or its `result`."""
    candidates: Candidates = msgspec.field(default_factory=Candidates)
    statements: list[tree_sitter.Node] = []
    """That import or export something."""
    scopes: list[Scope] = []
    bindings: list[tuple[str, Captures]] = []
    """The mark that says what kind of binding it is, and all that its pattern marks."""
    complete: bool = True
    """Whether all of it could be gone through."""


_NAME, _VALUE, _MEMBER, _REFERENCE, _BINDING, _DEFINITION, _STATEMENT, _SCOPE, _ADDITION = range(9)

_KINDS = {"name": _NAME, "value": _VALUE, "member": _MEMBER}
"""Of references; all others are told as they are."""

_BINDERS = frozenset(
    {"hoisted", "local", "declared", "assigned", "field", "first", "outer"}
    | {"unpacked", "unpacked.local", "unpacked.assigned"}
)

_SAYING = frozenset({"base", "result"})

_MARKS = re.compile(r"@([\w.]+)")
_COMMENTS = re.compile(r"^\s*;.*$", re.MULTILINE)


class _Pattern(msgspec.Struct, frozen=True):
    """What a pattern of a query finds."""

    what: int
    mark: str
    """The capture that says so."""
    kind: str
    adds: bool = False
    """Whether it says more of a definition besides."""


class _Plan(msgspec.Struct, frozen=True):
    query: tree_sitter.Query
    patterns: list[_Pattern]
    marks_outer: bool


@functools.cache
def _plan(language: str) -> _Plan:
    query, source = query_for(language, "everything"), query_text(language, "everything").encode()
    patterns: list[_Pattern] = []
    outer = False
    for number in range(query.pattern_count):
        text = source[query.start_byte_for_pattern(number) : query.end_byte_for_pattern(number)]
        marks = _MARKS.findall(_COMMENTS.sub("", text.decode()))
        pattern = _pattern(marks)
        patterns.append(pattern)
        outer = outer or (pattern.what == _DEFINITION and "outer" in marks)
    return _Plan(query, patterns, outer)


def _pattern(marks: list[str]) -> _Pattern:
    """Raises ValueError for a pattern that marks nothing of use."""
    for mark in marks:
        head, _, kind = mark.partition(".")
        if head == "definition" or mark == "scope":
            return _Pattern(_DEFINITION, mark, kind or "scope", not _SAYING.isdisjoint(marks))
        if head == "reference":
            return _Pattern(_KINDS.get(kind, _REFERENCE), mark, kind)
        if head == "statement":
            return _Pattern(_STATEMENT, mark, "")
    for mark in marks:
        head, _, kind = mark.partition(".")
        if head == "scope":
            return _Pattern(_SCOPE, mark, kind)
        if mark in _BINDERS:
            return _Pattern(_BINDING, mark, kind)
    if "name" in marks and not _SAYING.isdisjoint(marks):
        return _Pattern(_ADDITION, "name", "")
    raise ValueError(f"a query has a pattern that marks nothing of use: {marks}")


_A, _Z, _WIDE = 0x41, 0x5A, 0x80
"""Bytes; the last is the first that is not ASCII."""

_NAMES = re.compile(rb"[\w$\x80-\xff]+")


_MATCH_LIMIT = 1_000
"""Matches with captures that tree-sitter has under way at a time: 16 at most in what people write. Each node takes as
long as there are matches under way."""

_NEVER_LONG_BYTES = 16_000
"""Even if all of it is nesting, going through so little takes less than a second."""

_MOST_WORK = 4_000_000_000
"""Nodes times how deep they lie on average; some seconds at worst. A megabyte that people wrote has 4,000,000."""

_SHALLOW_DEPTH = 500
"""How far into a text of more work than that its queries look."""

_SAMPLED_NODES = 16


_BARE_RUN_BYTES = 80_000
"""Brackets alone that are never closed are all siblings, through which tree-sitter goes again for each: so many take
two seconds, and eight for twice as many."""

_BARE = bytes(not (chr(code).isalnum() or code >= 0x80) for code in range(0x100))


def _is_hopeless(tree: tree_sitter.Tree, data: bytes) -> bool:
    """Whether it is broken and has more brackets and blanks in a row than can be gone through."""
    return (
        len(data) > _BARE_RUN_BYTES
        and tree.root_node.has_error
        and b"\1" * _BARE_RUN_BYTES in data.translate(_BARE)
    )


def _work(tree: tree_sitter.Tree) -> float:
    """How long going through this tree takes, see `_MOST_WORK`."""
    walk, nodes = tree.walk(), tree.root_node.descendant_count
    depth = 0
    for number in range(_SAMPLED_NODES):
        walk.goto_descendant(nodes * number // _SAMPLED_NODES)
        depth += walk.depth
    return nodes * depth / _SAMPLED_NODES


def match(tree: tree_sitter.Tree, language: str, source: Source) -> Matched:
    """Everything that the queries of this language find."""
    plan = _plan(language)
    result = Matched(marks_outer=plan.marks_outer)
    patterns, data, size = plan.patterns, source.data, len(source.data)
    if _is_hopeless(tree, data):
        result.complete = False
        return result
    said, names, values = result.candidates.said, result.candidates.names, result.candidates.values
    cursor = tree_sitter.QueryCursor(plan.query, match_limit=_MATCH_LIMIT)
    shallow = len(data) > _NEVER_LONG_BYTES and _work(tree) > _MOST_WORK
    if shallow:
        cursor.set_max_start_depth(_SHALLOW_DEPTH)
    # No progress_callback here: tree-sitter 0.26.1 crashes with one on a query.
    for number, captures in cursor.matches(tree.root_node):
        pattern = patterns[number]
        what = pattern.what
        if what <= _VALUE:
            node = captures[pattern.mark][0]
            start = node.start_byte
            if start == size:  # made up by the parser
                continue
            first = data[start]
            if _A <= first <= _Z or (first >= _WIDE and _is_wide_capital(data, start)):
                if start not in names or "receiver" in captures:
                    names[start] = "name", node.end_byte, _first(captures, "receiver"), number
            elif what == _VALUE:
                values.append((start, node.end_byte))
        elif what == _MEMBER:
            node = captures[pattern.mark][0]
            start, end = node.start_byte, node.end_byte
            first, dot = data[start], data.rfind(b".", start, end)
            if _A <= first <= _Z or (first >= _WIDE and _is_wide_capital(data, start)):
                name = _NAMES.match(data, start, dot)
                if name and name.end() in (dot, dot - 1):  # dot - 1: `A?.b`
                    names.setdefault(start, ("name", name.end(), None, number))
            first = data[dot + 1]
            if _A <= first <= _Z or (first >= _WIDE and _is_wide_capital(data, dot + 1)):
                names[dot + 1] = "name", end, node.child(0), number
        elif what == _REFERENCE:
            node = captures[pattern.mark][0]
            start = node.start_byte
            known = said.get(start)
            if known is None or ("receiver" not in captures, number) < (known[2] is None, known[3]):
                said[start] = pattern.kind, node.end_byte, _first(captures, "receiver"), number
        elif what == _BINDING:
            result.bindings.append((pattern.mark, captures))
        elif what == _DEFINITION:
            found = defining.find(captures, pattern.mark, pattern.kind, source)
            if found is not None:
                found.rank = number
                result.definitions.append(found)
            if pattern.adds:
                result.additions.append(captures)
            if "scope.function" in captures:
                node = captures["scope.function"][0]
                result.scopes.append(Scope(node.start_byte, node.end_byte, "function"))
        elif what == _SCOPE:
            node = captures[pattern.mark][0]
            result.scopes.append(Scope(node.start_byte, node.end_byte, pattern.kind))
        elif what == _ADDITION:
            result.additions.append(captures)
        else:
            result.statements.append(captures[pattern.mark][0])
    result.complete = not (shallow or cursor.did_exceed_match_limit or source.late())
    return result


def _first(captures: Captures, mark: str) -> tree_sitter.Node | None:
    nodes = captures.get(mark)
    return nodes[0] if nodes else None


def _is_wide_capital(data: bytes, start: int) -> bool:
    return data[start : start + 4].decode("utf-8", "ignore")[:1].isupper()
