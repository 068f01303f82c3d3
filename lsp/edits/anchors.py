"""Where in a file a replacement belongs: at exactly one place, or nowhere.

A text that stands in the file once as it was written is that place. Otherwise it is looked for without regard to white
space, then without what models copy along (line numbers, code fences, dots for lines left out), then by what is
nearest, each time only where one place answers. Whatever has to be guessed is a misfit."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from engine.editing.blocks import Lines, Replace
from lsp.edits.guesses import loose
from lsp.edits.indents import Reindent
from lsp.edits.lines import Edit, Text, split
from lsp.edits.merging import merged
from lsp.edits.numbered import by_number
from lsp.edits.placed import Misfit, Placed, places_of, several

_LEFT_OUT = re.compile(
    r"^\s*(?:#|//|--|;|%|/\*|<!--)\s*(?:\.\.\.|…)\s*\(?(?:the )?(?:rest of|existing|remaining|unchanged)\b",
    re.IGNORECASE,
)
"""A comment in place of lines that a model did not write again."""


def place(file: Text, block: Replace, shown: Sequence[tuple[int, int]] | None = None) -> Placed | Misfit:
    """`file` is the text that was sent. `shown` are the lines of it that the model was shown, from 1 and both ends
    included; None for all: numbers of other lines are made up."""
    if left_out := _left_out(file, block):
        return Misfit(f"{left_out.strip()!r} stands for lines that would be lost: all are to be written")
    if isinstance(block.anchor, Lines):
        return by_number(file, block.anchor, block.replacement, shown)
    written, replacement = split(block.anchor.text), split(block.replacement)
    if not written.lines:
        if file.lines:
            return Misfit("an empty text stands nowhere in a file that is not empty")
        return Placed(0, 0, (Edit(0, 0, replacement.lines),), "exact", replacement.ends_itself)
    final = None if written.ends_itself == replacement.ends_itself else replacement.ends_itself
    found = places_of(file.lines, written.lines) or loose(file.lines, written.lines, replacement.lines)
    if isinstance(found, Misfit):
        return found
    if not isinstance(found, Placed):
        if len(found) > 1:
            return several(file.lines, found, len(written.lines))
        end = found[0] + len(written.lines)
        edits = merged(
            file.lines[found[0] : end], found[0], written.lines, replacement.lines, Reindent((), ())
        )
        found = Placed(found[0], end, tuple(edits), "exact")
    at_end = found.end == len(file.lines)
    return msgspec.structs.replace(found, final_newline=final if at_end else None)


def as_written(file: Text, block: Replace) -> bool:
    """Whether the lines that a block names stand in the file as it writes them: then nothing is looked for."""
    written = split(block.anchor.text).lines
    if isinstance(block.anchor, Lines):
        return not written or file.lines[block.anchor.first - 1 : block.anchor.last] == written
    return not written or bool(places_of(file.lines, written))


def _left_out(file: Text, block: Replace) -> str:
    """A line of the replacement that stands for others; empty where there is none. One that the anchor has too stands
    for the same lines there, and one that the file has is its own."""
    found = [line for line in split(block.replacement).lines if _LEFT_OUT.match(line)]
    own = {line.strip() for line in (*split(block.anchor.text).lines, *file.lines)} if found else set[str]()
    return next((line for line in found if line.strip() not in own), "")
