"""Keeps the store fast: indexes new rows and compacts. What is not needed any longer is `forgetting`'s."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

import pyarrow as pa

from indexer.searching.fulltext import READ_AT_MOST
from indexer.store import drafts, forgetting, reader
from indexer.store.contents import STORE_ERRORS
from indexer.store.lance import BTree
from indexer.store.store import Store

_log = logging.getLogger(__name__)

_UNINDEXED_CHUNKS = 2_000
"""That full text searches in memory rather than having them indexed, which takes 0.2 s for 10,000."""

_UNINDEXED_SHARE = 0.05
"""The same of a large store, where indexing takes longer: every time, the whole index is written anew."""

_WRITES = 40
"""Each leaves a version and small files behind; 600 of them made reading five times slower."""

_MOST_WRITES = 120
"""Of a burst of saves: some 25 small files of each table, by which looking up a name takes 1 ms longer. Each time, the
whole store is written anew, and whoever asks meanwhile waits three times as long."""

_PUT_OFF_WRITES = 4 * _MOST_WRITES
"""While somebody asks. More would make reading slower than what is put off."""

_ASKED_S = 2.0
"""After a question of somebody who may have more."""

_FLAT_REFERENCES = 200_000
"""Rows below which finding a name by looking at all of them takes a few milliseconds."""

_STALE_SHARE = 0.2
"""Of a table's rows, when its other indexes are made anew."""

_LOG_SHARE = 2
"""The manifest's log is shortened when it has this many times more rows than there are paths."""
_LEAST_LOG_ROWS = 10_000


_SUPERSEDED = timedelta(seconds=2)
"""In a burst of saves each version is soon followed by another, and each index is a new file: a reader that is
slower than this reads again (`reader.run`), and the disk stays bounded."""


def index_text(store: Store, keep: timedelta = READ_AT_MOST) -> None:
    """Takes what was written into the full-text index, unless memory may as well go on searching it. Raises one
    of STORE_ERRORS."""
    with store.lock:
        indexed = store.text.indexed
        most = max(_UNINDEXED_CHUNKS, _UNINDEXED_SHARE * indexed)
        if store.text.uncovered or store.text.unindexed > most:
            store.text.index(store.known, keep)
            store.wrote()
            store.litter = store.litter or indexed > _UNINDEXED_CHUNKS  # what was indexed is there twice now


def keep_up(store: Store) -> None:
    """After each write of a burst of saves, which leaves no quiet moment: full text and small files stay within
    bounds. Nothing while a pass over a whole root is under way, which does this at its end."""
    if store.bulk:
        return
    if len(store.drafts) > drafts.MOST:
        forgetting.forget_drafts(store, drafts.LEAST)  # before they are indexed
    index_text(store, _SUPERSEDED)
    store.text.digest()
    asked = time.monotonic() - store.text.asked_s < _ASKED_S
    if store.writes >= (_PUT_OFF_WRITES if asked else _MOST_WRITES):
        compact(store, _SUPERSEDED)


def due(store: Store) -> bool:
    """Whether there is something to tidy."""
    return store.writes >= _WRITES or store.litter


def tidy(store: Store, keep: timedelta = READ_AT_MOST) -> None:
    """Everything in order. For quiet moments: a second for 100,000 rows."""
    with store.lock:
        index_text(store)
        _index_names(store)
        _shorten_log(store)
        compact(store, keep)


def compact(store: Store, keep: timedelta = READ_AT_MOST) -> None:
    """Makes few files of many and removes versions older than `keep`; younger ones are left as litter."""
    with store.lock:
        young = time.monotonic() - store.changed_s < keep.total_seconds()
        for name, table in store.tables.items():
            try:
                # without an age, optimize() only adds to the disk
                table.optimize(cleanup_older_than=keep)
            except STORE_ERRORS as failed:
                _log.warning("table %s is not compacted this time: %s", name, failed)
        store.writes, store.litter = 0, young


def _index_names(store: Store) -> None:
    for column in ("name", "key"):
        _index(store, store.references, column, BTree(), _FLAT_REFERENCES)


def _index(store: Store, table: Any, column: str, configuration: Any, least_rows: int) -> None:
    rows = table.count_rows()
    if rows < least_rows:
        return
    statistics = table.index_stats(f"{column}_idx")
    if statistics is None or statistics.num_unindexed_rows > rows * _STALE_SHARE:
        table.create_index(column, config=configuration, replace=True)
        store.wrote()


def _shorten_log(store: Store) -> None:
    """Leaves one row of the manifest for each path, in one new version of the table."""
    rows = store.manifest_table.count_rows()
    if rows < _LEAST_LOG_ROWS:
        return
    whole = store.manifest_table.search().limit(None).to_arrow()
    last = reader.last_rows(whole)
    if rows > _LOG_SHARE * last.num_rows:
        store.manifest_table.add(pa.table(last), mode="overwrite")
        store.wrote()
