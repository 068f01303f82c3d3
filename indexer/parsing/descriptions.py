"""What a definition says about itself: its head, documentation, bases and declared type."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Set

import msgspec
import tree_sitter

from indexer.parsing import docstrings
from indexer.parsing.dialect import Dialect, TypeSyntax
from indexer.parsing.source import Source
from indexer.parsing.typenames import bases_of, class_of

SIGNATURE_CHARACTERS = 200
"""About two lines of code: enough for the parameters of nearly all functions."""

_SIGNATURE_BYTES = 8 * SIGNATURE_CHARACTERS
"""A character has at most four bytes; blanks that collapse are rarely more than as much again."""

Captures = dict[str, list[tree_sitter.Node]]


def signature(
    start: int, end: int, body: tree_sitter.Node | None, dialect: Dialect | None, source: Source
) -> str:
    """What stands between these bytes, up to the body, in one line; lines of comments are left out."""
    if body is not None:
        end = body.start_byte
    text = source.data[start : min(end, start + _SIGNATURE_BYTES)].decode("utf-8", "ignore")
    if dialect is not None and dialect.docs == "above" and "\n" in text:
        lead = dialect.comment
        text = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(lead))
    return " ".join(text.split()).rstrip("{= ")[:SIGNATURE_CHARACTERS]


def docstring(body: tree_sitter.Node | None, line: int, dialect: Dialect, source: Source) -> str:
    """Of a definition that begins on this line."""
    if dialect.docs == "above":
        return docstrings.above(source, line, dialect.comment.encode())
    return docstrings.in_string(source, body.start_byte) if body is not None else ""


def bases(node: tree_sitter.Node, dialect: Dialect, source: Source) -> list[str]:
    """What the definition of a type lists as its bases."""
    found: list[str] = []
    for field in dialect.bases.get(node.type, ()):
        named = node.child_by_field_name(field)
        listed = [named] if named is not None else [child for child in node.children if child.type == field]
        for lists in listed:
            found += bases_of(source.short_text(lists), dialect.types)
    return found


def result(node: tree_sitter.Node, dialect: Dialect, source: Source, *, of_function: bool) -> str:
    """What a function, constant or field declares as its type."""
    for field in dialect.results:
        declared = node.child_by_field_name(field)
        if declared is not None:
            types = _with_outcomes(dialect.types, dialect.outcomes) if of_function else dialect.types
            return class_of(source.short_text(declared), types)
    return _own_result(node, dialect, source) if of_function and dialect.returns_own else ""


_RETURNS = re.compile(rb"\b(?:return|yield)\b[ \t]*(?:[\w.$]+[ \t]*[^\s;#/]?)?")


def _own_result(node: tree_sitter.Node, dialect: Dialect, source: Source) -> str:
    """`Self` of a method that ends in `return self` and returns nothing else anywhere."""
    body = node.child_by_field_name("body")
    own = dialect.returns_own.encode()
    if body is None or source.data.find(own, body.start_byte, body.end_byte) < 0:
        return ""
    last = next((child for child in reversed(body.named_children) if child.type != "comment"), None)
    if last is None or last.type != "return_statement":
        return ""
    said = _RETURNS.findall(source.data, body.start_byte, body.end_byte)
    return dialect.own_type if all(one.rstrip() == own for one in said) else ""


@functools.cache
def _with_outcomes(types: TypeSyntax, outcomes: frozenset[str]) -> TypeSyntax:
    return msgspec.structs.replace(types, wrappers=types.wrappers | outcomes)


class Additions:
    """What queries tell of definitions apart from them."""

    def __init__(
        self, additions: Iterable[Captures], defined: Set[int], dialect: Dialect | None, source: Source
    ) -> None:
        """`defined`: where names of definitions begin."""
        self.results: dict[int, str] = {}
        """By where the name begins."""
        self.bases: defaultdict[int | str, list[str]] = defaultdict(list)
        """The same, or by name."""
        if dialect is None:
            return
        for captures in additions:
            name = captures["name"][0]
            place = name.start_byte if name.start_byte in defined else source.name(name)
            for node in captures.get("base", ()):
                self.bases[place] += bases_of(source.short_text(node), dialect.types)
            if isinstance(place, int) and "result" in captures:
                node = captures["result"][0]
                self.results[place] = class_of(source.short_text(node), dialect.types)
