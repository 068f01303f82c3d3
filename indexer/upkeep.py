"""Keeps the store fast and small: indexes new rows, compacts, and forgets what nobody needs."""

from __future__ import annotations

import logging
import os
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from lancedb.index import FTS, IvfFlat

from indexer.batches import batched
from indexer.contents import STORE_ERRORS
from indexer.launch import try_lock
from indexer.store import KEYS_PER_FILTER, WRITER_LOCK, Store, quoted

_log = logging.getLogger(__name__)

_UNINDEXED_ROWS = 2_000
"""Rows that full text may scan beside its index: 20,000 take 143 ms, so these take 14."""

_WRITES = 40
"""Each leaves a version and small files behind; 600 of them made reading five times slower."""

_FLAT_VECTORS = 30_000
"""Below, comparing with every vector takes under 50 ms and needs no index."""

_PARTITIONS = 256
_UNINDEXED_SHARE = 0.2

READ_AT_MOST = timedelta(seconds=30)
"""No query takes this long, so no reader is left on a version that is older."""

_KEEP_UNUSED_S = 14 * 86_400
"""A branch or a deleted file may come back; after two weeks its facts are cheaper made anew."""


def index_text(store: Store) -> None:
    """Makes full text fast for what was written. Raises one of STORE_ERRORS."""
    with store.lock:
        statistics = store.chunks.index_stats("tokens_idx")
        if statistics is None:
            _build_text_index(store)
        elif statistics.num_unindexed_rows > _UNINDEXED_ROWS:
            try:
                store.chunks.optimize()
            except STORE_ERRORS as failed:
                _log.warning("the full-text index is rebuilt, for it could not be extended: %s", failed)
                _build_text_index(store)


def _build_text_index(store: Store) -> None:
    # words are cut before (`words.words`); stop words stay in, for `not`, `for` and `is` are names in code
    configuration = FTS(with_position=False, stem=True, remove_stop_words=False)
    store.chunks.create_index("tokens", config=configuration, replace=True)
    store.writes += 1


def due(store: Store) -> bool:
    """Whether `tidy` has something to do."""
    return store.writes >= _WRITES


def tidy(store: Store, keep: timedelta = READ_AT_MOST) -> None:
    """Compacts every table and removes versions older than `keep`. For quiet moments: a second for 100,000
    rows."""
    with store.lock:
        index_text(store)
        _index_vectors(store)
        for name, table in store.tables.items():
            try:
                # without an age, optimize() only adds to the disk
                table.optimize(cleanup_older_than=keep)
            except STORE_ERRORS as failed:
                _log.warning("table %s is not compacted this time: %s", name, failed)
        store.writes = 0


def _index_vectors(store: Store) -> None:
    rows = store.vectors.count_rows()
    if rows < _FLAT_VECTORS:
        return
    statistics = store.vectors.index_stats("vector_idx")
    if statistics is None or statistics.num_unindexed_rows > rows * _UNINDEXED_SHARE:
        configuration = IvfFlat(distance_type="cosine", num_partitions=_PARTITIONS)
        store.vectors.create_index("vector", config=configuration, replace=True)


def forget(store: Store) -> None:
    """Removes roots that are gone, contents that no root has had for two weeks, and generations nobody
    uses."""
    with store.lock:
        rows = store.manifest_table.search().select(["root", "key"]).limit(None).to_arrow()
        roots, keys = rows["root"].to_pylist(), rows["key"].to_pylist()
        gone = {root for root in set(roots) if not Path(root).is_dir()}
        for root in gone:
            _delete(store, store.manifest_table, "root", [root])
        used = {key for root, key in zip(roots, keys, strict=True) if root not in gone}
        old = f"stored_s < {int(time.time()) - _KEEP_UNUSED_S}"
        stale = store.files.search().where(old).select(["key"]).limit(None).to_arrow()["key"].to_pylist()
        unused = sorted(set(stale) - used)
        # the `files` row goes first: a content is whole or not there
        store.known.difference_update(unused)
        for table in (store.files, store.definitions, store.references, store.chunks):
            _delete(store, table, "key", unused)
        if unused:
            texts = store.chunks.search().select(["text_key"]).limit(None).to_arrow()["text_key"].to_pylist()
            orphans = sorted(store.embedded - set(texts))
            _delete(store, store.vectors, "text_key", orphans)
            store.embedded.difference_update(orphans)
    _forget_generations(store.folder)


def _delete(store: Store, table: Any, column: str, values: list[str]) -> None:
    for group in batched(values, KEYS_PER_FILTER):
        table.delete(f"{column} IN ({quoted(group)})")
        store.writes += 1


def _forget_generations(current: Path) -> None:
    for sibling in current.parent.iterdir():
        if sibling == current or not sibling.is_dir() or not _unused(sibling):
            continue
        claim = try_lock(sibling / WRITER_LOCK)
        if claim is not None:  # else a service of another version has been running for weeks
            # what cannot be removed now is tried at the next start
            shutil.rmtree(sibling, ignore_errors=True)
            os.close(claim)


def _unused(generation: Path) -> bool:
    return time.time() - generation.stat().st_mtime > _KEEP_UNUSED_S
