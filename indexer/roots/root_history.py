"""The history of one root: read in the background when its repository moves, with this session's edits on top."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from indexer.history import branch, commits
from indexer.history.branch import Branch
from indexer.history.edits import EditLog
from indexer.history.history import History
from indexer.history.past import Past
from indexer.roots.live import LiveFiles, LiveRoot, TextCache
from indexer.store.contents import ManifestEntry

_log = logging.getLogger(__name__)

_KEPT_PASTS = 4
"""Commits that are checked out in turn, a few megabytes each."""

_KEPT_TEXTS = 64
"""Of documents that are not unsaved any longer, or in another editor, as they were seen last."""

MOST_SAVED = 20
"""Files that change at once: more are a checkout's or a formatter's doing, not this user's editing."""

SETTLING_S = 5.0
"""Whoever wants history to be whole waits no longer: a base in another order is better than none."""

_PAUSE_S = 1.0
"""Between two looks at the repository, while a rebase writes commit after commit."""


class _Typed(msgspec.Struct, frozen=True):
    """What was typed into a file and differed from what was saved."""

    when_s: float
    key: str
    """Of what was saved then; empty where nothing was."""
    told_key: str
    """Of what was saved when the branch was looked at: whether that is a change, the branch tells."""

    def differs(self, path: str, view: LiveFiles) -> bool:
        """Whether it is still there, unsaved or saved since, and not discarded."""
        saved, unsaved = _key(view.manifest, path), view.overlays.get(path)
        if unsaved is None:
            return saved not in (self.key, self.told_key)
        return saved == self.key or view.stored_text(path) != unsaved.text


class RootHistory:
    """`now` from any thread, the rest on the event loop."""

    def __init__(
        self,
        root: Path,
        live: Callable[[], LiveRoot],
        texts: TextCache,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.log = EditLog(clock)
        self._root = root
        self._live = live
        self._texts = texts
        self._clock = clock
        self._lock = threading.Lock()
        self._pasts: OrderedDict[str, Past] = OrderedDict()
        """By commit; of what has none, by nothing."""
        self._past, self._branch = Past(()), Branch()
        self._written_s: dict[str, float] = {}
        """What was saved since the branch was looked at."""
        self._typed: dict[str, _Typed] = {}
        """Of documents that were looked at."""
        self._before: dict[str, str] = {}
        """Text of files that were saved and not yet looked at, as they were before."""
        self._seen: OrderedDict[str, tuple[int, str]] = OrderedDict()
        """Serial and text of the unsaved documents that were looked at."""
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def start(self) -> None:
        """The repository may have moved."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"history of {self._root.name}")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def settled(self, timeout_s: float = SETTLING_S) -> None:
        """Until what is known to have moved is read, or it takes too long."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_s)

    def saved(self, keys: Mapping[str, str]) -> None:
        """These files were written; by path, the key of the content that they had before, empty for new ones."""
        if len(keys) > MOST_SAVED:
            return
        with self._lock:
            for path, key in keys.items():
                self._written_s[path] = self._clock()
                before = self._texts.get(key) if key else ""
                if before is not None:
                    self._before.setdefault(path, before)

    def now(self, view: LiveFiles) -> History:
        """With what has changed in the texts of this view. May read a few files that were just saved."""
        self._look_at(view)
        with self._lock:
            written_s, typed, own = dict(self._written_s), dict(self._typed), self._branch
        written_s |= {path: one.when_s for path, one in typed.items() if one.differs(path, view)}
        return History(
            self._past,
            Branch(own.merge_base, own.changed.union(written_s), {**own.written_s, **written_s}),
            self.log.edited,
            self.log.viewed,
        )

    def _look_at(self, view: LiveFiles) -> None:
        with self._lock:
            fresh = {
                path: document
                for path, document in view.overlays.items()
                if document.serial > self._seen.get(path, (0, ""))[0] and not document.withholds
            }
            saved = {path: before for path, before in self._before.items() if path not in view.overlays}
            for path in saved:
                del self._before[path]
        for path, before in saved.items():
            _, known = self._seen.pop(path, (0, before))
            self._typed.pop(path, None)
            self.log.changed(path, known, view.text(path) or "")
        for path, document in fresh.items():
            _, known = self._seen.get(path, (0, None))
            as_saved = view.stored_text(path)
            stored = as_saved if known is None else known
            with self._lock:
                self._seen[path] = (document.serial, document.text)
                self._seen.move_to_end(path)
                if as_saved == document.text:
                    self._typed.pop(path, None)
                else:
                    key = _key(view.manifest, path)
                    self._typed[path] = _Typed(self._clock(), key, key)
            self.log.changed(path, stored or "", document.text)
        self._forget_closed(view)

    def _forget_closed(self, view: LiveFiles) -> None:
        """What is unsaved now would be taken for an edit of all of its text if its last text were forgotten."""
        with self._lock:
            closed = [path for path in self._seen if path not in view.overlays]
            for path in closed[: max(0, len(closed) - _KEPT_TEXTS)]:
                del self._seen[path]
                self._typed.pop(path, None)

    async def _run(self) -> None:
        while self._again:
            self._again = False
            started = self._clock()
            past, found = await asyncio.to_thread(self._read)
            with self._lock:
                self._past, self._branch = past, found
                self._written_s = {
                    path: when_s for path, when_s in self._written_s.items() if when_s >= started
                }
                saved = self._live().manifest
                self._typed = {
                    path: msgspec.structs.replace(typed, told_key=_key(saved, path))
                    for path, typed in self._typed.items()
                }
            _log.info(
                "history: %d changed since %s, %.2f s",
                len(found.changed),
                found.merge_base[:12],
                self._clock() - started,
            )
            await asyncio.sleep(_PAUSE_S if self._again else 0)

    def _read(self) -> tuple[Past, Branch]:
        head = commits.head(self._root)
        if not head:
            times = {path: entry.mtime_ns / 1e9 for path, entry in self._live().manifest.items()}
            return Past.of_times(times), Branch()
        return self._past_of(head), branch.read_branch(self._root, head)

    def _past_of(self, head: str) -> Past:
        past = self._pasts.get(head)
        if past is None:
            found, whole = commits.read_log(self._root, head)
            past = Past(found)
            if not whole:
                return past  # better than none, and read again when the repository moves
        self._pasts[head] = past
        self._pasts.move_to_end(head)
        while len(self._pasts) > _KEPT_PASTS:
            self._pasts.popitem(last=False)
        return past


def _key(manifest: Mapping[str, ManifestEntry], path: str) -> str:
    entry = manifest.get(path)
    return entry.key if entry is not None else ""
