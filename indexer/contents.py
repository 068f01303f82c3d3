"""What memory holds about stored contents; light, so that the service answers before the store is loaded."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from indexer.imports import Import
from indexer.tags import Tag

STORE_ERRORS = (RuntimeError, OSError, ValueError)
"""What LanceDB raises for a full, read-only or damaged disk."""

_imports = msgspec.msgpack.Decoder(list[Import])


class StoreError(RuntimeError):
    """The store cannot be used; the message says why and what to do."""


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
