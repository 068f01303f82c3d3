"""Blocks by indentation: which lines still belong to the block that a cursor stands in.

Indentation holds for text that is not finished, in languages without a grammar, and costs nothing; whether a
cursor stands at a place for a block at all is decided by `indexer.packing.syntax`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from lsp.trimming.near import Near

TAB_COLUMNS = 4
"""Only compared within one file, so any width does that keeps a tab wider than a blank."""

TOP = -1
"""The depth around a file's outermost lines: no line is outside of it."""

_OPENS = re.compile(r"(?:[:{(\[]|=>|->|=|\b(?:do|then|begin|else))\s*(?:\s(?://|#).*)?$")
_BLOCK_OPENER = re.compile(
    r"^\s*(?:(?:async\s+)?(?:def|for|with)|class|if|elif|else|while|try|except|finally|match|case)\b[^#]*:$"
    r"|\{$|\b(?:do|then)$"
)
_COMMENT = re.compile(r"(?:#(?!\[)|//|--|\*|/\*)")
_CLOSER = re.compile(r"[)\]}]|end\b|fi\b|done\b|esac\b")
_CLOSER_WORDS = ("end", "fi", "done", "esac")
_GOES_ON = re.compile(
    r"(?:else|elif|elsif|except|finally|catch|rescue|ensure|while\b.*;$|[)\]}]|end\b|fi\b|done\b)"
)
_DEFINITION = re.compile(
    r"@|#\[|(?:(?:export|default|public|private|protected|internal|static|final|abstract|async"
    r"|pub(?:\([^)]*\))?|unsafe|extern|inline|constexpr|virtual|override|sealed|partial)\s+)*"
    r"(?:def|class|function|fn|func|fun|interface|struct|enum|trait|impl|namespace|module|type)\b"
)
_METHOD = re.compile(
    r"(?:(?:export|public|private|protected|static|final|abstract|async|override|virtual)\s+)+[\w<>\[\], ]+\("
)


def is_blank(line: str) -> bool:
    return not line.strip()


def indent_width(line: str) -> int:
    """Columns of blanks that `line` begins with."""
    columns = 0
    for char in line:
        if char == "\t":
            columns += TAB_COLUMNS
        elif char == " ":
            columns += 1
        else:
            break
    return columns


def begins_definition(line: str) -> bool:
    stripped = line.strip()
    return bool(_DEFINITION.match(stripped) or _METHOD.match(stripped))


def opens_block(line: str) -> bool:
    """Whether `line` ends in what opens a block."""
    return bool(_BLOCK_OPENER.search(line.rstrip())) and not _COMMENT.match(line.strip())


def goes_on(line: str) -> bool:
    """Whether `line` closes a block, or goes on with the statement that the block belongs to."""
    return bool(_GOES_ON.match(line.strip()))


class Body(msgspec.Struct, frozen=True):
    """A block that is being written: lines deeper than `outer` belong to it, `inner` is its first line's
    depth."""

    outer: int
    inner: int
    outer_indent: str
    """The blanks of the line that opened the block."""
    one_definition: bool
    """The first line begins a definition: the block is that definition and not the one after it."""
    closed_below: bool
    """The line that closes the block stands after the cursor already."""

    def left_by(self, line: str, on_cursor_line: bool) -> bool:
        """Whether `line` stands outside of the block."""
        return not on_cursor_line and not is_blank(line) and indent_width(line) <= self.outer

    def closes(self, line: str) -> bool:
        """Whether `line` closes this block (and not one further out)."""
        return indent_width(line) == self.outer and bool(_CLOSER.match(line.strip()))

    def may_close(self, growing: str) -> bool:
        """Whether a line that is still being written may come to close this block."""
        said = growing.strip()
        return self.closes(growing) or any(word.startswith(said) for word in _CLOSER_WORDS)

    def another_begins(self, kept: list[str], line: str) -> bool:
        """Whether `line` begins something of its own beside the definition that `kept` holds whole."""
        if not kept or indent_width(line) > self.inner or goes_on(line):
            return False
        deeper = any(not is_blank(each) and indent_width(each) > self.inner for each in kept[1:])
        if self.one_definition:
            return deeper
        return self.outer == TOP and is_blank(kept[-1]) and (deeper or begins_definition(line))


def body_at(near: Near, first: str) -> Body:
    """The block at a cursor, where the text to insert begins with the line `first`."""
    cursor_line = near.line_before
    if not is_blank(cursor_line):
        return _body(cursor_line, indent_width(cursor_line), TOP, "", near)
    whole = cursor_line + first
    inner = indent_width(whole)
    above = near.above[0] if near.above else ""
    if above and _opens(above) and indent_width(above) <= inner:
        return _body(above, indent_width(above), inner, whole, near)
    opener = next((line for line in near.above if indent_width(line) < inner), None) if inner else None
    if opener is None:
        return _body("", TOP, inner, whole, near)
    return _body(opener, indent_width(opener), inner, whole, near)


def _opens(line: str) -> bool:
    return bool(_OPENS.search(line)) and not _COMMENT.match(line.strip())


def _body(opener: str, outer: int, inner: int, first: str, near: Near) -> Body:
    return Body(
        outer=outer,
        inner=inner,
        outer_indent=opener[: len(opener) - len(opener.lstrip(" \t"))],
        one_definition=inner > TOP and begins_definition(first),
        closed_below=_closed_below(near, outer),
    )


def _closed_below(near: Near, outer: int) -> bool:
    rest = near.line_after.strip()
    if rest:
        return bool(_CLOSER.match(rest))
    if outer == TOP:
        return False  # nothing stands outside of it
    line = next((line for line in near.below if indent_width(line) <= outer), None)
    return line is not None and indent_width(line) == outer and bool(_CLOSER.match(line.strip()))
