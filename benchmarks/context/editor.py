"""An editor without a person: it carries out a replay's events on a work tree and tells the index of them as the server
does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from benchmarks.context.history import commit_all
from benchmarks.context.replay import Committed, Edited, Event, Opened, Saved, Written
from benchmarks.targets import TargetError
from indexer.client import IndexClient
from lsp.documents import Snapshot
from lsp.links.index_link import OVERLAY_DELAY_S, IndexLink

SEEN_S = 0.1
"""After a write, until the file system has told the index service and it has read the file: 4 ms when quiet."""


class _NoBar:
    def report(self, message: str, done: int = 0, total: int = 0) -> None:
        """Nobody watches."""

    def end(self, message: str) -> None:
        """The same."""


class Editor:
    def __init__(self, client: IndexClient, root: Path) -> None:
        self.root = root
        self.warnings: list[str] = []
        self.link = IndexLink(lambda _: _NoBar(), self.warnings.append)
        self.link.client, self.link.reason = client, ""
        self._documents: dict[str, Snapshot] = {}

    async def open(self) -> None:
        """Until the root is indexed. Raises TargetError where it cannot be."""
        self.link.add_root(str(self.root))
        await self.link.opened(str(self.root))
        if why := self.link.why_not(str(self.root)):
            raise TargetError(f"{self.root} is not indexed: {why}")

    def document(self, path: str) -> Snapshot:
        return self._documents[path]

    async def carry_out(self, event: Event) -> None:
        match event:
            case Opened(path=path):
                self._open(path)
            case Edited(path=path, start=start, end=end, text=text):
                before = self._documents[path]
                self._changed(before, before.text[:start] + text + before.text[end:])
            case Saved(path=path):
                await self._save(self._documents[path])
            case Written(path=path, content=content):
                await self._write(path, content)
            case Committed(commit=commit):
                await asyncio.to_thread(commit_all, self.root, commit)
                await asyncio.sleep(SEEN_S)

    async def rest(self, seconds: float) -> None:
        """A pause: what was typed before it goes to the index when it lasts for the server's delay."""
        if seconds >= OVERLAY_DELAY_S:
            await self.link.flush()

    def content(self, path: str) -> bytes | None:
        """What the file holds, unsaved text included; None for none."""
        if path in self._documents:
            return self._documents[path].text.encode()
        file = self.root / path
        return file.read_bytes() if file.is_file() else None

    def _open(self, path: str) -> None:
        if path in self._documents:
            return
        file = self.root / path
        text = file.read_bytes().decode() if file.exists() else ""
        snapshot = Snapshot(file.as_uri(), str(file), None, 1, text)
        self._documents[path] = snapshot
        self.link.document(snapshot)

    def _changed(self, before: Snapshot, text: str) -> None:
        after = msgspec.structs.replace(before, text=text, version=before.version + 1)
        self._documents[self._relative(before)] = after
        self.link.document(after)

    async def _save(self, snapshot: Snapshot) -> None:
        file = Path(snapshot.path or "")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(snapshot.text.encode())
        await asyncio.sleep(SEEN_S)
        self.link.document(snapshot)
        await self.link.flush()

    async def _write(self, path: str, content: bytes | None) -> None:
        file = self.root / path
        if self._documents.pop(path, None) is not None:
            self.link.closed(str(file))
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        await asyncio.sleep(SEEN_S)
        await self.link.flush()

    def _relative(self, snapshot: Snapshot) -> str:
        return Path(snapshot.path or "").relative_to(self.root).as_posix()
