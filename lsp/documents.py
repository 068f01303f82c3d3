"""Open documents as immutable snapshots, and the arithmetic between offsets and the client's positions.

Offsets are code points into `Snapshot.text`. Positions are the client's: a 0-based line and a number of code
units of the negotiated encoding. Lines end at \\n, \\r\\n or \\r and nowhere else (LSP 3.17, "Text
Documents"); `str.splitlines` also splits at form feeds and U+2028, which puts every later position on the
wrong line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec
from pygls.uris import to_fs_path

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_LINE_END = re.compile(r"\r\n|\n|\r")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BEYOND_BMP = 0xFFFF
"""Code points above this one take two UTF-16 units."""

_LANGUAGES = {
    "typescriptreact": "tsx",
    "javascriptreact": "javascript",
    "golang": "go",
    "c++": "cpp",
    "shellscript": "shell",
}
"""Editors' language identifiers that differ from the names that `indexer.packing.syntax` uses."""


class Known(msgspec.Struct, frozen=True):
    """Where one line of a text begins, so that places near it are found without going through all above it."""

    text: str
    line: int
    start: int


class Snapshot(msgspec.Struct, frozen=True):
    """A document at one version. `path` is absolute, None when the document is no file (`untitled:` and
    others)."""

    uri: str
    path: str | None
    language: str | None
    version: int
    text: str
    preamble: str = ""
    """Text that stands before the document without being part of it: the earlier cells of a notebook."""
    known: Known | None = None
    """The line of the last change. It says itself of which text: a snapshot that is given another one finds its places
    all the same."""


class Change(msgspec.Struct, frozen=True):
    """One content change. Without `start` and `end`, (line, character) in client units, `text` is the whole
    text."""

    text: str
    start: tuple[int, int] | None = None
    end: tuple[int, int] | None = None


def path_of(uri: str) -> str | None:
    """The file that `uri` names: a `file:` URI's own path, a notebook cell's notebook; None for anything
    else."""
    scheme = urlsplit(uri).scheme
    if scheme == "file":
        return to_fs_path(uri)
    if scheme == "vscode-notebook-cell":
        return unquote(urlsplit(uri).path) or None
    return None


def key_of(uri: str) -> str:
    """The same for every spelling of one URI: clients differ in what they percent-encode (`c%3A` or `c:`)."""
    return unquote(uri)


def language_named(language_id: str | None) -> str | None:
    """The language that an editor's identifier names; None when it says nothing."""
    if not language_id or language_id in ("plaintext", "text"):
        return None
    name = language_id.lower()
    return _LANGUAGES.get(name, name)


def opened(uri: str, language_id: str | None, version: int, text: str) -> Snapshot:
    """The first snapshot of a document."""
    return Snapshot(uri, path_of(uri), language_named(language_id), version, without_surrogates(text))


def changed(snapshot: Snapshot, changes: Sequence[Change], version: int, encoding: Encoding) -> Snapshot:
    """The snapshot after `changes`, applied in order, each to the result of the one before."""
    text, known = snapshot.text, snapshot.known
    for change in changes:
        new = without_surrogates(change.text)
        if change.start is None or change.end is None:
            text, known = new, None
            continue
        known = _line_known(text, change.start[0], known)
        start = offset_at(text, *change.start, encoding, known)
        end = start if change.end == change.start else offset_at(text, *change.end, encoding, known)
        text = text[:start] + new + text[max(start, end) :]
        known = _still_known(known, text)
    return msgspec.structs.replace(snapshot, text=text, version=version, known=known)


def _line_known(text: str, line: int, known: Known | None) -> Known | None:
    start = line_start(text, max(0, line), known)
    return None if start is None else Known(text, max(0, line), start)


def _still_known(known: Known | None, text: str) -> Known | None:
    """The same line in a text that is another one only behind where it begins."""
    if (
        known is None or text[max(0, known.start - 1) : known.start + 1] == "\r\n"
    ):  # one line end is made of two
        return None
    return Known(text, known.line, known.start)


def without_surrogates(text: str) -> str:
    """`text` fit to be encoded: half of a surrogate pair, which JSON can carry, becomes U+FFFD.

    Both take one UTF-16 unit and three bytes in UTF-8, so positions after it stay right.
    """
    return _SURROGATE.sub("\ufffd", text)


def offset_at(text: str, line: int, character: int, encoding: Encoding, known: Known | None = None) -> int:
    """The offset of a client position. Beyond a line's end it is that end, beyond the last line the text's
    end; inside one character it is that character's start."""
    if line < 0:
        return 0
    start = line_start(text, line, known)
    if start is None:
        return len(text)
    ending = _LINE_END.search(text, start)
    end = len(text) if ending is None else ending.start()
    return start + _points(text[start:end], max(0, character), encoding)


def line_start(text: str, line: int, known: Known | None = None) -> int | None:
    """Where a line begins; None when the text has no such line."""
    at, start = _from(text, known)
    if line < at:
        at, start = 0, 0
    if "\r" not in text:  # the usual kind, and much faster
        for _ in range(line - at):
            start = text.find("\n", start) + 1
            if not start:
                return None
        return start
    for _ in range(line - at):
        ending = _LINE_END.search(text, start)
        if ending is None:
            return None
        start = ending.end()
    return start


def position_at(text: str, offset: int, encoding: Encoding, known: Known | None = None) -> tuple[int, int]:
    """The client position (line, character) of an offset; one between \\r and \\n is the line's end."""
    offset = max(0, min(offset, len(text)))
    if text[offset - 1 : offset + 1] == "\r\n" and offset > 0:
        offset -= 1
    line, start = _from(text, known)
    if offset < start:
        line, start = 0, 0
    if "\r" not in text:
        begins = text.rfind("\n", start, offset) + 1 or start
        return line + text.count("\n", start, begins), units(text[begins:offset], encoding)
    for ending in _LINE_END.finditer(text, start):
        if ending.end() > offset:
            break
        line, start = line + 1, ending.end()
    return line, units(text[start:offset], encoding)


def _from(text: str, known: Known | None) -> tuple[int, int]:
    """A line of `text` and where it begins."""
    return (known.line, known.start) if known is not None and known.text is text else (0, 0)


def units(text: str, encoding: Encoding) -> int:
    """How many code units of `encoding` `text` takes."""
    if text.isascii() or encoding == "utf-32":
        return len(text)
    return sum(map(_WIDTHS[encoding], text))


def line_around(text: str, offset: int) -> tuple[str, str]:
    """What stands on the line of `offset` before it and after it, without the line's end."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    ending = _LINE_END.search(text, offset)
    return text[start:offset], text[offset : ending.start() if ending else len(text)]


def line_ending(text: str) -> str:
    """The line ending that `text` uses first; \\n for a text of one line."""
    ending = _LINE_END.search(text)
    return ending.group() if ending else "\n"


def _points(line: str, wanted: int, encoding: Encoding) -> int:
    """How many characters of `line` lie whole within its first `wanted` code units."""
    if line.isascii() or encoding == "utf-32":
        return min(wanted, len(line))
    width = _WIDTHS[encoding]
    taken = 0
    for index, char in enumerate(line):
        taken += width(char)
        if taken > wanted:
            return index
    return len(line)


def _utf16_width(char: str) -> int:
    return 2 if ord(char) > _BEYOND_BMP else 1


def _utf8_width(char: str) -> int:
    return len(char.encode())


_WIDTHS: dict[Encoding, Callable[[str], int]] = {
    "utf-8": _utf8_width,
    "utf-16": _utf16_width,
    "utf-32": len,
}
