"""Collects what watchers see and reports it in batches: one save at once, many changes when they have settled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import msgspec

SOON_S = 0.004
"""A save is complete when it is seen; this long, what belongs to it may still come (the rename of an atomic
save)."""

SETTLE_S = 0.075
"""What may be half of something (a file is gone, another is created) waits for its other half; a person does not
notice it."""

_LONGEST_UNSETTLED_S = 1.0
"""While a build keeps writing, changes are taken in steps of this."""

_FEW = 8
"""Paths within `SETTLE_S`: more are no person's saves, and better taken together."""

_LOCKED_SETTLE_S = 0.3
"""While git changes the working tree (`index.lock` is there), changes are taken when it is done, or when nothing
has come for so long: a lock may be left behind, or be held while somebody writes a commit's message."""

_LONGEST_LOCKED_S = 10.0

_UNLOCKED_S = 0.01
"""After the lock is gone. HEAD is written then, and a rebase takes the lock for its next commit."""

_EARLY_S = 0.001
"""A timer of the loop may come that much too early."""

_NEVER_S = float("inf")

MOST_PATHS = 5_000
"""A batch of more is no longer cheaper to follow path by path than by comparing everything."""


class Changes(msgspec.Struct):
    """What happened since the last report. Paths are POSIX and relative to the root."""

    paths: set[str] = msgspec.field(default_factory=set[str])
    """Each may have been written, created or removed."""
    rescan: bool = False
    """Not everything that happened is named here: the whole listing has to be compared."""
    folders: set[str] = msgspec.field(default_factory=set[str])
    """Folders that came, went or were moved, with all that is in them."""
    git: bool = False
    """Which files git tracks may have changed."""

    def add(self, other: Changes) -> None:
        self.paths |= other.paths
        self.folders |= other.folders
        self.rescan |= other.rescan
        self.git |= other.git

    def __bool__(self) -> bool:
        return bool(self.paths or self.folders or self.rescan or self.git)


OnChanges = Callable[[Changes], None]


class Batcher:
    """Collects from any thread, reports on the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        report: OnChanges,
        knows: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        """`knows`: whether a path is indexed; from any thread."""
        self._loop = loop
        self._report = report
        self.knows = knows
        self._lock = threading.Lock()
        self._soon: set[str] = set()
        self._soon_first_s = self._soon_last_s = 0.0
        self._settling = Changes()
        self._settling_first_s = self._settling_last_s = 0.0
        self._recent: dict[str, float] = {}
        """Path → when it was last seen, of those within `SETTLE_S`."""
        self._git_locks: set[str] = set()
        self._unlocked_s: float | None = None
        """When the last lock went."""
        self._announced = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, path: str | None, *, soon: bool = False) -> None:
        """One changed path (`soon`: it is complete as it is), or None for: compare everything."""
        now = self._loop.time()
        with self._lock:
            if path is None or len(self._settling.paths) + len(self._soon) >= MOST_PATHS:
                self._settle(Changes(rescan=True), now)
            elif soon and self._is_one_of_few(path, now):
                self._soon_first_s = self._soon_first_s if self._soon else now
                self._soon_last_s = now
                self._soon.add(path)
            else:
                self._settle(Changes({path}), now)
            self._announce_soon()

    def add_folder(self, path: str) -> None:
        """A folder came, went or was moved."""
        with self._lock:
            self._settle(Changes(folders={path}), self._loop.time())
            self._announce_soon()

    def add_git(self) -> None:
        """Git has replaced its index or HEAD."""
        with self._lock:
            self._settle(Changes(git=True), self._loop.time())
            self._announce_soon()

    def git_lock(self, folder: str, held: bool) -> None:
        """Git takes, or lets go of, the lock in this folder of its own."""
        with self._lock:
            if held:
                self._git_locks.add(folder)
                self._unlocked_s = None
            elif folder in self._git_locks:
                self._git_locks.discard(folder)
                self._unlocked_s = None if self._git_locks else self._loop.time()
            self._announce_soon()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _settle(self, changes: Changes, now: float) -> None:
        self._settling_first_s = self._settling_first_s if self._settling else now
        self._settling_last_s = now
        self._settling.add(changes)

    def _is_one_of_few(self, path: str, now: float) -> bool:
        self._recent[path] = now
        if len(self._recent) > _FEW:
            self._recent = {it: seen for it, seen in self._recent.items() if now - seen < SETTLE_S}
        return len(self._recent) <= _FEW

    def _announce_soon(self) -> None:
        if not self._announced and not self._closed:
            self._announced = True
            self._loop.call_soon_threadsafe(self._announce)

    def _announce(self) -> None:
        """On the loop: sets the time of the next report anew."""
        with self._lock:
            self._announced = False
            due = min(self._due())
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._flush) if due < _NEVER_S else None

    def _due(self) -> tuple[float, float]:
        """When to report what is complete, and when everything."""
        soon = min(self._soon_last_s + SOON_S, self._soon_first_s + SETTLE_S) if self._soon else _NEVER_S
        settled = _NEVER_S
        if self._settling:
            settled = min(self._settling_last_s + SETTLE_S, self._settling_first_s + _LONGEST_UNSETTLED_S)
        first = min(
            self._soon_first_s if self._soon else _NEVER_S,
            self._settling_first_s if self._settling else _NEVER_S,
        )
        if first == _NEVER_S:
            return _NEVER_S, _NEVER_S
        if self._git_locks:
            last = max(self._soon_last_s if self._soon else 0.0, self._settling_last_s)
            return _NEVER_S, min(last + _LOCKED_SETTLE_S, first + _LONGEST_LOCKED_S)
        if self._unlocked_s is not None and first <= self._unlocked_s + _UNLOCKED_S:
            return _NEVER_S, self._unlocked_s + _UNLOCKED_S
        return soon, settled

    def _flush(self) -> None:
        self._timer = None
        with self._lock:
            if self._closed:
                return
            _, settled = self._due()
            changes = Changes(self._soon)
            self._soon = set()
            if settled <= self._loop.time() + _EARLY_S:
                changes.add(self._settling)
                self._settling = Changes()
                self._unlocked_s = None
            else:
                self._settling.paths -= changes.paths
            if self._settling:
                self._announce_soon()
        self._report(changes)
