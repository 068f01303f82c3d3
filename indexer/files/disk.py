"""One root on the disk: lists it, watches it, and says what its changes amount to."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from indexer.files import mounts
from indexer.files.batcher import Batcher, Changes, OnChanges
from indexer.files.exclusions import Exclusions
from indexer.files.folders import folders_to_watch, git_folders
from indexer.files.following import MOST_ASKED, Followed, follow, topmost
from indexer.files.heartbeat import GONE_PULSE_S, PULSE_S, Heartbeat
from indexer.files.listing import Listing, list_files, tracked_by_git
from indexer.files.watch import Watch

_log = logging.getLogger(__name__)

POLL_S = 10.0
"""Between two looks where the system gives no events; a listing of 25,000 files takes a tenth of a second."""

_LONGEST_POLL_S = 300.0
_POLL_SHARE = 20
"""A look may take at most this part of the time, since it goes over somebody's network."""

_LISTING_SHARE = 5
"""While changes go on that only a whole listing can tell, listing takes at most this part of the time."""

_LISTINGS_PER_UPDATE = 3
"""New folders may appear while watches are being added; more rounds than this are left to their own
events."""

_LIMITS = (errno.ENOSPC, errno.EMFILE)
"""What inotify says at a limit of the system's."""

_NOTED_CHARACTERS = 200
"""Of the name of a folder in a note: one that is too long to be watched has thousands."""

_MOST_IGNORED = 10_000
"""Paths that are remembered as ignored, so that a log that is written all day costs nothing."""


