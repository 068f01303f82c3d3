"""Sees what changes under a root and hands it to a `Batcher`.

On Linux one shared inotify queue holds a watch for each folder that is not ignored: no thread polls, and
ignored trees cost nothing. Elsewhere watchdog's recursive observer does it.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

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

from indexer.files.batcher import MOST_PATHS as MOST_PATHS
from indexer.files.batcher import Batcher as Batcher
from indexer.files.batcher import Changes as Changes

_RULES = frozenset({".gitignore", ".forewordignore"})
"""Files that say what is ignored: with them any path may come or go."""

_GIT_STATE = frozenset({"HEAD", "index"})
"""What git replaces when it switches branches or starts to track a file."""

_GIT_LOCK = "index.lock"
_GIT_RULES = frozenset({"exclude", "info"})
"""In git's folders, what people write about ignored files, and the folder of it."""


_OF_ONE_FOLDER = frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP})
"""Errors that keep one folder from being watched, and say nothing about the others."""


class ObserverWatch:
    """Watches a whole tree with the platform's recursive facility."""

    def __init__(self, root: Path, batcher: Batcher) -> None:
        self.unwatched: dict[str, str] = {}
        """As of `InotifyWatch`; which folders they are, the platform does not say."""
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

    def extend(self, folders: set[str]) -> bool:
        """They are watched already."""
        return False

    @property
    def alive(self) -> bool:
        """Whether anybody listens to what the system tells."""
        return self._observer.is_alive()

    def doubt(self) -> None:
        """The root may be another folder than the one that is watched."""
        self.close()
        self._observer = Observer()

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
                self._on_git(relative.removeprefix(".git/"))
            elif path.name in _RULES:
                self._batcher.add(None)
            else:
                self._batcher.add(relative, soon=isinstance(event, FileClosedEvent | FileModifiedEvent))

    def _on_git(self, path: str) -> None:
        if path in _GIT_STATE:
            self._batcher.add_git()
        elif path in ("info", "info/exclude"):
            self._batcher.add(None)


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
            self.unwatched: dict[str, str] = {}
            """Folder → why it alone cannot be watched."""
            self._doubtful = False

        def update(self, folders: set[str], git_folders: Sequence[Path]) -> bool:
            """Watches exactly these folders; whether any of them is new. Raises OSError at a limit of the
            system."""
            wanted: dict[str, Path] = {folder: self._root / folder for folder in folders}
            wanted.update((f"{_GIT}{folder}", folder) for folder in git_folders)
            if self._doubtful:
                self._doubtful = False
                self.close()
            self.unwatched = {}
            with self._lock:
                have = {folder: descriptor for descriptor, folder in self._folders.items()}
            self._drop([descriptor for folder, descriptor in have.items() if folder not in wanted])
            return self._add_all({folder: path for folder, path in wanted.items() if folder not in have})

        def extend(self, folders: set[str]) -> bool:
            """Watches these as well; whether any of them is new. Raises OSError as `update`."""
            with self._lock:
                have = set(self._folders.values())
            return self._add_all({folder: self._root / folder for folder in folders - have})

        @property
        def alive(self) -> bool:
            """Whether anybody listens to what the system tells."""
            return self._queue.is_alive()

        def doubt(self) -> None:
            """The folders may be others than those that are watched: the next `update` begins anew."""
            self._doubtful = True

        def _add_all(self, wanted: dict[str, Path]) -> bool:
            added = False
            for folder in sorted(wanted):
                added = self._add(folder, wanted[folder]) or added
            return added

        def _add(self, folder: str, path: Path) -> bool:
            try:
                descriptor = self._queue.add_callback(os.fsencode(path), _MASK, self, self._id)
                if descriptor < 0:  # what watchdog makes of EACCES
                    self._queue.remove_callbacks([(descriptor, self._id)])
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            except (FileNotFoundError, NotADirectoryError):
                return False  # gone again
            except OSError as failed:
                if failed.errno not in _OF_ONE_FOLDER or not folder:
                    raise
                self.unwatched[folder.removeprefix(_GIT)] = (failed.strerror or str(failed)).lower()
                return False
            with self._lock:
                self._folders[descriptor] = folder
            return True

        def _drop(self, descriptors: list[WatchDescriptor]) -> None:
            with self._lock:
                descriptors = [it for it in descriptors if self._folders.pop(it, None) is not None]
            self._queue.remove_callbacks([(descriptor, self._id) for descriptor in descriptors])

        def close(self) -> None:
            with self._lock:
                descriptors = list(self._folders)
            self._drop(descriptors)

        def on_event(self, event: InotifyEvent) -> None:
            with self._lock:
                folder = self._folders.get(event.wd)
            if folder is None:
                return
            name = os.fsdecode(event.name)
            if event.mask & InotifyConstants.IN_UNMOUNT:
                self._batcher.add(None)
            elif folder.startswith(_GIT):
                self._on_git(folder, name, event)
            elif event.is_delete_self or event.is_move_self:
                self._forget(folder)
            elif name in _RULES or name == ".git":
                self._batcher.add(None)
            elif event.is_directory:
                self._batcher.add_folder(f"{folder}/{name}" if folder else name)
            else:
                path = f"{folder}/{name}" if folder else name
                # what is moved to a new name may be the backup of a file that is about to be written
                complete = event.is_close_write or (event.is_moved_to and self._batcher.knows(path))
                self._batcher.add(path, soon=complete)

        def _on_git(self, folder: str, name: str, event: InotifyEvent) -> None:
            if name in _GIT_RULES:
                self._batcher.add(None)
            elif name in _GIT_STATE:
                self._batcher.add_git()
            if name == _GIT_LOCK:
                self._batcher.git_lock(folder, held=event.is_create or event.is_moved_to)

        def _forget(self, folder: str) -> None:
            """A watch follows its folder to wherever it is moved, under the name that it had: let go of it and of
            all below; what is there now is watched anew."""
            below = f"{folder}/" if folder else ""
            with self._lock:
                stale = [
                    descriptor
                    for descriptor, it in self._folders.items()
                    if it == folder or (it.startswith(below) and not it.startswith(_GIT))
                ]
            self._drop(stale)
            if folder:
                self._batcher.add_folder(folder)
            else:
                self._batcher.add(None)

        def on_watch_deleted(self, wd: WatchDescriptor) -> None:
            with self._lock:
                self._folders.pop(wd, None)

        def on_queue_overflow(self) -> None:
            """The kernel dropped events: of whom, it does not say; that a folder was moved may be among them."""
            self.doubt()
            self._batcher.add(None)

    Watch = InotifyWatch
else:
    Watch = ObserverWatch
