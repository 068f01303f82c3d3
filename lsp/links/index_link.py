"""The server's connection to the index service: made in the background, made again after a loss, kept up to
date.

Whoever asks gets the client that is connected now, or None and the reason. Roots and unsaved documents are
this side's to remember: the service forgets them with the connection."""

from __future__ import annotations

import asyncio
from codecs import BOM_UTF8
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lsp.documents import Snapshot

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from indexer.messages import ProgressNote

RETRY_S = (1.0, 2.0, 5.0, 15.0, 30.0)
"""Waits before the next attempt; the last one repeats."""

OVERLAY_DELAY_S = 0.4
"""Unsaved text is sent when typing pauses; the cursor's own document goes with each pack anyway."""

MAX_OVERLAY_BYTES = 1_000_000
"""The index takes no larger files (see `indexer.files.exclusions`), so it needs no unsaved text of them."""

DOING = {
    "listing": "listing files",
    "parsing": "reading files,",
    "writing": "writing the index",
    "embedding": "vectors,",
    "counting": "counting tokens of files,",
}
TOLD_LEFT_S = 5.0
"""Less is over before it is read."""


class Bar(Protocol):
    def report(self, message: str, done: int = 0, total: int = 0) -> None: ...
    def end(self, message: str) -> None: ...


class IndexLink:
    """`bar` begins a progress at the client, `warn` tells it something in its log."""

    def __init__(self, bar: Callable[[str], Bar], warn: Callable[[str], None]) -> None:
        self.client: IndexClient | None = None
        self.reason = "the index service is starting"
        self.embedder = ""
        """The model that this client wants for vectors, if it wants one."""
        self._bar = bar
        self._warn = warn
        self._roots: dict[str, None] = {}
        self._failures: dict[str, str] = {}
        self._opened: dict[str, asyncio.Event] = {}
        """Of each root: whether it is indexed, or why it cannot be is known."""
        self._documents: dict[str, Snapshot] = {}
        self._laid_over: set[str] = set()
        self._dirty: set[str] = set()
        self._changed = asyncio.Event()
        self._sending = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._spawn(self._keep_connected(), "index connection")
        self._spawn(self._send_overlays(), "unsaved documents")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        client, self.client = self.client, None
        if client is not None:
            await client.close()

    def add_root(self, root: str) -> None:
        self._roots[root] = None
        self._opened.setdefault(root, asyncio.Event())
        if self.client is not None:
            self._spawn(self._open(self.client, root), f"open {root}")
        self._touch(*self._documents)

    def remove_root(self, root: str) -> None:
        self._roots.pop(root, None)
        self._failures.pop(root, None)
        self._opened.pop(root, asyncio.Event()).set()
        if self.client is not None:
            self._spawn(self._close_root(self.client, root), f"close {root}")

    def document(self, snapshot: Snapshot) -> None:
        """A document was opened, changed or saved."""
        if snapshot.path is not None:
            self._documents[snapshot.path] = snapshot
            self._touch(snapshot.path)

    def closed(self, path: str) -> None:
        self._documents.pop(path, None)
        self._touch(path)

    def why_not(self, root: str | None) -> str:
        """Why there is no context for a file under `root`; empty when there may be some."""
        if root is None:
            return "the file is in no folder of the workspace"
        if self.client is None or not self.client.connected:
            return self.reason
        return self._failures.get(root, "")

    def is_open(self, root: str) -> bool:
        """Whether this root has been indexed as a whole; from then on it is kept in step."""
        return root in self._opened and self._opened[root].is_set() and not self.why_not(root)

    async def opened(self, root: str) -> None:
        """Until this root is indexed, or why it cannot be is known."""
        if root in self._opened:
            await self._opened[root].wait()

    # ------------------------------------------------------------ connection

    async def _keep_connected(self) -> None:
        from indexer.client import IndexClient, IndexServiceError

        attempt = 0
        while True:
            try:
                client = await IndexClient.connect()
            except IndexServiceError as failed:
                self._say(str(failed))
                await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
                attempt += 1
                continue
            attempt = 0
            self.client, self.reason = client, ""
            self._laid_over.clear()
            self._failures.clear()  # another service may do what the last one could not
            for opened in self._opened.values():
                opened.clear()
            for root in self._roots:
                self._spawn(self._open(client, root), f"open {root}")
            self._touch(*self._documents)
            await client.lost()
            self.client = None
            await client.close()
            self._say("the connection to the index service was lost; connecting again")

    def _say(self, reason: str) -> None:
        if reason != self.reason:
            self._warn(reason)
        self.reason = reason

    async def _open(self, client: IndexClient, root: str) -> None:
        from indexer.client import IndexServiceError

        bar = self._bar(f"Foreword: indexing {Path(root).name}")

        def on_progress(note: ProgressNote) -> None:
            bar.report(told(note), note.done, note.total)

        outcome = "stopped"
        try:
            status = await client.open_root(root, wait=True, embedder=self.embedder, on_progress=on_progress)
            outcome = f"{status.files} files, {status.symbols} symbols"
            failure = status.error if status.state == "failed" else ""
        except IndexServiceError as failed:
            failure = str(failed)
        finally:
            bar.end(outcome)
        self._failures[root] = failure
        if root in self._opened:
            self._opened[root].set()
        if failure:
            self._warn(f"{root} is not indexed: {failure}")

    async def _close_root(self, client: IndexClient, root: str) -> None:
        from indexer.client import IndexServiceError

        try:
            await client.close_root(root)
        except IndexServiceError as failed:
            self._warn(f"{root} could not be closed in the index: {failed}")

    # ------------------------------------------------------------ unsaved documents

    def _touch(self, *paths: str) -> None:
        self._dirty.update(paths)
        if self._dirty:
            self._changed.set()

    async def flush(self, leave: str | None = None) -> None:
        """Sends unsaved documents that still wait for a pause in typing, all but `leave`: the model must not read
        a text that the user has already changed. Costs nothing when none waits."""
        from indexer.client import IndexServiceError

        async with self._sending:
            client, paths = self.client, sorted(self._dirty - {leave})
            if client is None:
                return  # all documents are sent when the connection stands
            self._dirty.difference_update(paths)
            for path in paths:
                try:
                    await self._send_overlay(client, path)
                except (IndexServiceError, OSError) as failed:
                    self._warn(f"the index does not have the unsaved text of {path}: {failed}")

    async def _send_overlays(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(OVERLAY_DELAY_S)
            self._changed.clear()
            await self.flush()

    async def _send_overlay(self, client: IndexClient, path: str) -> None:
        """Lays the text over the stored one where it differs from the file, takes it away where it does
        not."""
        snapshot = self._documents.get(path)
        root = max((r for r in self._roots if Path(path).is_relative_to(r)), key=len, default=None)
        wanted = None
        if snapshot is not None and root is not None:
            wanted = await asyncio.to_thread(_unsaved, snapshot.text, Path(path), Path(root))
        if wanted is not None and snapshot is not None:
            await client.overlay(path, wanted, snapshot.version)
            self._laid_over.add(path)
        elif path in self._laid_over:
            await client.overlay(path, None)
            self._laid_over.discard(path)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"the index link stopped at an error of its own: {error!r}")


def _unsaved(text: str, path: Path, root: Path) -> str | None:
    """`text` when it differs from the file and the file may be read at all, else None. Most clients leave a
    file's byte order mark out of the text: that alone is no difference."""
    from indexer.files.exclusions import why_file_excluded

    data = text.encode()
    if len(data) > MAX_OVERLAY_BYTES or why_file_excluded(path, root) is not None:
        return None
    try:
        stored = path.read_bytes()
    except OSError:
        return text  # not on disk yet, or not readable: what the editor has is all there is
    return None if stored.removeprefix(BOM_UTF8) == data.removeprefix(BOM_UTF8) else text


def told(note: ProgressNote) -> str:
    """For a person; the time that is left where that can be known and is worth waiting for."""
    doing = DOING[note.stage]
    if note.total <= 1:
        return doing.rstrip(",")
    left = f", {note.seconds_left:.0f} s left" if note.seconds_left >= TOLD_LEFT_S else ""
    return f"{doing} {note.done:,} of {note.total:,}{left}"
