"""Rows that searches have found a moment ago: a question that is nearly the last one finds nearly the same, and to read
rows takes longer than to find them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any

from indexer.store import reader
from indexer.store.contents import STORE_ERRORS

COLUMNS = ("key", "text_key", "start_line", "end_line", "symbol", "text")

KEPT_CHARACTERS = 8_000_000
"""Of texts, some 10,000 chunks."""

Values = tuple[str, str, int, int, str, str]
"""Of `COLUMNS`."""


class RowMemory:
    """Rows of one table by their row ids. LanceDB gives no id twice, and what is under one never changes, though it may
    go. From any thread."""

    def __init__(self, table: Any, limit: int = KEPT_CHARACTERS) -> None:
        self._table = table
        self._limit = limit
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Values] = OrderedDict()
        self._held = 0

    def of(self, ids: Sequence[int]) -> dict[int, Values]:
        """Blocks. Those that are there still; what is not known is read. Raises one of STORE_ERRORS."""
        found: dict[int, Values] = {}
        with self._lock:
            for row in ids:
                known = self._known.get(row)
                if known is not None:
                    self._known.move_to_end(row)
                    found[row] = known
        missing = [row for row in ids if row not in found]
        if missing:
            read = self._read(missing)
            found |= read
            self._keep(read)
        return found

    def _read(self, ids: Collection[int]) -> dict[int, Values]:
        try:
            rows = self._table.take_row_ids(list(ids)).select(list(COLUMNS)).with_row_id().to_arrow()
        except STORE_ERRORS as failed:
            if not reader.went_away(failed):
                raise
            return {}
        columns = (rows[name].to_pylist() for name in COLUMNS)
        return dict(zip(rows["_rowid"].to_pylist(), zip(*columns, strict=True), strict=True))

    def _keep(self, rows: dict[int, Values]) -> None:
        with self._lock:
            for row, values in rows.items():
                if row not in self._known:
                    self._known[row] = values
                    self._held += len(values[-1])
            while self._held > self._limit:
                _, dropped = self._known.popitem(last=False)
                self._held -= len(dropped[-1])
