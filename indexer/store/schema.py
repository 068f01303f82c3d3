"""The tables of the store and what they are called."""

# pyarrow has no types of its own
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SCHEMA_VERSION = 3
"""Raised with every change of a table below, and of what is packed into its columns."""

VECTOR_DIMENSIONS = 384
"""Of the default embedder."""

_SQUEEZED = {b"lance-encoding:compression": b"zstd"}
"""For columns that are read a few rows at a time: a third of the size, and no slower to read."""


def _text(name: str, *, squeezed: bool = False) -> pa.Field:
    return pa.field(name, pa.string(), nullable=False, metadata=_SQUEEZED if squeezed else None)


def _bytes(name: str) -> pa.Field:
    return pa.field(name, pa.binary(), nullable=False, metadata=_SQUEEZED)


def _number(name: str, kind: pa.DataType | None = None) -> pa.Field:
    return pa.field(name, kind or pa.int32(), nullable=False)


FILES = pa.schema(
    [
        _text("key"),
        _number("stored_s", pa.int64()),  # Unix time
        _bytes("content"),  # msgpack of contents.StoredContent
    ]
)
"""One row per content, written last: a content without its row here is not whole."""

REFERENCES = pa.schema([_text("key", squeezed=True), _text("name"), _bytes("sites")])
"""One row per content and name, a third of the rows that one per place would be; `sites` is msgpack of
list[Site]."""

CHUNKS = pa.schema(
    [
        _text("key", squeezed=True),
        _text("text_key"),  # its vector hangs on this
        _number("start_line"),
        _number("end_line"),
        _text("symbol"),
        _text("kind"),
        pa.field("definition", pa.int32()),  # ordinal of the definition that begins here, by place
        _text("text", squeezed=True),
        _text("tokens", squeezed=True),  # `words.words` of symbol and text, for full text
    ]
)

MANIFEST = pa.schema(
    [
        _text("root", squeezed=True),
        _text("path"),
        _text("key"),  # empty: the path is gone
        _number("size", pa.int64()),
        _number("mtime_ns", pa.int64()),
        _number("serial", pa.int64()),
    ]
)
"""A log: of several rows of one path the one with the highest serial counts, so that a change is one append
and nothing has to be deleted. `upkeep.tidy` shortens it."""

TOKEN_IDS = pa.schema(
    [
        _text("key"),
        pa.field("ids", pa.binary(), nullable=False),
        pa.field("shape", pa.binary(), nullable=False),
    ]
)
"""As `token_lines.TokenLines.packed` gives them, squeezed (see indexer.store.token_tables)."""


def vectors(dimensions: int) -> pa.Schema:
    """Apart from the chunks: vectors come later, survive a re-parse, and are of one embedder. As 8-bit levels with one
    scale behind them they take a quarter of what float32 would, at a cosine of 0.9999 to it."""
    return pa.schema(
        [
            _text("text_key", squeezed=True),
            pa.field("vector", pa.binary(dimensions + _SCALE_BYTES), nullable=False),
        ]
    )


_SCALE_BYTES = 4
"""A little-endian float32."""


def dimensions_of(table_schema: pa.Schema) -> int:
    """Of a table of vectors."""
    return table_schema.field("vector").type.byte_width - _SCALE_BYTES


def vector_rows(text_keys: Sequence[str], levels: NDArray[np.int8], scales: NDArray[np.float32]) -> pa.Table:
    """`levels` is [n, dimensions], `scales` [n]."""
    count, dimensions = levels.shape
    packed = np.empty((count, dimensions + _SCALE_BYTES), np.uint8)
    packed[:, :dimensions] = levels.view(np.uint8)
    packed[:, dimensions:] = scales.astype("<f4").view(np.uint8).reshape(count, _SCALE_BYTES)
    column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(packed.shape[1]), count, [None, pa.py_buffer(packed)]
    )
    return pa.Table.from_arrays([pa.array(text_keys, pa.string()), column], schema=vectors(dimensions))


def unpacked_vectors(column: pa.Array, dimensions: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The reverse, of one piece of the column."""
    width = dimensions + _SCALE_BYTES
    flat = np.frombuffer(column.buffers()[1], np.uint8)
    packed = flat[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)
    scales = np.ascontiguousarray(packed[:, dimensions:]).view("<f4").ravel()
    return packed[:, :dimensions].view(np.int8), scales.astype(np.float32)


_PACKAGE = Path(__file__).parent.parent

_READING = "indexer.children.reading"
"""The module that children run; what it imports decides what is stored about a content."""

_NOT_STORED = frozenset({"indexer.paths", "indexer.modules.resolution"})
"""Imported there too, and without a say in what is stored: where the store lies, where imports lead to."""


def reading_modules() -> list[str]:
    """Names of this package's modules that decide what is stored about a content."""
    found: set[str] = set()
    waiting = [_READING]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in _NOT_STORED and _source(name).is_file():
            found.add(name)
            waiting += _imported(_source(name))
    return sorted(found)


def _source(module: str) -> Path:
    return _PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")


def _imported(source: Path) -> list[str]:
    """Names that a module imports from its own package: modules, and things that are none."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _PACKAGE.name:
            found += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def generation() -> str:
    """Names the folder of a store: another schema, grammar or way of reading files is another generation.
    Blocks for some hundredths of a second."""
    digest = hashlib.blake2b(digest_size=6)
    sources = [_source(name) for name in reading_modules()]
    sources += sorted((_PACKAGE / "parsing" / "queries").rglob("*.scm"))
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    deciding = ("tree-sitter", "detect-secrets")
    versions = sorted(
        f"{distribution.name}={distribution.version}"
        for distribution in importlib.metadata.distributions()
        if distribution.name.lower().replace("_", "-").startswith(deciding)
    )
    digest.update("\n".join(dict.fromkeys(versions)).encode())
    return f"v{SCHEMA_VERSION}-{digest.hexdigest()}"
