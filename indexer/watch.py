"""Sees what changes under a root and reports it in settled batches.

On Linux one shared inotify queue holds a watch for each folder that is not ignored: no thread polls, and
ignored
trees cost nothing. Elsewhere watchdog's recursive observer does it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

SETTLE_S = 0.075
"""An atomic save is three events within a few milliseconds; a person does not notice this wait."""

_LONGEST_UNSETTLED_S = 1.0
"""While a checkout or a build keeps writing, changes are taken in steps of this."""

MOST_PATHS = 2_000
"""A batch of more is a checkout: comparing with the listing is then cheaper than path by path."""

_RESCAN_NAMES = frozenset({".gitignore", ".forewordignore"})
_GIT_PATHS = frozenset({"HEAD", "index", "info", "info/exclude"})
"""What git replaces when it switches branches or starts to track a file; and `exclude`, which people
write."""
_GIT_NAMES = frozenset(path.rpartition("/")[2] for path in _GIT_PATHS)


class Changes(msgspec.Struct):
    """What happened since the last report."""

    paths: set[str] = msgspec.field(default_factory=set[str])
    """POSIX, relative to the root; each may have been written, created or removed."""
    rescan: bool = False
    """Not everything that happened is in `paths`: the whole listing has to be compared."""


OnChanges = Callable[[Changes], None]


class Batcher:
    """Collects from any thread, reports on the event loop once things have settled."""

    def __init__(self, loop: asyncio.AbstractEventLoop, report: OnChanges) -> None:
        self._loop = loop
        self._report = report
        self._lock = threading.Lock()
        self._changes = Changes()
        self._announced = False
        self._first_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, path: str | None) -> None:
        """One changed path, or None for: compare everything."""
        with self._lock:
            if self._closed:
                return
            if path is None or len(self._changes.paths) >= MOST_PATHS:
                self._changes.rescan = True
            else:
                self._changes.paths.add(path)
            if self._announced:
                return
            self._announced = True
        self._loop.call_soon_threadsafe(self._announce)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _announce(self) -> None:
        now = self._loop.time()
        with self._lock:
            self._announced = False
        if self._timer is None:
            self._first_s = now
        else:
            self._timer.cancel()
        due = min(now + SETTLE_S, self._first_s + _LONGEST_UNSETTLED_S)
        self._timer = self._loop.call_at(due, self._flush)

    def _flush(self) -> None:
        self._timer = None
        with self._lock:
            changes, self._changes = self._changes, Changes()
            if self._closed:
                return
        self._report(changes)


class ObserverWatch:
    """Watches a whole tree with the platform's recursive facility."""

    def __init__(self, root: Path, batcher: Batcher) -> None:
        self._root = root
        self._batcher = batcher
        self._observer = Observer()

    def update(self, folders: set[str], git_folders: Sequence[Path]) -> bool:
        """Starts once; folders are told apart when events come. Raises OSError."""
        if not self._observer.is_alive():
            kinds: list[type[FileSystemEvent]] = [
                FileClosedEvent,
                FileCreatedEvent,
                FileDeletedEvent,
                FileModifiedEvent,
                FileMovedEvent,
            ]
            handler = _Handler(self._root, self._batcher)
            self._observer.schedule(handler, str(self._root), recursive=True, event_filter=kinds)
            self._observer.start()
        return False

    def close(self) -> None:
        self._observer.stop()


class _Handler(FileSystemEventHandler):
    def __init__(self, root: Path, batcher: Batcher) -> None:
        self._root = root
        self._batcher = batcher

    def on_any_event(self, event: FileSystemEvent) -> None:
        for raw in (event.src_path, event.dest_path):
            path = Path(os.fsdecode(raw)) if raw else None
            if path is None or not path.is_relative_to(self._root):
                continue
            relative = path.relative_to(self._root).as_posix()
            if relative.startswith(".git/"):
                if relative.removeprefix(".git/") in _GIT_PATHS:
                    self._batcher.add(None)
            else:
                self._batcher.add(None if path.name in _RESCAN_NAMES else relative)


if sys.platform == "linux":
    from watchdog.observers.inotify_c import (
        CallbackId,
        InotifyConstants,
        InotifyEvent,
        InotifyFD,
        Mask,
        WatchDescriptor,
    )

    _MASK = Mask(
        InotifyConstants.IN_CLOSE_WRITE
        | InotifyConstants.IN_CREATE
        | InotifyConstants.IN_DELETE
        | InotifyConstants.IN_MOVED_FROM
        | InotifyConstants.IN_MOVED_TO
        | InotifyConstants.IN_DELETE_SELF
        | InotifyConstants.IN_MOVE_SELF
        | InotifyConstants.IN_ONLYDIR
        | InotifyConstants.IN_DONT_FOLLOW
        | InotifyConstants.IN_EXCL_UNLINK
    )
    """Only what changes content or names: opening and reading, our own reading too, is no event."""

    _ids = itertools.count(1)
    _GIT = "\0git"
    """Begins the names of git's own folders, which may lie outside of the root."""

    class InotifyWatch:
        """One inotify watch for each folder, in the queue that all roots of this process share."""

        def __init__(self, root: Path, batcher: Batcher) -> None:
            self._root = root
            self._batcher = batcher
            self._queue = InotifyFD.get_instance()
            self._id = CallbackId(next(_ids))
            self._lock = threading.Lock()
            self._folders: dict[WatchDescriptor, str] = {}

        def update(self, folders: set[str], git_folders: Sequence[Path]) -> bool:
            """Watches exactly these folders; whether any of them is new. Raises OSError at a limit of the
            system."""
            wanted: dict[str, Path] = {folder: self._root / folder for folder in folders}
            wanted.update((f"{_GIT}{folder}", folder) for folder in git_folders)
            with self._lock:
                have = {folder: descriptor for descriptor, folder in self._folders.items()}
            gone = [descriptor for folder, descriptor in have.items() if folder not in wanted]
            self._queue.remove_callbacks([(descriptor, self._id) for descriptor in gone])
            with self._lock:
                for descriptor in gone:
                    self._folders.pop(descriptor, None)
            added = False
            for folder in sorted(wanted.keys() - have.keys()):
                added = self._add(folder, wanted[folder]) or added
            return added

        def _add(self, folder: str, path: Path) -> bool:
            try:
                descriptor = self._queue.add_callback(os.fsencode(path), _MASK, self, self._id)
            except (FileNotFoundError, NotADirectoryError):
                return False  # gone again
            with self._lock:
                self._folders[descriptor] = folder
            return True

        def close(self) -> None:
            with self._lock:
                descriptors, self._folders = list(self._folders), {}
            self._queue.remove_callbacks([(descriptor, self._id) for descriptor in descriptors])

        def on_event(self, event: InotifyEvent) -> None:
            with self._lock:
                folder = self._folders.get(event.wd)
            if folder is None:
                return
            name = os.fsdecode(event.name)
            if folder.startswith(_GIT):
                if name in _GIT_NAMES:
                    self._batcher.add(None)
            elif event.is_directory and name != ".git":
                self._batcher.add(None)  # what is in it, or was in it, makes no events of its own
            elif name in _RESCAN_NAMES or name == ".git":
                self._batcher.add(None)
            else:
                self._batcher.add(f"{folder}/{name}" if folder else name)

        def on_watch_deleted(self, wd: WatchDescriptor) -> None:
            with self._lock:
                self._folders.pop(wd, None)

        def on_queue_overflow(self) -> None:
            """The kernel dropped events (of whom, it does not say)."""
            self._batcher.add(None)

    Watch = InotifyWatch
else:
    Watch = ObserverWatch
