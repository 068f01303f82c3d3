"""A store whose files are damaged: told from a disk that is full or closed to us, set aside, and made anew.

Nothing in the store is irreplaceable, so nothing is repaired that cannot be read."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from indexer.store.contents import STORE_ERRORS, StoreError, explain

if TYPE_CHECKING:
    from indexer.store.store import Store

_log = logging.getLogger(__name__)

_NOT_DAMAGE = tuple(
    os.strerror(number)
    for number in (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
    )
)
"""What LanceDB's errors hold of the system's own, which have no number there: these pass, or are for a person to
mend."""

_ASIDE = "damaged"
_ROWS_AT_ONCE = 10_000

_ATTEMPTS = 2
"""That fail before a table is called damaged: the verdict costs the whole store."""

_STORE = ("lancedb.", "pyarrow.", "indexer.store.")
"""Modules of which one is among the callers of whatever fails in the store."""


def suspicious(failed: Exception) -> bool:
    """Whether damage may be behind one of STORE_ERRORS."""
    if isinstance(failed, StoreError) or (isinstance(failed, OSError) and failed.errno is not None):
        return False
    return not any(said in str(failed) for said in _NOT_DAMAGE)


def raised_by_store(failed: Exception) -> bool:
    """Whether this came out of the store. Its errors have the types of many others: a question that makes no sense
    is a ValueError, too, and an answer that was late an OSError."""
    return any(
        str(frame.f_globals.get("__name__", "")).startswith(_STORE)
        for frame, _ in walk_tb(failed.__traceback__)
    )


def found_in(store: Store) -> str:
    """What is damaged in a store that is open, else empty. Reads all of it: blocks for seconds per gigabyte, and
    every writer for the time that one table takes."""
    for name in list(store.tables):
        with store.lock:  # else upkeep might remove what is being read
            table = store.tables.get(name)
            harm = _harm(table) if table is not None else ""
        if harm:
            return f"table {name}: {harm}"
    return ""


def _harm(table: Any) -> str:
    """Why a table cannot be read, else empty."""
    harm = ""
    for _ in range(_ATTEMPTS):
        try:
            for _ in table.search().limit(None).to_batches(batch_size=_ROWS_AT_ONCE):
                pass
            return ""
        except STORE_ERRORS as failed:
            if not suspicious(failed):
                return ""
            harm = explain(failed)
    return harm


def set_aside(generation: Path) -> None:
    """Moves a generation out of the way, in the place of what was set aside before. Raises OSError."""
    aside = generation.with_name(_ASIDE)
    shutil.rmtree(aside, ignore_errors=True)
    generation.rename(aside)
    _log.error("the damaged store is kept as %s for two weeks, a new one is made", aside)
