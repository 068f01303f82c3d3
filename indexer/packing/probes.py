"""What the names at a cursor are: something is written after a dot behind each of them, in a copy of the text, and the
graph is asked what stands before that dot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from indexer.graph import Graph
from indexer.messages import Definition
from indexer.modules.bindings import Written
from indexer.packing.surroundings import Surroundings, Use
from indexer.parsing.tags import Tags, tags

PROBE = "foreword_probe"
"""Called after the dot, since a call is a reference in every language; no code has such a member."""

_MOST_PROBES = 32
"""Names that are asked about, nearest first: each costs the graph some 20 µs."""

_KEYWORDS = (
    "and as assert async await break case catch class const continue def del do elif else except export extends false "
    "False final finally fn for from func function if impl implements import in interface is lambda let match mut new "
    "nil None not null or package pass private protected pub public raise return static struct switch throw throws "
    "trait true True try type undefined use var void while with yield"
)
"""Words that stand where names do, in one language or another."""

_NO_NAMES = frozenset(_KEYWORDS.split())

_INDENTATION = re.compile(r"[ \t]*")


class Typed(msgspec.Struct, frozen=True):
    """A name at the cursor and the class that it is an object of, with what that has its members from."""

    written: str
    distance: int
    """Lines from the cursor to the nearest use."""
    classes: tuple[Definition, ...]
    """The class itself first; each in the file that defines it."""


def probed(
    lines: Sequence[str], line: int, character: int, around: Surroundings, language: str | None
) -> Probed:
    """The facts of the text with probes at the cursor."""
    uses = _asked(around)
    cursor = lines[line] if line < len(lines) else ""
    written = _indentation(lines, line, character)
    columns: dict[int, Use] = {}
    for use in uses:
        columns[len(written) + len(_written(use)) + 1] = use
        written += f"{_written(use)}.{PROBE}(); "
    kept = [] if not cursor.strip() else [cursor]
    text = "\n".join([*lines[:line], written, *kept, *lines[line + 1 :]])
    return Probed(tags(text, language), line, columns)


class Probed:
    """A text with probes, read."""

    def __init__(self, found: Tags, line: int, columns: Mapping[int, Use]) -> None:
        """`columns`: where each probe stands on the line."""
        self.tags = found
        self._line = line
        self._columns = columns

    def types(self, graph: Graph, view: Written, own_path: str) -> list[Typed]:
        """Of what stands at the cursor, nearest first; what is of no class of this repository is left out. `view` has
        these facts for `own_path`."""
        sites = [
            site
            for site in self.tags.references.get(PROBE, ())
            if site.line == self._line and site.column in self._columns
        ]
        asked = graph.classes_before(view, own_path, sites)
        found = zip((self._columns[site.column] for site in sites), asked, strict=True)
        return [Typed(_written(use), use.distance, classes) for use, classes in found if classes]


def _asked(around: Surroundings) -> list[Use]:
    return [use for use in around.objects if use.name not in _NO_NAMES][:_MOST_PROBES]


def _written(use: Use) -> str:
    return f"{use.owner}.{use.name}" if use.owner else use.name


def _indentation(lines: Sequence[str], line: int, character: int) -> str:
    """Of the cursor's line, or, where that is empty, what the line above it leads to."""
    cursor = lines[line] if line < len(lines) else ""
    own = _INDENTATION.match(cursor)
    if cursor.strip() or character:
        return own.group() if own else ""
    above = next((text for text in reversed(lines[:line]) if text.strip()), "")
    led = _INDENTATION.match(above)
    deeper = "    " if above.rstrip().endswith((":", "{")) else ""
    return (led.group() if led else "") + deeper
