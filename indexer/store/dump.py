"""Everything that the store knows about a root as plain rows in one order, so that two stores can be compared."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from indexer.store import reader, schema

if TYPE_CHECKING:
    from indexer.store.store import Store

Row = tuple[Any, ...]


def dump(store: Store, root: str) -> dict[str, list[Row]]:
    """Rows by table: of the manifest of `root` (without the times of files, which say nothing about what is
    known) and of the contents that it names. Blocks. What waits is written first."""
    store.flush()
    manifest = store.manifest(root)
    keys = {entry.key for entry in manifest.values()}
    return {
        "manifest": sorted((path, entry.key, entry.size) for path, entry in manifest.items()),
        "files": sorted((key, content) for key, content in _rows(store.files, keys, ["key", "content"])),
        "references": sorted(_rows(store.references, keys, schema.REFERENCES.names)),
        "chunks": sorted(_rows(store.chunks, keys, schema.CHUNKS.names), key=repr),
    }


def strays(store: Store) -> dict[str, int]:
    """Rows that belong to no whole content, or to one that has them twice, by table: none in a store that is
    whole. Blocks."""
    found: dict[str, int] = {}
    files = _rows(store.files, store.known, ["key"])
    found["files"] = len(files) - len(store.known)
    for name, table, columns in (
        ("references", store.references, ["key", "name"]),
        ("chunks", store.chunks, ["key", "start_line", "end_line", "text_key"]),
    ):
        rows = table.search().select(columns).limit(None).to_arrow()
        values = list(zip(*(rows[column].to_pylist() for column in columns), strict=True))
        found[name] = len(values) - len(set(values)) + sum(value[0] not in store.known for value in values)
    return found


def _rows(table: Any, keys: Collection[str], columns: list[str]) -> list[Row]:
    return [
        row
        for rows in reader.rows_of(table, keys, columns)
        for row in zip(*(rows[column].to_pylist() for column in columns), strict=True)
    ]
