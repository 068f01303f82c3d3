"""The first paragraph of what a definition says about itself: its docstring, or the comment above it."""

from __future__ import annotations

import re

from indexer.parsing.source import Source

DOCSTRING_CHARACTERS = 200
"""A first paragraph is rarely longer, and what follows says little about the whole."""

_READ_BYTES = 8 * DOCSTRING_CHARACTERS
"""A character has at most four bytes; indentation that collapses is rarely more than as much again."""

_COMMENT_LINES = 60
"""A comment of more lines above a definition is a chapter, not its documentation."""

_STRING = re.compile(rb"[rRuU]?(\"\"\"|'''|\"|')")
_AFTER_STRING = re.compile(rb"[ \t]*(?:[;#\r\n]|$)")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n|\n[ \t]*[@\\:][a-z]")
"""A blank line, or a line that begins with a tag such as `@param` or `:returns:`."""
_COMMENT_MARKS = re.compile(r"^[ \t]*(?:/\*[*!]*|\*+/|\*|//[/!]*|#+|--+)?[ \t]?|\*+/[ \t]*$", re.MULTILINE)
_XML_TAGS = re.compile(r"</?[a-z][^>]*>")


def in_string(source: Source, body_start: int) -> str:
    """Of a body that begins at this byte: its first statement, if that is a string alone."""
    found = _STRING.match(source.data, body_start)
    if found is None:
        return ""
    quotes, start = found.group(1), found.end()
    end = source.data.find(quotes, start)
    if end < 0 or (len(quotes) == 1 and b"\n" in source.data[start:end]):
        return ""
    if not _AFTER_STRING.match(source.data, end + len(quotes)):
        return ""
    return _paragraph(_text(source.data[start : min(end, start + _READ_BYTES)]))


def above(source: Source, line: int, lead: bytes) -> str:
    """Of a definition that begins on this line: the comments right above. `lead` begins a comment of one
    line."""
    starts, data = source.line_starts, source.data
    first, in_block = line, False
    while first > max(0, line - _COMMENT_LINES):
        text = data[starts[first - 1] : starts[first] - 1].strip()
        if in_block:
            in_block = not text.startswith(b"/*")
        elif text.endswith(b"*/") and not text.startswith(b"//"):
            in_block = b"/*" not in text
            if not in_block and not text.startswith(b"/*"):
                break  # a comment behind code
        elif not lead or not text.startswith(lead):
            break
        first -= 1
    if first == line or in_block:
        return ""
    raw = _text(data[starts[first] : min(starts[line], starts[first] + _READ_BYTES)])
    return _paragraph(_XML_TAGS.sub("", _COMMENT_MARKS.sub("", raw)))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "ignore").replace("\r\n", "\n")


def _paragraph(text: str) -> str:
    text = text.strip()
    return " ".join(_PARAGRAPH_END.split(text, maxsplit=1)[0].split())[:DOCSTRING_CHARACTERS]
