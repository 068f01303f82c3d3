"""What memory holds about stored contents; light, so that the service answers before the store is loaded."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable

import msgspec

from indexer import paths
from indexer.imports import Import
from indexer.tags import Tag

STORE_ERRORS = (RuntimeError, OSError, ValueError)
"""What LanceDB raises for a full, read-only or damaged disk."""

_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
"""What LanceDB's errors hold of the system's own, which has no number there."""

_SOURCE_PLACE = re.compile(r",? \S+\.rs:\d+.*")
"""Where in its own source a store's error comes from."""

_ERROR_CHARACTERS = 300
"""The store's errors go on with its own call stack."""

_imports = msgspec.msgpack.Decoder(list[Import])


class StoreError(RuntimeError):
    """The store cannot be used; the message says why and what to do."""


def explain(failed: Exception) -> str:
    """One of STORE_ERRORS in a sentence for a person."""
    said = str(failed)
    if any(full in said for full in _FULL):
        return (
            f"the disk of {paths.store_folder()} is full: free some space, or set XDG_CACHE_HOME to a folder on "
            "a larger disk"
        )
    return _SOURCE_PLACE.sub("", (said or type(failed).__name__).splitlines()[0])[:_ERROR_CHARACTERS]


class ManifestEntry(msgspec.Struct, frozen=True, gc=False):
    """One path of a root: its content, and what tells without reading that it has not changed."""

    key: str
    size: int
    mtime_ns: int


class StoredContent(msgspec.Struct, gc=False):
    """What is held in memory about a content of an open root."""

    key: str
    language: str
    size: int
    skipped: str
    error: str
    imports: bytes
    definitions: tuple[Tag, ...] = ()
    references: int = 0
    text_keys: tuple[str, ...] = ()
    """Of its chunks."""

    def decode_imports(self) -> list[Import]:
        return _imports.decode(self.imports) if self.imports else []


def by_place(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Definitions by start line, the enclosing one first."""
    return tuple(sorted(tags, key=lambda tag: (tag.start_line, -tag.end_line, tag.name)))
