"""A file as it was sent to the model: the text that blocks are held against, and what is known of it."""

from __future__ import annotations

from pathlib import Path

import msgspec

BYTE_ORDER_MARK = "\ufeff"


class SourceFile(msgspec.Struct, frozen=True):
    """`path` is relative to the root, with slashes. Where the file is open in an editor, `text` is that of the
    document at `version`, and may not be on disk."""

    path: str
    text: str
    language: str | None = None
    version: int | None = None
    """None where it is not open."""
    uri: str = ""
    shown: tuple[tuple[int, int], ...] | None = None
    """Lines that the model was shown, from 1 and both ends included; None for all of them."""
    marked: bool = False
    """Whether a byte order mark stands before the text on disk; it is no part of the text, as in editors."""


def read(root: Path, path: str) -> SourceFile | str:
    """The file on disk, or why it cannot be edited: what is not UTF-8 would not be written back as it was."""
    from indexer.files.exclusions import MAX_BYTES, why_content_excluded
    from indexer.parsing.languages import language_of

    try:
        with (root / path).open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as failed:
        return f"{path} cannot be read: {failed.strerror or failed}"
    if len(data) > MAX_BYTES:
        return f"{path} is larger than {MAX_BYTES // 1_000_000} MB"
    why = why_content_excluded(data, reincluded=True)
    if why is not None:
        return f"{path} is {why}"
    text = data.decode("utf-8")
    marked = text.startswith(BYTE_ORDER_MARK)
    return SourceFile(path, text.removeprefix(BYTE_ORDER_MARK), language_of(path), marked=marked)


def encoded(file: SourceFile, text: str) -> bytes:
    """What stands on disk when the file holds `text`."""
    return ((BYTE_ORDER_MARK if file.marked else "") + text).encode("utf-8")
