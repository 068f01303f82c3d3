"""The view of one root that packing reads: live files, unsaved documents on top, and search."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from indexer.files.exclusions import why_file_excluded
from indexer.messages import Hit, Hits
from indexer.roots.live import LiveFiles, TextCache
from indexer.roots.overlays import OverlayDocument
from indexer.roots.root import Root

Ask = Callable[["LiveView", str, int], Awaitable[Hits]]


class LiveView(LiveFiles):
    """Implements `indexer.packing.view.IndexView`. Blocks on disk and parsing: for worker threads."""

    def __init__(
        self, root: Root, overlays: Mapping[str, OverlayDocument], cache: TextCache, ask: Ask
    ) -> None:
        super().__init__(root.path, root.live, _admitted(root, overlays), cache, root.stale, root.store)
        self.graph = root.graph
        self.repo_name = root.repo_name
        self.ready = root.ready
        self.history = root.history.now(self)
        self._renown = root.renown.counted
        self._siblings = root.siblings
        self.notes = _notes(root)
        self._ask = ask

    def used_beside(self, path: str) -> Mapping[str, float]:
        return self._siblings.used(self, path)

    def popular(self, most: int) -> Sequence[str]:
        return self._renown.first[:most]

    def popularity(self, name: str) -> int:
        return self._renown.counts.get(name, 0)

    async def search(self, query: str, limit: int) -> Sequence[Hit]:
        answer = await self._ask(self, query, limit)
        if answer.note:
            self.notes.append(answer.note)
        return answer.hits


def _admitted(root: Root, overlays: Mapping[str, OverlayDocument]) -> dict[str, OverlayDocument]:
    """The unsaved documents of this root, by relative path, without those of files that may not be read by a model; of
    one that has only come to hold what may not be read nothing is shown."""
    found: dict[str, OverlayDocument] = {}
    for path, document in overlays.items():
        absolute = Path(path)
        if not absolute.is_relative_to(root.path):
            continue
        relative = absolute.relative_to(root.path).as_posix()
        # a file that is there but not in the manifest is ignored or excluded, or not yet known not to be; a new
        # one is not there yet
        ignored = relative not in root.live.manifest and absolute.exists()
        hidden = PurePosixPath(relative).parts[0] == ".git" if relative != "." else True
        if not (ignored or hidden or why_file_excluded(absolute, root.path)):
            shown = document.shown
            if relative in root.live.manifest or not shown.withholds:
                found[relative] = shown
    return found


def _notes(root: Root) -> list[str]:
    if root.error:
        return [f"{root.path} is not indexed: {root.error}"]
    if not root.ready:
        done, total = root.progress.files
        return [f"the index is being built: {done} of {total} files are read"]
    return []
