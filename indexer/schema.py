"""The tables of the store and what they are called."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

import pyarrow as pa

SCHEMA_VERSION = 1
"""Raised with every change of a table below."""

VECTOR_DIMENSIONS = 384

FILES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("skipped", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        pa.field("imports", pa.binary(), nullable=False),  # msgpack of list[Import]
        pa.field("stored_s", pa.int64(), nullable=False),  # Unix time
    ]
)
"""One row per content, written last: a content without its row here is not whole."""

DEFINITIONS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("start_line", pa.int32(), nullable=False),
        pa.field("end_line", pa.int32(), nullable=False),
        pa.field("name_line", pa.int32(), nullable=False),
        pa.field("name_column", pa.int32(), nullable=False),
        pa.field("container", pa.string(), nullable=False),
        pa.field("signature", pa.string(), nullable=False),
    ]
)

REFERENCES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("lines", pa.list_(pa.int32()), nullable=False),
    ]
)
"""One row per content and name: a tenth of the rows that one per place would be."""

CHUNKS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("text_key", pa.string(), nullable=False),  # its vector hangs on this
        pa.field("start_line", pa.int32(), nullable=False),
        pa.field("end_line", pa.int32(), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("definition", pa.int32()),  # ordinal of the definition that begins here, by start line
        pa.field("text", pa.string(), nullable=False),
        pa.field("tokens", pa.string(), nullable=False),  # `words.words` of symbol and text, for full text
    ]
)

MANIFEST = pa.schema(
    [
        pa.field("root", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64(), nullable=False),
    ]
)

VECTORS = pa.schema(
    [
        pa.field("text_key", pa.string(), nullable=False),
        pa.field("vector", pa.list_(pa.float32(), VECTOR_DIMENSIONS), nullable=False),
    ]
)
"""Apart from the chunks: vectors come later, survive a re-parse, and are of one embedder."""

_READING_MODULES = ("chunks.py", "facts.py", "imports.py", "languages.py", "lines.py", "tags.py", "words.py")


def generation() -> str:
    """Names the folder of a store: another schema, grammar or way of reading files is another generation."""
    digest = hashlib.blake2b(digest_size=6)
    here = Path(__file__).parent
    sources = [here / name for name in _READING_MODULES] + sorted((here / "queries").rglob("*.scm"))
    for source in sources:
        digest.update(source.read_bytes())
    grammars = sorted(
        f"{distribution.name}={distribution.version}"
        for distribution in importlib.metadata.distributions()
        if distribution.name.lower().replace("_", "-").startswith("tree-sitter")
    )
    digest.update("\n".join(dict.fromkeys(grammars)).encode())
    return f"v{SCHEMA_VERSION}-{digest.hexdigest()}"
