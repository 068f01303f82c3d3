"""Which class a declared type means, read from how it is written; types are short and few, so they are read as
text and remembered."""

from __future__ import annotations

import functools
import re

from indexer.parsing.dialect import TypeSyntax

_NAME = re.compile(r"[\w$]+(?:\s*(?:\.|::)\s*[\w$]+)*")
_SEPARATOR = re.compile(r"\s*(?:\.|::)\s*")
_COMMENTS = re.compile(r"#[^\n]*|//[^\n]*|/\*[\s\S]*?\*/")
_OPENING, _CLOSING = "([{<", ")]}>"

_DEEPEST = 30
"""Layers of `Optional[…]`, brackets and the like around a name."""

_REMEMBERED = 20_000
"""Texts of types: those of one repository, at about 100 bytes each."""


@functools.lru_cache(_REMEMBERED)
def class_of(written: str, syntax: TypeSyntax) -> str:
    """The dotted name of the one class that is meant; empty when it is none or several.

    `Optional[a.B[C]] | None` is `a.B`."""
    for _ in range(_DEEPEST):
        name, arguments, rest = _parts(written, syntax)
        if rest:
            alternatives = _alternatives(written, syntax)
            if len(alternatives) != 1 or alternatives[0] == written:
                return ""
            written = alternatives[0]
        elif name.rpartition(".")[2] in syntax.wrappers and arguments:
            written = arguments[0]
        elif name.rpartition(".")[2] in syntax.unions and arguments:
            members = _counting(arguments, syntax)
            if len(members) != 1:
                return ""
            written = members[0]
        else:
            return "" if name in syntax.nothing else name
    return ""


@functools.lru_cache(_REMEMBERED)
def value_of(written: str, syntax: TypeSyntax) -> str:
    """The receiver path of a value of this type: `:Class`, or `Class` where the value is the class itself;
    `?` when it is none or several, `:` for one of the enclosing class."""
    name, arguments, rest = _parts(written, syntax)
    if not rest and arguments and name.rpartition(".")[2] in syntax.classes:
        return class_of(arguments[0], syntax) or "?"
    name = class_of(written, syntax)
    if name in syntax.own:
        return ":"
    return f":{name}" if name else "?"


@functools.lru_cache(_REMEMBERED)
def bases_of(written: str, syntax: TypeSyntax) -> tuple[str, ...]:
    """The classes in a list of bases with its brackets and keywords: `(A, b.C[T], metaclass=M)`,
    `extends A<T> implements B`."""
    written = _COMMENTS.sub(" ", written).strip()
    if written.startswith("(") and written.endswith(")"):
        written = written[1:-1]
    written = re.sub(r"\b(?:implements|with)\b", ",", written)
    found = (class_of(part, syntax) for part in _split(written, ",") if "=" not in part)
    return tuple(dict.fromkeys(filter(None, found)))


def _parts(written: str, syntax: TypeSyntax) -> tuple[str, list[str], str]:
    """A name, its type arguments, and what is left."""
    if syntax.noise:
        written = re.sub(syntax.noise, " ", written)
    written = written.strip()
    if syntax.quotes and written[:1] in syntax.quotes and written[-1:] == written[:1]:
        written = written.strip(syntax.quotes).strip()
    while written.startswith("(") and written.endswith(")") and _closes(written) == len(written) - 1:
        written = written[1:-1].strip()
    found = _NAME.match(written)
    if found is None:
        return "", [], written or "nothing"
    name, rest = _SEPARATOR.sub(".", found.group()), written[found.end() :].lstrip()
    if rest.startswith(syntax.brackets[0]):
        end = _closes(rest)
        return name, _split(rest[1:end], ","), rest[end + 1 :].strip()
    return name, [], rest


def _alternatives(written: str, syntax: TypeSyntax) -> list[str]:
    """The members of `A | B` that count."""
    if syntax.noise:
        written = re.sub(syntax.noise, " ", written)
    written = written.strip().strip(syntax.quotes) if syntax.quotes else written.strip()
    return _counting(_split(written, "|"), syntax)


def _counting(members: list[str], syntax: TypeSyntax) -> list[str]:
    return list(dict.fromkeys(member for member in members if member not in syntax.nothing))


def _split(written: str, separator: str) -> list[str]:
    """At separators outside all brackets; empty parts are left out."""
    parts: list[str] = []
    depth = start = 0
    for place, character in enumerate(written):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING and written[place - 1 : place] not in ("-", "="):  # no arrow
            depth -= 1
        elif character == separator and depth <= 0:
            parts.append(written[start:place])
            start = place + 1
    return [part for part in (*map(str.strip, parts), written[start:].strip()) if part]


def _closes(written: str) -> int:
    """The place of the bracket that closes the one at the beginning; the end when none does."""
    depth = 0
    for place, character in enumerate(written):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING and written[place - 1 : place] not in ("-", "="):
            depth -= 1
            if depth == 0:
                return place
    return len(written)
