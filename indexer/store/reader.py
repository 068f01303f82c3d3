"""Reads the store's tables: plain functions over LanceDB tables that block."""

# pyarrow has no types of its own
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from indexer.batches import batched
from indexer.parsing.tags import Site
from indexer.store import schema
from indexer.store.contents import STORE_ERRORS, ManifestEntry, StoredContent
from indexer.store.sitecache import PackedSites

_log = logging.getLogger(__name__)

_compute: Any = pyarrow.compute  # made at import, so that type checkers see nothing in it

KEYS_PER_FILTER = 500
"""Literals in one IN (…): planning time grows with them, 500 stay under a few milliseconds."""

_SCAN_ABOVE_KEYS = 4_000
"""From here on one scan of the whole column beats many filtered queries."""

_content = msgspec.msgpack.Decoder(StoredContent)


_GONE = ("not found", "No such file")
"""What LanceDB's errors hold when a version was removed while it was being read."""


def run(query: Any) -> pa.Table:
    """The rows of a query. What upkeep has removed under it is read again, from the version after."""
    try:
        return query.to_arrow()
    except STORE_ERRORS as failed:
        if not went_away(failed):
            raise
        _log.info("a version of the store went away while it was being read: %s", failed)
        return query.to_arrow()


def went_away(failed: Exception) -> bool:
    """Whether a version was removed while it was being read."""
    return any(said in str(failed) for said in _GONE)


class ChunkRow(msgspec.Struct, frozen=True):
    """A chunk as search sees it."""

    key: str
    text_key: str
    start_line: int
    end_line: int
    symbol: str
    text: str
    score: float = 0.0


def quoted(values: Iterable[str]) -> str:
    """SQL literals for an IN (…)."""
    return ",".join("'" + value.replace("'", "''") + "'" for value in values)


def column(table: Any, name: str) -> list[Any]:
    """The distinct values of a column."""
    return _compute.unique(run(table.search().select([name]).limit(None))[name]).to_pylist()


def sample(table: Any, name: str, count: int) -> list[Any]:
    """Some values of a column."""
    return run(table.search().select([name]).limit(count))[name].to_pylist()


def manifest(table: Any, root: str) -> dict[str, ManifestEntry]:
    """What the log says last about each path of `root`."""
    rows = _matching(table, f"root = {quoted([root])}", ["path", "key", "size", "mtime_ns", "serial"])
    columns = [rows.sort_by("serial")[name].to_pylist() for name in ("path", "key", "size", "mtime_ns")]
    last = {path: (key, size, mtime_ns) for path, key, size, mtime_ns in zip(*columns, strict=True)}
    return {path: ManifestEntry(*entry) for path, entry in last.items() if entry[0]}


def last_rows(log: pa.Table) -> pa.Table:
    """Of the rows of a manifest's log those that count."""
    ordered = log.sort_by("serial")
    places = {
        place: row
        for row, place in enumerate(
            zip(ordered["root"].to_pylist(), ordered["path"].to_pylist(), strict=True)
        )
    }
    last = ordered.take(pa.array(sorted(places.values()), pa.int64()))  # typed, since it may be empty
    return last.filter(_compute.not_equal(last["key"], ""))


def keys_by_root(table: Any) -> dict[str, set[str]]:
    """The contents that the manifest of each root names."""
    rows = last_rows(run(table.search().select(["root", "path", "key", "serial"]).limit(None)))
    found: dict[str, set[str]] = {}
    for root, key in zip(rows["root"].to_pylist(), rows["key"].to_pylist(), strict=True):
        found.setdefault(root, set()).add(key)
    return found


def named(table: Any, keys: Collection[str]) -> set[str]:
    """Those of `keys` that the manifest of some root names; `table` is its log."""
    paths = {
        path
        for group in batched(sorted(keys), KEYS_PER_FILTER)
        for path in _matching(table, f"key IN ({quoted(group)})", ["path"])["path"].to_pylist()
    }
    last: set[str] = set()
    for group in batched(sorted(paths), KEYS_PER_FILTER):
        rows = _matching(table, f"path IN ({quoted(group)})", ["root", "path", "key", "serial"])
        last.update(last_rows(rows)["key"].to_pylist())
    return last.intersection(keys)


