"""Which roots are open, who holds them, and when they are let go."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from pathlib import Path

from indexer.roots.facilities import Facilities
from indexer.roots.root import Root

_log = logging.getLogger(__name__)

GRACE_S = 30.0
"""An editor that restarts finds its roots still watched."""

_SYSTEM_FOLDERS = ("/proc", "/sys", "/dev")
"""Views of the running system, not files; with everything below."""

_MEMORY_FOLDER = "/dev/shm"
"""Where Linux keeps files in memory: a second temp folder, so projects may lie below it."""

Holder = object


class NoRoot(Exception):
    """The folder cannot be a root; the message says why."""


class Roots:
    """Opens each root once for all who hold it."""

    def __init__(self, facilities: Facilities, grace_s: float = GRACE_S) -> None:
        self._facilities = facilities
        self._grace_s = grace_s
        self._open: dict[Path, tuple[Root, asyncio.Task[None]]] = {}
        self._holders: dict[Path, set[Holder]] = {}
        self._timers: dict[Path, asyncio.TimerHandle] = {}
        self._looking: dict[str, asyncio.Task[Path]] = {}
        """Roots as they were named, of which the disk has not answered yet."""

    def all(self) -> list[Root]:
        return [root for root, _ in self._open.values()]

    def held_by(self, holder: Holder) -> list[Root]:
        return [self._open[path][0] for path, holders in self._holders.items() if holder in holders]

    async def hold(self, root: str, holder: Holder) -> Root:
        """Opens `root` if it is not, and keeps it open for `holder`. Raises NoRoot."""
        path = await self._look(root)
        timer = self._timers.pop(path, None)
        if timer is not None:
            timer.cancel()
        if path not in self._open:
            opened = Root(path, self._facilities)
            task = asyncio.create_task(opened.run(), name=f"root {path.name}")
            task.add_done_callback(lambda ended: self._ended(path, ended))
            self._open[path] = (opened, task)
        self._holders.setdefault(path, set()).add(holder)
        return self._open[path][0]

    async def release(self, root: str, holder: Holder) -> None:
        """Lets go of one root; unknown ones are no error."""
        try:
            path = await self._look(root)
        except NoRoot:  # it may have been one when it was opened
            path = await asyncio.to_thread(_resolved, root)
        self._let_go(path, holder)

    async def _look(self, root: str) -> Path:
        """The folder that is meant, or NoRoot. A thread asks the disk, one for each name: a mount that does not answer
        holds up its own roots alone; and who asked first goes on first."""
        looking = self._looking.get(root)
        if looking is None:
            looking = asyncio.create_task(asyncio.to_thread(_folder, root), name=f"look at {root}")
            looking.add_done_callback(lambda ended: self._looked(root, ended))
            self._looking[root] = looking
        return await asyncio.shield(looking)

    def _looked(self, root: str, ended: asyncio.Task[Path]) -> None:
        del self._looking[root]
        if not ended.cancelled():
            ended.exception()  # everybody who asked may have gone

    def _let_go(self, path: Path, holder: Holder) -> None:
        holders = self._holders.get(path)
        if holders is None or holder not in holders:
            return
        holders.discard(holder)
        if not holders:
            del self._holders[path]
            self._timers[path] = asyncio.get_running_loop().call_later(self._grace_s, self._close, path)

    def release_all(self, holder: Holder) -> None:
        for root in self.held_by(holder):
            self._let_go(root.path, holder)

    async def end(self, path: Path | None, holder: Holder) -> None:
        """Closes one root (None: all), and waits until nothing of it runs any longer. Raises NoRoot when somebody
        else holds one."""
        paths = [each for each in self._open if path in (None, each)]
        for each in paths:
            if self._holders.get(each, set()) - {holder}:
                raise NoRoot(f"{each} is open in an editor: close it there first")
        tasks = [self._open[each][1] for each in paths]
        for each in paths:
            timer = self._timers.pop(each, None)
            if timer is not None:
                timer.cancel()
            self._holders.pop(each, None)
            self._close(each)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Closes every root and waits for their tasks."""
        for timer in self._timers.values():
            timer.cancel()
        tasks = [task for _, task in self._open.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _close(self, path: Path) -> None:
        self._timers.pop(path, None)
        _, task = self._open.pop(path)
        task.cancel()

    def _ended(self, path: Path, task: asyncio.Task[None]) -> None:
        """A root's task only ends when it is cancelled; anything else is a fault of ours that must be
        seen."""
        if task.cancelled() or task.exception() is None:
            return
        _log.error("the task of a root ended", exc_info=task.exception())
        current = self._open.get(path)
        if current is not None and current[1] is task:
            current[0].broken("its task ended; see the service's log, then open it again")
            del self._open[path]
            self._holders.pop(path, None)


def _folder(root: str) -> Path:
    if not Path(root).is_absolute():
        raise NoRoot(f"a root must be an absolute path, not {root!r}")
    path = Path(os.path.realpath(root))
    if not path.is_dir():
        raise NoRoot(f"{root} is no folder that can be opened")
    if not os.access(path, os.R_OK | os.X_OK):
        raise NoRoot(f"{root} may not be read by this user")
    why_not = why_no_project(path)
    if why_not:
        raise NoRoot(f"{root} is not opened: {why_not}; open the project's own folder")
    return path


def why_no_project(path: Path) -> str:
    """Why a folder without links in its path is too wide to be one project, else empty."""
    if path == Path(path.anchor):
        return "it holds the whole system"
    if path in map(_resolved, (tempfile.gettempdir(), _MEMORY_FOLDER)):
        return "it is the folder of everybody's temporary files"
    if not path.is_relative_to(_MEMORY_FOLDER) and any(map(path.is_relative_to, _SYSTEM_FOLDERS)):
        return "it shows the running system and holds no project"
    try:
        home = _resolved(Path.home())
    except RuntimeError:  # this user has none
        return ""
    if path == home:
        return "it is the home folder, with much more in it than one project"
    return "it holds the home folder" if home.is_relative_to(path) else ""


def _resolved(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
