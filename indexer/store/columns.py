"""The Arrow tables that the store appends, made column by column from packed rows."""

# pyarrow has no types of its own
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from indexer.store import schema
from indexer.store.contents import ManifestEntry
from indexer.store.rows import ContentRows

_encoder = msgspec.msgpack.Encoder()


def files(rows: Sequence[ContentRows], stored_s: int) -> pa.Table:
    columns = (
        [row.key for row in rows],
        [stored_s] * len(rows),
        [_encoder.encode(row.content) for row in rows],
    )
    return _table(schema.FILES, columns)


def references(rows: Sequence[ContentRows]) -> pa.Table:
    columns = (
        _repeated(rows, [len(row.reference_names) for row in rows]),
        _joined(row.reference_names for row in rows),
        _joined(row.reference_sites for row in rows),
    )
    return _table(schema.REFERENCES, columns)


def chunks(rows: Sequence[ContentRows]) -> pa.Table:
    columns = (
        _repeated(rows, [len(row.starts) for row in rows]),
        _joined(row.content.hex_text_keys() for row in rows),
        _joined(row.starts for row in rows),
        _joined(row.ends for row in rows),
        _joined(row.symbols for row in rows),
        _joined(row.kinds for row in rows),
        _joined(row.ordinals for row in rows),
        _joined(row.texts for row in rows),
        _joined(row.words for row in rows),
    )
    return _table(schema.CHUNKS, columns)


def manifest(changes: Mapping[str, Mapping[str, ManifestEntry | None]], serial: int) -> pa.Table:
    """`changes` by root and path; None: the path is gone."""
    gone = ManifestEntry("", 0, 0)
    rows = [
        (root, path, entry or gone) for root, of_root in changes.items() for path, entry in of_root.items()
    ]
    columns = (
        [root for root, _, _ in rows],
        [path for _, path, _ in rows],
        [entry.key for _, _, entry in rows],
        [entry.size for _, _, entry in rows],
        [entry.mtime_ns for _, _, entry in rows],
        [serial] * len(rows),
    )
    return _table(schema.MANIFEST, columns)


def _repeated(rows: Sequence[ContentRows], counts: Sequence[int]) -> list[str]:
    return _joined([row.key] * count for row, count in zip(rows, counts, strict=True))


def _joined(parts: Iterable[Sequence[Any]]) -> list[Any]:
    return list(itertools.chain.from_iterable(parts))


def _table(table_schema: pa.Schema, columns: Sequence[Sequence[Any]]) -> pa.Table:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, table_schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=table_schema)
