"""Files that cannot be read for what is in them: not tried again until they change or the service is started anew."""

from __future__ import annotations

from collections import OrderedDict

from indexer.children.reading import is_racy
from indexer.files.listing import ListedFile

_MOST = 10_000
"""When a parser fails in so many files it fails in its whole language; the oldest are tried again then."""


class Failures:
    """Of all roots; on the event loop."""

    def __init__(self) -> None:
        self._reasons: OrderedDict[tuple[str, ListedFile], str] = OrderedDict()

    def reason(self, root: str, file: ListedFile) -> str:
        """Why this file, as it is now, cannot be read; empty if nobody knows."""
        return self._reasons.get((root, file), "") if self._reasons else ""

    def remember(self, root: str, file: ListedFile, reason: str, read_ns: int) -> None:
        """`file` as it was listed before `read_ns`, in the time of `time.time_ns`, and read after it."""
        if is_racy(file.mtime_ns, read_ns):
            return
        self._reasons[(root, file)] = reason
        while len(self._reasons) > _MOST:
            self._reasons.popitem(last=False)
