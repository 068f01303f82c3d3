"""What memory holds about stored contents; light, so that the service answers before the store is loaded."""

from __future__ import annotations

import errno
import os
import re
import struct
import zlib
from collections.abc import Iterable

import msgspec

from indexer import paths
from indexer.parsing.imports import Import
from indexer.parsing.tags import Tag

STORE_ERRORS = (RuntimeError, OSError, ValueError)
"""What LanceDB raises for a full, read-only or damaged disk."""

_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
"""What LanceDB's errors hold of the system's own, which has no number there."""

_SOURCE_PLACE = re.compile(r",? \S+\.rs:\d+.*")
"""Where in its own source a store's error comes from."""

_ERROR_CHARACTERS = 300
"""The store's errors go on with its own call stack."""

TEXT_KEY_BYTES = 16
"""Of a chunk text's key (`facts.text_key` writes it as 32 hexadecimal digits)."""


SPAN = struct.Struct("<II")
"""First and end line of a chunk as they are packed."""


class StoreError(RuntimeError):
    """The store cannot be used; the message says why and what to do."""


def explain(failed: Exception) -> str:
    """What the store has raised, in a sentence for a person."""
    said = str(failed)
    if not isinstance(failed, STORE_ERRORS):  # a fault of ours: most of these say nothing without their name
        said = f"{type(failed).__name__}: {said}".removesuffix(": ")
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


class _Facts(msgspec.Struct, array_like=True):
    """What is packed in `StoredContent.facts`, each part decoded only when it is asked for."""

    definitions: msgspec.Raw
    imports: msgspec.Raw
    types: msgspec.Raw


class StoredContent(msgspec.Struct, array_like=True, gc=False):
    """What is held in memory about a content of an open root, and in its row on disk. Definitions, imports and
    types stay packed until somebody asks: unpacked they take ten times the memory."""

    key: str
    language: str
    size: int
    skipped: str = ""
    """Why nothing of it may be indexed, else empty."""
    error: str = ""
    """Why its facts are not whole, else empty."""
    symbols: int = 0
    """Number of definitions."""
    references: int = 0
    """Number of places that refer to something."""
    names: str = ""
    """The distinct names of its definitions, each with a newline before and after it, so that one search in
    this text tells whether a name is among them."""
    text_keys: bytes = b""
    """Of its chunks, `TEXT_KEY_BYTES` each."""
    facts: bytes = b""
    """`squeezed` msgpack of `_Facts`, empty where there are none."""
    spans: bytes = b""
    """First and end line of its chunks, `SPAN` each."""
    reincluded: bool = False
    """Whether it was read as a file that `.forewordignore` takes back in: part of its key."""
    redacted: int = 0
    """Lines of which a value was replaced, since it looks like a secret."""

    @property
    def definitions(self) -> tuple[Tag, ...]:
        """By place: the order to which `Site.within` refers."""
        return _definitions.decode(self._unpacked().definitions) if self.facts else ()

    @property
    def types(self) -> dict[str, str]:
        """`Class.attribute` → receiver path of its type."""
        return _types.decode(self._unpacked().types) if self.facts else {}

    @property
    def chunks(self) -> int:
        return len(self.text_keys) // TEXT_KEY_BYTES

    def span(self, chunk: int) -> tuple[int, int]:
        """First and end line of a chunk."""
        return SPAN.unpack_from(self.spans, chunk * SPAN.size)

    def decode_imports(self) -> list[Import]:
        return _imports.decode(self._unpacked().imports) if self.facts else []

    def _unpacked(self) -> _Facts:
        return _facts.decode(zlib.decompress(self.facts))

    def distinct_names(self) -> list[str]:
        return self.names.strip("\n").split("\n") if self.names else []

    def hex_text_keys(self) -> list[str]:
        """The keys of its chunks' texts as `facts.text_key` writes them."""
        digits = self.text_keys.hex()
        return [digits[at : at + 2 * TEXT_KEY_BYTES] for at in range(0, len(digits), 2 * TEXT_KEY_BYTES)]


_facts = msgspec.msgpack.Decoder(_Facts)
_definitions = msgspec.msgpack.Decoder(tuple[Tag, ...])
_types = msgspec.msgpack.Decoder(dict[str, str])
_imports = msgspec.msgpack.Decoder(list[Import])


_LEVEL = 1
"""Of zlib: half the size for 12 µs a file; higher ones take twice as long for 3% less."""


def squeezed(facts: bytes) -> bytes:
    return zlib.compress(facts, _LEVEL)


def by_place(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Definitions by start line, the enclosing one first."""
    return tuple(sorted(tags, key=lambda tag: (tag.start_line, -tag.end_line, tag.name)))
