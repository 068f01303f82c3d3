"""The blocks that an edit is made of, and the one text form in which models write them.

    @@ replace src/app.py            @@ replace src/app.py          @@ create src/new.py
    <<<<<<< SEARCH                   <<<<<<< LINES 12-14            <<<<<<< TEXT
    what stands there                =======                        what the file holds
    =======                          what stands there instead      >>>>>>> TEXT
    what stands there instead        >>>>>>> REPLACE
    >>>>>>> REPLACE                                                 @@ delete src/old.py
                                                                    @@ rename src/a.py -> src/b.py

Markers are seven characters long and longer where a line of the texts would look like one: all markers of a block have
the length of its first. `LINES` counts from 1, both ends included, in the text that was sent; `AFTER 12` puts lines
behind line 12, `AFTER 0` before the first. Between `LINES` and the divider the lines that are meant may be repeated:
then they are compared. A text whose last line has no line end says so in the marker behind it. A path that could be
misread is written as a JSON string."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Literal

import msgspec

Kind = Literal["replace", "create", "delete", "rename"]

HEADER = "@@"
"""Begins the line that names a block's kind and path: rare in prose, and known to models from diffs."""

MARKER_CHARS = 7
"""As in merge conflicts, which models have seen many of."""

NO_NEWLINE = " (no newline at end)"
"""Behind the marker that ends a text whose last line has no line end."""

RENAMED = " -> "

_MARKER_LIKE = re.compile(rf"^(<{{{MARKER_CHARS},}}|={{{MARKER_CHARS},}}|>{{{MARKER_CHARS},}})", re.MULTILINE)


class Search(msgspec.Struct, frozen=True, tag="search"):
    """An anchor: whole lines that stand in the file. Only an empty file holds the empty text."""

    text: str


class Lines(msgspec.Struct, frozen=True, tag="lines"):
    """An anchor: lines of the text that was sent, from 1, both ends included; `last` is `first - 1` where nothing is
    replaced and lines are put before `first`."""

    first: int
    last: int
    text: str = ""
    """The lines as the model repeated them; empty where it did not."""


Anchor = Search | Lines


class Replace(msgspec.Struct, frozen=True, tag="replace"):
    """Other lines at a place of a file. `path` is as the model wrote it: below the root, with slashes."""

    path: str
    anchor: Anchor
    replacement: str


class Create(msgspec.Struct, frozen=True, tag="create"):
    path: str
    text: str


class Delete(msgspec.Struct, frozen=True, tag="delete"):
    path: str


class Rename(msgspec.Struct, frozen=True, tag="rename"):
    path: str
    new_path: str


Block = Replace | Create | Delete | Rename


def kind_of(block: Block) -> Kind:
    match block:
        case Replace():
            return "replace"
        case Create():
            return "create"
        case Delete():
            return "delete"
        case Rename():
            return "rename"


def write_all(blocks: Iterable[Block]) -> str:
    """The text form of an answer, with a blank line between blocks."""
    return "\n".join(map(write, blocks))


def write(block: Block) -> str:
    """The text form of one block; ends in a newline."""
    head = header(block)
    match block:
        case Replace():
            texts = [block.anchor.text, block.replacement]
            length = marker_length(texts)
            opened, closed = opener(block.anchor, length), f"{'>' * length} REPLACE"
            old, new = (_body(text) for text in texts)
            return f"{head}\n{opened}\n{old[0]}{'=' * length}{old[1]}\n{new[0]}{closed}{new[1]}\n"
        case Create():
            length = marker_length([block.text])
            text, end = _body(block.text)
            return f"{head}\n{'<' * length} TEXT\n{text}{'>' * length} TEXT{end}\n"
        case _:
            return f"{head}\n"


def header(block: Block) -> str:
    """The line that a block begins with, without its line end."""
    line = f"{HEADER} {kind_of(block)} {path_text(block.path)}"
    return f"{line}{RENAMED}{path_text(block.new_path)}" if isinstance(block, Rename) else line


def opener(anchor: Anchor, length: int = MARKER_CHARS) -> str:
    """The line below the header of a replacement, without its line end."""
    if isinstance(anchor, Search):
        return f"{'<' * length} SEARCH"
    if anchor.last < anchor.first:
        return f"{'<' * length} AFTER {anchor.last}"
    return f"{'<' * length} LINES {anchor.first}-{anchor.last}"


def path_text(path: str) -> str:
    """A path as headers have it."""
    plain = path.isprintable() and path == path.strip() and path[:1] not in ("", '"', "'", "`")
    misread = RENAMED in path or path.endswith((RENAMED.rstrip(), ":", "`"))
    return path if plain and not misread else json.dumps(path)


def marker_length(texts: Iterable[str]) -> int:
    """How long the markers around these texts have to be, so that no line of them looks like one."""
    longest = max((len(run) for text in texts for run in _MARKER_LIKE.findall(text)), default=0)
    return max(MARKER_CHARS, longest + 1 if longest else 0)


def numbered(text: str, first: int = 1) -> str:
    """Lines as a prompt shows them to whoever answers with `LINES`: the number and a bar before each."""
    lines = re.split(r"\r\n|\n|\r", text)
    if lines[-1] == "":
        lines.pop()
    return "".join(f"{number}|{line}\n" for number, line in enumerate(lines, first))


def _body(text: str) -> tuple[str, str]:
    """A text as whole lines, and what the marker behind it says of its end."""
    return (text, "") if not text or text.endswith("\n") else (f"{text}\n", NO_NEWLINE)


# What a parser tells while an answer arrives.


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """A block's header is read. `number` counts the blocks of an answer from 0."""

    number: int
    kind: Kind
    path: str


class Growing(msgspec.Struct, frozen=True, tag="growing"):
    """So many whole lines of the block have arrived since its header."""

    number: int
    lines: int


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    number: int
    block: Block


class Malformed(msgspec.Struct, frozen=True, tag="malformed"):
    """A block that cannot be used, and why; what follows it is read on. An answer with one is not to be applied."""

    number: int
    path: str
    """Empty where it is not known."""
    reason: str


Event = Begun | Growing | Finished | Malformed


class Parsed(msgspec.Struct, frozen=True):
    """A whole answer."""

    blocks: tuple[Block, ...]
    problems: tuple[Malformed, ...]
    """What cannot be used of it, an answer cut off in the middle of a block included."""

    @property
    def well_formed(self) -> bool:
        return bool(self.blocks) and not self.problems