def ages(table: Any) -> dict[str, int]:
    """When each content was stored, in Unix time."""
    rows = run(table.search().select(["key", "stored_s"]).limit(None))
    return dict(zip(rows["key"].to_pylist(), rows["stored_s"].to_pylist(), strict=True))


def contents(table: Any, keys: Collection[str]) -> dict[str, StoredContent]:
    """The contents of these keys that are there."""
    found = (
        _content.decode(packed)
        for rows in rows_of(table, keys, ["key", "content"])
        for packed in rows["content"].to_pylist()
    )
    return {content.key: content for content in found}


def present(table: Any, keys: Collection[str]) -> set[str]:
    """Those of `keys` that have a row."""
    return {key for rows in rows_of(table, keys, ["key"]) for key in rows["key"].to_pylist()}


def references_to(table: Any, name: str, limit: int | None) -> list[tuple[str, list[Site]]]:
    query = table.search().where(f"name = {quoted([name])}").select(["key", "sites"]).limit(limit)
    rows = run(query)
    packed = zip(rows["key"].to_pylist(), rows["sites"].to_pylist(), strict=True)
    return [(key, PackedSites({name: sites})[name]) for key, sites in packed]


def keys_referring(table: Any, name: str) -> list[str]:
    return _matching(table, f"name = {quoted([name])}", ["key"])["key"].to_pylist()


def names_by_use(table: Any, keys: Sequence[str]) -> dict[str, int]:
    """Of these contents, how many refer to each name."""
    rows = run(table.search().select(["name", "key"]).limit(None))
    counted = _compute.value_counts(
        rows.filter(_compute.is_in(rows["key"], pa.array(keys, pa.string())))["name"]
    )
    return {each["values"].as_py(): each["counts"].as_py() for each in counted}


def references_by_content(table: Any, keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """(key, name that it refers to), for each of these contents."""
    for rows in rows_of(table, keys, ["key", "name"]):
        yield from zip(rows["key"].to_pylist(), rows["name"].to_pylist(), strict=True)


def sites_of(table: Any, keys: Collection[str]) -> dict[str, PackedSites]:
    """By content and name."""
    found: dict[str, dict[str, bytes]] = {}
    for rows in rows_of(table, keys, ["key", "name", "sites"]):
        columns = (rows[name].to_pylist() for name in ("key", "name", "sites"))
        for key, name, sites in zip(*columns, strict=True):
            found.setdefault(key, {})[name] = sites
    return {key: PackedSites(of_content) for key, of_content in found.items()}


def chunk_texts(table: Any, text_keys: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for group in batched(text_keys, KEYS_PER_FILTER):
        rows = _matching(table, f"text_key IN ({quoted(group)})", ["text_key", "text"])
        found.update(zip(rows["text_key"].to_pylist(), rows["text"].to_pylist(), strict=True))
    return found


def vectors(table: Any, dimensions: int) -> Iterator[tuple[list[str], NDArray[np.int8], NDArray[np.float32]]]:
    """(text keys, levels [n, dimensions], scales [n]) of all of a table, a batch at a time."""
    for batch in table.search().select(["text_key", "vector"]).limit(None).to_batches():
        yield batch["text_key"].to_pylist(), *schema.unpacked_vectors(batch["vector"], dimensions)


def rows_of(table: Any, keys: Collection[str], columns: Sequence[str]) -> Iterator[pa.Table]:
    if len(keys) > _SCAN_ABOVE_KEYS:
        rows = run(table.search().select(list(columns)).limit(None))
        yield rows.filter(_compute.is_in(rows["key"], pa.array(list(keys), pa.string())))
        return
    for group in batched(sorted(keys), KEYS_PER_FILTER):
        yield _matching(table, f"key IN ({quoted(group)})", columns)


def _matching(table: Any, condition: str, columns: Sequence[str]) -> pa.Table:
    return run(table.search().where(condition).select(list(columns)).limit(None))