class Disk:
    """Of one root. Its methods are called by the one task that keeps the root in step, unless they say
    otherwise."""

    def __init__(self, root: Path, changed: OnChanges, knows: Callable[[str], bool]) -> None:
        """`changed` gets what happened, on the event loop; `knows` says whether a path is indexed."""
        self.root = root
        self.watching: Literal["", "events", "polling"] = ""
        self._why_late = ""
        self._exclusions = Exclusions()
        self._batcher = Batcher(asyncio.get_running_loop(), changed, knows)
        self._watch = Watch(root, self._batcher)
        self._heartbeat = Heartbeat(root)
        self._poll_s = POLL_S
        self._submodules: list[str] = []
        self._tracked = b""
        self._ignored: set[str] = set()
        self._listed_s = 0.0
        self._listing_took_s = 0.0

    @property
    def note(self) -> str:
        """For a person: why changes are not seen at once."""
        unwatched = sorted(self._watch.unwatched.items())
        if not unwatched:
            return self._why_late
        folder, why = unwatched[0]
        others = f" and {len(unwatched) - 1:,} other folders" if len(unwatched) > 1 else ""
        late = f"changes in {folder[:_NOTED_CHARACTERS]}{others} are not seen at once: {why}"
        return "; ".join(filter(None, (self._why_late, late)))

    def stale(self, path: str) -> None:
        """Whoever read this path found it other than indexed; from any thread."""
        self._batcher.add(path, soon=True)

    async def close(self) -> None:
        self._batcher.close()
        await asyncio.to_thread(self._watch.close)

    async def listing(self) -> Listing:
        """All files as they are now, watched from before they were looked at. Raises OSError when the root
        cannot be read."""
        await self._take_breath()
        started = time.monotonic()
        self._ignored.clear()
        if await asyncio.to_thread(self._heartbeat.take):
            await asyncio.to_thread(self._watch.doubt)
        self._exclusions = await asyncio.to_thread(Exclusions.load, self.root)
        await self._watch_all()
        listing = await asyncio.to_thread(list_files, self.root)
        if listing.submodules != self._submodules:
            self._submodules = listing.submodules
            await self._watch_all()
        self._tracked = _packed(listing.tracked)
        self._listed_s = time.monotonic()
        self._listing_took_s = self._listed_s - started
        self._poll_s = min(max(POLL_S, self._listing_took_s * _POLL_SHARE), _LONGEST_POLL_S)
        return listing

    async def follow(self, manifest: Mapping[str, object], changes: Changes) -> Followed | None:
        """What these changes amount to; None when only a whole listing can tell. Raises OSError."""
        untracked: set[str] = set()
        if changes.git:
            tracked, untracked = await asyncio.to_thread(self._compare_tracked)
            if len(untracked) > MOST_ASKED or not await self._watch_around(tracked):
                return None
            changes.paths |= tracked | untracked
        if len(topmost(changes.folders)) > MOST_ASKED:
            return None
        if changes.folders and not await self._watch_below(changes.folders):
            return None
        followed = await asyncio.to_thread(
            follow,
            self.root,
            manifest,
            self._exclusions,
            changes,
            self._ignored,
            self._submodules,
            untracked,
        )
        if followed is not None and len(self._ignored) < _MOST_IGNORED:
            self._ignored.update(followed.ignored)
        return followed

    async def wait(self, wake: asyncio.Event, *, gone: bool) -> bool:
        """Until `wake` is set, or until everything has to be compared for a reason that no event tells: then
        True. `gone`: the root was not there the last time."""
        while True:
            polling = self.watching == "polling"
            wait_s = GONE_PULSE_S if gone else self._poll_s if polling else PULSE_S
            try:
                async with asyncio.timeout(wait_s):
                    await wake.wait()
                return False
            except TimeoutError:
                if gone and not await asyncio.to_thread(self.root.is_dir):
                    continue
                if gone:
                    await asyncio.to_thread(self._watch.doubt)
                if gone or polling:
                    return True
            if not self._watch.alive:  # and from now on everything is looked at again and again
                return True
            why = await asyncio.to_thread(self._heartbeat.why_rescan)
            if why:
                _log.info("everything is compared anew: %s", why)
                await asyncio.to_thread(self._watch.doubt)
                return True

    async def _take_breath(self) -> None:
        """A folder that never comes to rest must not keep the machine busy with listing it."""
        rest_s = self._listed_s + self._listing_took_s * (_LISTING_SHARE - 1) - time.monotonic()
        if self._listed_s and rest_s > 0:
            await asyncio.sleep(rest_s)

    def _compare_tracked(self) -> tuple[set[str], set[str]]:
        """What git tracks anew, and what it no longer tracks."""
        before = self._tracked
        tracked = tracked_by_git(self.root, self._submodules)
        self._tracked = _packed(tracked)
        if before == self._tracked:
            return set(), set()
        known = _unpacked(before)
        self._ignored -= tracked ^ known
        return set(tracked - known), known - tracked

    async def _watch_all(self) -> None:
        remote = await asyncio.to_thread(mounts.remote_type, self.root)
        self.watching, self._why_late = "events", ""
        if remote:
            self.watching = "polling"
            self._why_late = (
                f"on {remote}: what other machines change is looked for every {self._poll_s:.0f} s, "
                "what this one changes is seen at once"
            )
        try:
            git = await asyncio.to_thread(git_folders, self.root, self._submodules)
            for _ in range(_LISTINGS_PER_UPDATE):
                folders = await asyncio.to_thread(folders_to_watch, self.root, self._exclusions)
                if not await asyncio.to_thread(self._watch.update, folders, git):
                    break
        except OSError as failed:
            await self._cannot_watch(failed)
        if not self._watch.alive:
            self._poll_instead("no events come any longer, restart the index service to see changes at once")

    async def _watch_around(self, paths: set[str]) -> bool:
        """Watches the folders of these files, which may have been ignored until now; False when everything has to
        be looked at."""
        folders = {str(folder) for path in paths for folder in PurePosixPath(path).parents} - {"."}
        wanted = {folder for folder in folders if not self._exclusions.why_folder_excluded(folder)}
        try:
            await asyncio.to_thread(self._watch.extend, wanted)
        except OSError as failed:
            await self._cannot_watch(failed)
            return False
        return True

    async def _watch_below(self, folders: set[str]) -> bool:
        """Watches what came; False when everything has to be looked at."""
        try:
            for _ in range(_LISTINGS_PER_UPDATE):
                found = await asyncio.to_thread(
                    folders_to_watch, self.root, self._exclusions, topmost(folders)
                )
                if not await asyncio.to_thread(self._watch.extend, found):
                    break
        except OSError as failed:
            await self._cannot_watch(failed)
            return False
        return True

    async def _cannot_watch(self, failed: OSError) -> None:
        if not await asyncio.to_thread(self.root.is_dir):
            raise failed
        remedy = ", raise fs.inotify.max_user_watches to see changes at once"
        at_limit = failed.errno in _LIMITS or failed.errno is None
        self._poll_instead(f"{failed.strerror or failed}{remedy if at_limit else ''}")

    def _poll_instead(self, why: str) -> None:
        self.watching = "polling"
        self._why_late = f"changes are looked for every {self._poll_s:.0f} s: {why}"


def _packed(paths: set[str] | frozenset[str]) -> bytes:
    """Kept for as long as a root is open: a tenth of what the set takes."""
    return zlib.compress("\0".join(sorted(paths)).encode("utf-8", "surrogateescape"), 1)


def _unpacked(packed: bytes) -> set[str]:
    joined = zlib.decompress(packed).decode("utf-8", "surrogateescape") if packed else ""
    return set(filter(None, joined.split("\0")))
