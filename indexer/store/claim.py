"""Who may write to a folder of the store: the one process that holds its lock."""

from __future__ import annotations

import time
from pathlib import Path

from indexer.launch import try_lock
from indexer.store.contents import StoreError

WRITER_LOCK = "writer.lock"
"""In the folder of a generation, held by the one process that has opened it. The service's own lock is of one
runtime folder: a container or another machine with the same cache folder has another."""

_PATIENCE_S = 1.0
"""A service that is just leaving lets go within this; so does a program that it was just starting, which has a copy
of the descriptor for a moment."""


def try_claim(folder: Path) -> int | None:
    """An open descriptor that holds the folder, or None when somebody else does."""
    return try_lock(folder / WRITER_LOCK)


def claim(folder: Path) -> int:
    """Blocks. An open descriptor that holds the folder. Raises StoreError when somebody else does."""
    give_up_s = time.monotonic() + _PATIENCE_S
    while (held := try_claim(folder)) is None and time.monotonic() < give_up_s:
        time.sleep(_PATIENCE_S / 20)
    if held is None:
        raise StoreError(
            "another index service (of a container, another machine or another runtime folder) writes to this "
            f"store: end it, or set XDG_CACHE_HOME to a folder of its own for one of them. Store: {folder}"
        )
    return held
