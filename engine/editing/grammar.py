"""The block format as an EBNF grammar in xgrammar's notation: an answer under it is well-formed, names no other paths
than the given ones, closes what it opens, and anchors only in lines that were shown.

What a grammar cannot say stays with those who apply blocks: whether two of them overlap, and whether a new path is a
good one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from engine.editing.blocks import HEADER, MARKER_CHARS, RENAMED, path_text
from engine.editing.copied import MAX_COPIED_LINES, copied_rules, literal

Anchors = Literal["copied", "lines", "search"]
"""How a replacement says where: lines of the file that the grammar knows, numbers of lines, or lines that the model
copies by itself."""

MAX_PATHS = 64
"""A grammar is compiled for each new set of files: with more of them the model would choose badly all the same."""

MAX_PAIRED_LINES = 2_000
"""Of so many lines shown, of all files together, the grammar sees to it that a range's end is not before its beginning:
that takes a rule for each line, and a tenth of a second to compile for so many."""

MAX_BLOCKS = 16
MAX_LINES = 200
"""Of one text of a block. Bounds are what ends a small model that repeats itself."""

FENCE_CHARS = 3
WITH_FENCES = (".md", ".mdx", ".markdown", ".rst", ".txt", ".adoc")
"""Files in which a line may begin with a Markdown fence."""

MAX_FOLDERS = 12
"""Above a new file. Lines and names have no bound here: xgrammar takes two seconds to compile one for characters."""


class Shown(msgspec.Struct, frozen=True):
    """A file that may be changed and the numbers of its lines that the model sees, both ends included."""

    path: str
    first: int
    last: int
    """`first - 1` of an empty file."""
    lines: Sequence[str] = ()
    """Of the whole file, without their ends, where anchors may be copied from it."""


class Bounds(msgspec.Struct, frozen=True):
    blocks: int = MAX_BLOCKS
    lines: int = MAX_LINES


UNBOUNDED = Bounds()


def anchors_for(files: Sequence[Shown]) -> Anchors:
    """The surest anchors that these files have room for."""
    shown = sum(file.last - file.first + 1 for file in files)
    return "copied" if shown <= MAX_COPIED_LINES and all(file.lines for file in files) else "lines"


def edit_grammar(
    files: Sequence[Shown],
    *,
    anchors: Anchors = "lines",
    whole_files: bool = False,
    new_paths: Sequence[str] = (),
    bounds: Bounds = UNBOUNDED,
) -> str:
    """The grammar of an answer that edits these files. With `whole_files` it may make, delete and rename files too;
    `new_paths` are files that it may make in any case. Raises ValueError without a file and for more than MAX_PATHS."""
    if len(files) + len(new_paths) > MAX_PATHS:
        raise ValueError(f"{len(files) + len(new_paths)} paths, and a grammar takes at most {MAX_PATHS}")
    kinds = [
        *(f"replace{at}" for at in range(len(files))),
        *(f"create{at}" for at in range(len(new_paths))),
        *(["create", "delete", "rename"] if whole_files else []),
    ]
    if not kinds:
        raise ValueError("an edit needs a file that it may change or make")
    rules = [
        f'root ::= block ("\\n" block){{0,{bounds.blocks - 1}}}',
        f"block ::= {' | '.join(kinds)}",
        f"text ::= line{{0,{bounds.lines}}}",
        f"lines ::= line{{1,{bounds.lines}}}",
        *_line_rules(
            any(path.endswith(WITH_FENCES) for path in (*new_paths, *(file.path for file in files)))
        ),
    ]
    paired = sum(file.last - file.first + 1 for file in files) <= MAX_PAIRED_LINES
    for at, file in enumerate(files):
        if anchors == "lines" or file.last < file.first:
            rules += _by_lines(at, file, paired=paired)
        else:
            rules += _by_search(at, file, copied=anchors == "copied")
    for at, path in enumerate(new_paths):
        rules.append(f"create{at} ::= {_create(literal(path_text(path)))}")
    if whole_files:
        known = " | ".join(literal(path_text(file.path)) for file in files) or "name"
        rules += [
            f"create ::= {_create('name')}",
            f'delete ::= "{HEADER} delete " known "\\n"',
            f'rename ::= "{HEADER} rename " known {literal(RENAMED)} name "\\n"',
            f"known ::= {known}",
            f'name ::= part ("/" part){{0,{MAX_FOLDERS}}}',
            "part ::= [A-Za-z0-9_.] [A-Za-z0-9_.+-]*",
        ]
    return "\n".join(rules) + "\n"


def _line_rules(fences: bool) -> Iterator[str]:
    """A line of text: any but one that looks like a marker, which is one of MARKER_CHARS equal signs or more; nor one
    that begins like a header or, where no file has such lines, like a Markdown fence. Small models write these where
    a text is over."""
    most = {"<": MARKER_CHARS - 1, "=": MARKER_CHARS - 1, ">": MARKER_CHARS - 1, HEADER[0]: len(HEADER) - 1}
    if not fences:
        most["`"] = FENCE_CHARS - 1
    starts = [f'"{sign}"{{1,{count}}} ([^{sign}\\n] [^\\n]*)?' for sign, count in most.items()]
    yield f'line ::= ([^{"".join(most)}\\n] [^\\n]* | {" | ".join(starts)})? "\\n"'


def _by_lines(at: int, file: Shown, *, paired: bool) -> Iterator[str]:
    head = f'{literal(f"{HEADER} replace {path_text(file.path)}")} "\\n"'
    opened, divider, closed = "<" * MARKER_CHARS, "=" * MARKER_CHARS, ">" * MARKER_CHARS
    put = f'"{opened} AFTER " after{at} "\\n{divider}\\n" lines'
    swap = f'"{opened} LINES " range{at} "\\n{divider}\\n" text'
    empty = file.last < file.first
    yield f'replace{at} ::= {head} ({put if empty else f"{swap} | {put}"}) "{closed} REPLACE\\n"'
    yield f"after{at} ::= {_number(file.first - 1, file.last)}"
    if empty:
        return
    if paired:
        pairs = [f'"{first}-" {_number(first, file.last)}' for first in range(file.first, file.last + 1)]
        yield f"range{at} ::= {' | '.join(pairs)}"
    else:
        yield f'range{at} ::= number{at} "-" number{at}'
        yield f"number{at} ::= {_number(file.first, file.last)}"


def _by_search(at: int, file: Shown, *, copied: bool) -> Iterator[str]:
    head = f'{literal(f"{HEADER} replace {path_text(file.path)}")} "\\n"'
    opened, divider, closed = "<" * MARKER_CHARS, "=" * MARKER_CHARS, ">" * MARKER_CHARS
    runs = [*copied_rules(f"old{at}", file.lines, file.first, file.last)] if copied else []
    old = f"old{at}" if runs else "lines"
    yield f'replace{at} ::= {head} "{opened} SEARCH\\n" {old} "{divider}\\n" text "{closed} REPLACE\\n"'
    yield from runs


def _create(path: str) -> str:
    opened, closed = "<" * MARKER_CHARS, ">" * MARKER_CHARS
    return f'"{HEADER} create " {path} "\\n{opened} TEXT\\n" text "{closed} TEXT\\n"'


def _number(least: int, most: int) -> str:
    """Decimal numbers from `least` to `most`, without leading zeros."""
    return f"({' | '.join(_runs(least, most))})"


def _runs(least: int, most: int) -> Iterator[str]:
    """Alternatives that together are the numbers: a prefix, and what its other digits may be."""
    while least <= most:
        step = 1  # the largest power of ten of which a whole run begins here and ends in time
        while least % (step * 10) == 0 and least + step * 10 - 1 <= most and least >= step * 10:
            step *= 10
        digit = least // step % 10
        span = min((9 - digit), (most - least + 1) // step - 1)
        prefix = str(least // step)[:-1]
        rest = "[0-9]" * (len(str(step)) - 1)
        yield " ".join(
            filter(None, (f'"{prefix}"' if prefix else "", f"[{digit}-{digit + span}]{_spaced(rest)}"))
        )
        least += (span + 1) * step


def _spaced(digits: str) -> str:
    return " " + digits.replace("][", "] [") if digits else ""
