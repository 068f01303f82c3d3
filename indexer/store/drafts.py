"""Contents that were saved and soon saved over: kept for an undo, and gone from the store after some more saves.

Somebody who works leaves a hundred of them a day, and the tables would soon hold more of them than of what lives: every
question about the rest would take twice as long. What a file was before somebody began to save it is none: branches and
`git checkout` come back to that."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

MOST = 64
"""That are kept until some are dropped, which rewrites a little of each table."""

LEAST = 16
"""The newest that stay then."""


class Drafts:
    """Of one process: what it does not live to drop is forgotten as any other content that no root has. From any
    thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._saved: set[str] = set()
        """Contents that live and came by a save."""
        self._superseded: dict[str, None] = {}
        """The newest last."""
        self.text_keys: set[str] = set()
        """Of chunks of dropped ones, whose vectors nobody may need any longer. For who holds the store's lock."""

    def __len__(self) -> int:
        return len(self._superseded)

    def saved(self, changes: Iterable[tuple[str, str]], fresh: Collection[str]) -> None:
        """Single files went from one content to another, and `fresh` were not known before. An empty one: there is no
        such file."""
        with self._lock:
            for before, now in changes:
                if not now or before == now:
                    continue
                if now in fresh or now in self._superseded:
                    self._saved.add(now)
                self._superseded.pop(now, None)
                if before in self._saved:
                    self._saved.discard(before)
                    self._superseded[before] = None

    def take(self, kept: int) -> list[str]:
        """All but so many of the newest, which are drafts no longer."""
        with self._lock:
            gone = list(self._superseded)[: max(len(self._superseded) - kept, 0)]
            for key in gone:
                del self._superseded[key]
            return gone
