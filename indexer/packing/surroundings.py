"""What stands around a cursor: which names are used how near, and the text to search for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from indexer.names.lexicon import words_of

LINES_BEFORE = 24
LINES_AFTER = 12
"""How far names count as near. Most uses that predict the next line stand within one screen of it."""

WORDS_FADE = 8
"""Lines from the cursor at which a word counts half."""

QUERY_LINES = 12
"""Lines before the cursor that search is asked with; more of them dilute what the cursor is about."""

QUERY_LINES_BELOW = 5
"""And after it: what is there already often says what is missing."""

QUERY_CHARACTERS = 800
QUERY_CHARACTERS_BELOW = 300
SHORTEST_NAME = 2

LONGEST_LINE = 1000
"""Characters; the rest of a longer line is data."""

LONGEST_IMPORT = 200
"""Lines; a longer one is not closed."""

_NAME = re.compile(r"[^\W\d]\w*")
_OWNED = re.compile(r"\s*(?:\?\.|\.|::|->)\s*")
"""What stands between an owner and its member."""

_HEADER = re.compile(
    r"\s*(?:export\s+|public\s+|pub\s+|async\s+|abstract\s+|final\s+|static\s+)*"
    r"(?:class|def|func|fn|function|interface|impl|struct|trait|enum|type)\b"
)


class Use(msgspec.Struct, frozen=True):
    """A name as it is used near the cursor. `owner` is what stands before the dot, "" without one."""

    name: str
    owner: str
    line: int
    distance: int
    """Lines to the cursor; the headers of what encloses the cursor count as its own line."""


class Surroundings(msgspec.Struct, frozen=True):
    near: list[Use]
    """Nearest first, each (owner, name) once."""
    query: str
    text: str
    """The whole document, lines ending in `\\n`."""
    objects: list[Use] = []
    """Variables and attributes of the object itself that are used near, or made in the function around the cursor,
    nearest first: those of which a member may be named next."""
    words: Mapping[str, float] = {}
    """Words of what stands near, and how much each counts: 1 at the cursor."""

    def used(self, name: str, outside: frozenset[int] = frozenset()) -> list[int]:
        """Lines that name `name`, without those in `outside` (where it is imported)."""
        found: list[int] = []
        line, counted = 0, 0
        for match in re.finditer(rf"{re.escape(name)}\b", self.text):  # begins with letters: searched in C
            start = match.start()
            if start and (self.text[start - 1].isalnum() or self.text[start - 1] == "_"):
                continue
            line += self.text.count("\n", counted, start)
            counted = start
            if line not in outside and line not in found[-1:]:
                found.append(line)
        return found


def statement_lines(lines: list[str], start: int) -> range:
    """The lines of an import that begins at `start`: it goes on while a bracket is open."""
    depth, end = 0, start
    while end < min(len(lines), start + LONGEST_IMPORT):
        depth += sum(lines[end].count(one) for one in "({") - sum(lines[end].count(one) for one in ")}")
        end += 1
        if depth <= 0:
            break
    return range(start, end)


def look_around(lines: list[str], line: int, character: int) -> Surroundings:
    """`line` and `character` are 0-based; what lies past the end of the text counts as its end."""
    line = min(max(line, 0), max(len(lines) - 1, 0))
    headers = _enclosing_headers(lines, line)
    near: dict[tuple[str, str], Use] = {}
    first, last = max(0, line - LINES_BEFORE), min(len(lines), line + LINES_AFTER + 1)
    wanted = [(0, number) for number in headers if not first <= number < last]
    wanted += [(0 if number in headers else abs(number - line), number) for number in range(first, last)]
    for distance, number in sorted(wanted, key=lambda pair: (pair[0], -pair[1])):
        for name, owner in names_in(lines[number]):
            if len(name) >= SHORTEST_NAME and (owner, name) not in near:
                near[owner, name] = Use(name, owner, number, distance)
    said = _words((lines[number], distance) for distance, number in wanted)
    objects = _objects(lines, line, headers[0] if headers else first, last)
    return Surroundings(list(near.values()), _query(lines, line, character), "\n".join(lines), objects, said)


_TEXTS = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:\s|^)(?:#|//).*$)""")
"""Strings and comments of one line, in one language or another."""

