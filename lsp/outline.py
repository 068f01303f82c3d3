"""What the index knows of a text's definitions, as the protocol wants it: exact ranges, kinds, and a tree."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import msgspec
from lsprotocol import types

from lsp.documents import Encoding, units

if TYPE_CHECKING:
    from indexer.messages import Definition

Kind = types.SymbolKind

KINDS: dict[str, Kind] = {
    "class": Kind.Class,
    "struct": Kind.Struct,
    "interface": Kind.Interface,
    "trait": Kind.Interface,
    "protocol": Kind.Interface,
    "enum": Kind.Enum,
    "type": Kind.Class,
    "object": Kind.Object,
    "module": Kind.Module,
    "namespace": Kind.Namespace,
    "function": Kind.Function,
    "prototype": Kind.Function,
    "macro": Kind.Function,
    "method": Kind.Method,
    "constructor": Kind.Constructor,
    "property": Kind.Property,
    "field": Kind.Field,
    "constant": Kind.Constant,
    "variable": Kind.Variable,
}
"""By the kind that the index gives."""

ALWAYS_KNOWN = frozenset(kind for kind in Kind if kind <= Kind.Array)
"""What a client that does not list its kinds knows (LSP 3.17, `SymbolKind`)."""
STAND_INS = {Kind.Struct: Kind.Class, Kind.Object: Kind.Class}
"""For clients that know no better."""

_LINE_END = re.compile(r"\r\n|\n|\r")


class Placed(msgspec.Struct):
    """A definition with its ranges, and what lies within it."""

    definition: Definition
    kind: Kind
    range: types.Range
    selection: types.Range
    children: list[Placed]


class Text:
    """A text in which the index's lines (which end at \\n) become the client's positions (\\n, \\r\\n or \\r)."""

    def __init__(self, text: str, encoding: Encoding) -> None:
        self._text = text
        self._encoding: Encoding = encoding
        self._client_starts = [0, *(end.end() for end in _LINE_END.finditer(text))]
        self._starts = (
            [0, *(at + 1 for at, char in enumerate(text) if char == "\n")] if "\r" in text else None
        )

    def offset(self, line: int, column: int = 0) -> int:
        """Of a line and column as the index counts them; behind the text's last line it is the text's end."""
        starts = self._client_starts if self._starts is None else self._starts
        return min(starts[line] + column, len(self._text)) if line < len(starts) else len(self._text)

    def position(self, offset: int) -> types.Position:
        line = bisect_right(self._client_starts, offset) - 1
        before = self._text[self._client_starts[line] : offset]
        return types.Position(line, units(before, self._encoding))

    def span(self, start_line: int, end_line: int) -> types.Range:
        """From the first character that is no blank to the last one, of lines [start, end)."""
        start, end = self.offset(start_line), self.offset(end_line)
        body = self._text[start:end]
        blanks = len(body) - len(body.lstrip())
        return types.Range(self.position(start + blanks), self.position(start + len(body.rstrip())))

    def name(self, definition: Definition) -> types.Range | None:
        """Where the name stands; empty where it is written otherwise than it is called (`~ Shape`), None where this
        text has no such line."""
        line = self.offset(definition.name_line)
        if definition.name_line < 0 or line == len(self._text):
            return None
        start, end = line + definition.name_column, self.offset(definition.name_line + 1)
        if not self._text.startswith(definition.name, start):
            elsewhere = self._text.find(definition.name, line, end)
            start = elsewhere if elsewhere >= 0 else min(start, end)
        written = self._text.startswith(definition.name, start)
        place = self.position(start)
        return types.Range(place, self.position(start + len(definition.name)) if written else place)


def placed(
    definitions: Sequence[Definition], text: Text, known: Collection[Kind] = ALWAYS_KNOWN
) -> list[Placed]:
    """The definitions of one text as a tree, in its order; what stands within another is its child."""
    roots: list[Placed] = []
    open_ones: list[Placed] = []
    for definition in sorted(definitions, key=lambda each: (each.start_line, -each.end_line, each.name_line)):
        whole = text.span(definition.start_line, definition.end_line)
        selection = text.name(definition)
        if selection is None or not (whole.start <= selection.start and selection.end <= whole.end):
            selection = types.Range(whole.start, whole.start)
        one = Placed(definition, kind_of(definition.kind, known), whole, selection, [])
        while open_ones and not _within(definition, open_ones[-1].definition):
            open_ones.pop()
        (open_ones[-1].children if open_ones else roots).append(one)
        open_ones.append(one)
    return roots


def _within(inner: Definition, outer: Definition) -> bool:
    """Whether it stands in the other one: in more than its lines, since two constants may share a line."""
    if not (outer.start_line <= inner.start_line and inner.end_line <= outer.end_line):
        return False
    same = (inner.start_line, inner.end_line) == (outer.start_line, outer.end_line)
    return inner.container == outer.name if same else True


def kind_of(kind: str, known: Collection[Kind]) -> Kind:
    """The protocol's kind, or its nearest among those that the client knows."""
    found = KINDS.get(kind, Kind.Variable)
    return found if found in known else STAND_INS.get(found, Kind.Variable)


def tree(roots: Sequence[Placed]) -> list[types.DocumentSymbol]:
    """For clients that show a hierarchy."""
    made: list[types.DocumentSymbol] = []
    waiting = [(each, made) for each in reversed(roots)]
    while waiting:
        one, siblings = waiting.pop()
        symbol = types.DocumentSymbol(
            name=_title(one.definition, inside=siblings is not made),
            detail=one.definition.signature or None,
            kind=one.kind,
            range=one.range,
            selection_range=one.selection,
            children=[],
        )
        siblings.append(symbol)
        children: list[types.DocumentSymbol] = []
        symbol.children = children
        waiting += [(each, children) for each in reversed(one.children)]
    return made


def flat(roots: Sequence[Placed], uri: str) -> list[types.SymbolInformation]:
    """For clients that do not."""
    made: list[types.SymbolInformation] = []
    waiting = list(reversed(roots))
    while waiting:
        one = waiting.pop()
        made.append(
            types.SymbolInformation(
                name=one.definition.name,
                kind=one.kind,
                location=types.Location(uri, one.range),
                container_name=one.definition.container or None,
            )
        )
        waiting += reversed(one.children)
    return made


def _title(definition: Definition, *, inside: bool) -> str:
    """A method that stands outside of its type, as in Go and C++, is named with it."""
    return (
        f"{definition.container}.{definition.name}"
        if definition.container and not inside
        else definition.name
    )
