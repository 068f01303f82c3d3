"""What a suggestion was made from beside its own document, and whether that is still so.

This is the version of the pack: of every file that it quotes, the text of an open document, else size and time on disk.
A change to any other file leaves a suggestion as good as it was, and so does opening or closing one that it quotes.
"""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from enum import IntEnum
from pathlib import Path

import msgspec

from lsp.documents import Snapshot

Version = int | tuple[int, int] | None
"""Of a file: its open text's hash, else its time and size, None where there is none."""


class Context(IntEnum):
    """How much of the repository there was to read."""

    NONE = 0
    INDEXING = 1
    WHOLE = 2


class Setting(msgspec.Struct, frozen=True):
    """What holds for every suggestion in a document at a time."""

    engine: str
    """The model and where it is; empty while there is none."""
    preamble: int
    """Its hash: the earlier cells of a notebook."""
    context: Context
    shape: int = 0
    """A hash of the settings that say how long a suggestion and its prompt may be."""


class Source(msgspec.Struct, frozen=True):
    """What one suggestion was made from."""

    setting: Setting
    files: tuple[tuple[str, Version], ...] = ()


def source_of(
    setting: Setting, root: str | None, quoted: Iterable[str], documents: Mapping[str, Snapshot]
) -> Source:
    """Of a suggestion whose pack quotes these files, by their paths relative to `root`. Looks at the disk. `documents`
    are the open ones, by their absolute paths."""
    paths = [str(Path(root) / each) for each in dict.fromkeys(quoted)] if root is not None else []
    return Source(setting, tuple((path, version_of(path, documents)) for path in paths))


def is_fresh(source: Source, setting: Setting, documents: Mapping[str, Snapshot]) -> bool:
    """Whether the same would be read again, as far as it was read. More context than there was then makes a suggestion
    old, less does not. Looks at the disk."""
    then = source.setting
    another = setting.engine not in ("", then.engine) or setting.preamble != then.preamble
    if another or setting.shape != then.shape or setting.context > then.context:
        return False
    return all(
        version_of(path, documents) == version or _is_opened_or_closed(path, version, documents.get(path))
        for path, version in source.files
    )


def version_of(path: str, documents: Mapping[str, Snapshot]) -> Version:
    document = documents.get(path)
    return _on_disk(path) if document is None else hash(document.text)


def _is_opened_or_closed(path: str, version: Version, document: Snapshot | None) -> bool:
    """Whether a file of another version has been opened or closed in the editor since, and was not changed."""
    if isinstance(version, tuple):
        return document is not None and _on_disk(path) == version and _stored(path) == hash(document.text)
    return version is not None and document is None and _stored(path) == version


def _on_disk(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - of each quoted file at each key: a Path costs more than the question
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _stored(path: str) -> int | None:
    """The hash of a file's text as an editor shows it; None where it has none."""
    try:
        return hash(Path(path).read_bytes().removeprefix(BOM_UTF8).decode())
    except (OSError, UnicodeDecodeError):
        return None