_OBJECT = re.compile(
    r"""(?P<own>\b(?:self|this)(?:\.|->)[^\W\d]\w*)(?!\w|\s*\()
    |(?P<owner>(?:\b(?:self|this|cls)(?:\.|->))?[^\W\d]\w*)\s*(?:\?\.|\.|::|->)\s*[^\W\d]
    |(?P<made>(?:\b(?:self|this)(?:\.|->))?[^\W\d]\w*)\s*(?::[^=()]*|:)?=(?!=)
    |\b(?:as|for)\s+(?P<bound>[^\W\d]\w*)
    |(?<=[(,\s])(?P<given>[^\W\d]\w*)(?=\s*[,)])""",
    re.VERBOSE,
)
"""What a member is taken of, what is assigned, what `for` and `with` bind, attributes of the object itself, and what is
given to a call."""

_PARAMETER = re.compile(r"[(,]\s*\**(?P<name>[^\W\d]\w*)\s*(?=[:,=)]|$)")

_LONGEST_FUNCTION = 400
"""Lines above the cursor that are looked through for what a function has made."""

_LONGEST_HEADER = 12


def _objects(lines: list[str], line: int, start: int, end: int) -> list[Use]:
    found: dict[tuple[str, str], Use] = {}
    start = max(start, line - _LONGEST_FUNCTION)
    for number in sorted(range(start, end), key=lambda number: (abs(number - line), -number)):
        code = _TEXTS.sub(" ", lines[number][:LONGEST_LINE])
        names = [match[match.lastgroup or 0] for match in _OBJECT.finditer(code)]
        if number < start + _LONGEST_HEADER:
            names += [match["name"] for match in _PARAMETER.finditer(code)]
        for written in names:
            owner, _, name = re.sub("->", ".", written).rpartition(".")
            if (owner, name) not in found:
                found[owner, name] = Use(name, owner, number, abs(number - line))
    return sorted(found.values(), key=lambda use: use.distance)


def _words(lines: Iterable[tuple[str, int]]) -> dict[str, float]:
    """Of lines and their distances."""
    found: dict[str, float] = {}
    for text, distance in lines:
        weight = 1.0 / (1.0 + distance / WORDS_FADE)
        for word in words_of(text[:LONGEST_LINE]):
            found[word] = max(weight, found.get(word, 0.0))
    return found


def names_in(line: str) -> Iterator[tuple[str, str]]:
    """(name, owner) of each name, owner "" without one: `a.b.c` gives a, then b of a, then c of b."""
    before: re.Match[str] | None = None
    for match in _NAME.finditer(line[:LONGEST_LINE]):
        owned = before is not None and _OWNED.fullmatch(line, before.end(), match.start())
        yield match.group(), before.group() if before is not None and owned else ""
        before = match


def _enclosing_headers(lines: list[str], line: int) -> list[int]:
    """Lines that open the blocks around `line`, by indentation: it works in every language, and in broken
    code."""
    found: list[int] = []
    indent = _indent(lines[line]) if line < len(lines) and lines[line].strip() else None
    for number in range(min(line, len(lines)) - 1, -1, -1):
        text = lines[number]
        if not text.strip():
            continue
        if indent is None:
            indent = _indent(text) + 1
        if _indent(text) < indent:
            indent = _indent(text)
            if _HEADER.match(text):
                found.append(number)
            if indent == 0:
                break
    return found


def _indent(text: str) -> int:
    expanded = text.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())


def _query(lines: list[str], line: int, character: int) -> str:
    before = lines[max(0, line - QUERY_LINES) : line]
    current = lines[line][:character] if line < len(lines) else ""
    above = "\n".join([*before, current]).strip()[-QUERY_CHARACTERS:]
    below = "\n".join(lines[line + 1 : line + 1 + QUERY_LINES_BELOW]).strip()[:QUERY_CHARACTERS_BELOW]
    return f"{above}\n{below}".strip()
