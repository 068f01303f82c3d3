"""Token ids of a root's files, counted in the background with the tokenizer that was last asked for there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.batches import batched_by_weight
from indexer.children import counting
from indexer.children.children import ChildCrashed, Children
from indexer.children.counting import FileToCount
from indexer.children.manners import Manners
from indexer.messages import TokenizerRef
from indexer.packing.tokens import TokenizerError
from indexer.roots.indexing import Report
from indexer.roots.live import LiveRoot
from indexer.roots.retry import Retry
from indexer.store.contents import STORE_ERRORS, explain

if TYPE_CHECKING:
    from indexer.store.store import Store

_log = logging.getLogger(__name__)

_BYTES_PER_JOB = 1024 * 1024
"""About 0.7 s of work, and one write."""
_FILES_PER_JOB = 500

_IDLE_S = 20.0
"""The child holds a tokenizer (100 MB), which takes a second to load."""


class TokenFilling:
    """Until every living content has its ids, or that cannot be. Resumed where it was by whoever starts it."""

    def __init__(
        self,
        root: Path,
        live: Callable[[], LiveRoot],
        report: Report,
        written: Callable[[], None],
        manners: Manners,
        doubt: Callable[[Exception], None],
    ) -> None:
        """`doubt` is told of every one of STORE_ERRORS."""
        self.note = ""
        """Why there are none although somebody asked for them."""
        self._root = root
        self._live = live
        self._report = report
        self._written = written
        self._manners = manners
        self._doubt = doubt
        self._retry = Retry(self._start)
        self._store: Store | None = None
        self._children = Children(1, _IDLE_S)
        self._task: asyncio.Task[None] | None = None
        self._wanted = False

    def start(self, store: Store) -> None:
        """Something may lack its ids; nothing happens in a root for which no tokenizer was ever named."""
        self._store = store
        if self._tokenizer(store) is not None:
            self._start()

    def _start(self) -> None:
        self._wanted = True
        self._retry.cancel()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"token ids of {self._root.name}")

    def stop(self) -> None:
        self._retry.cancel()
        if self._task is not None:
            self._task.cancel()
        self._children.stop()

    def _tokenizer(self, store: Store) -> str | None:
        reference = store.openings[str(self._root)].tokenizer
        return reference.file if reference is not None else None

    async def _run(self) -> None:
        self.note = ""
        try:
            while self._wanted and self._store is not None:
                self._wanted = False
                tokenizer = self._tokenizer(self._store)
                if tokenizer is not None:
                    await self._fill(self._store, tokenizer)
            self._retry.succeeded()
        except (TokenizerError, ChildCrashed, OSError) as failed:
            self._failed(f"no token ids: {failed}", failed)
        except STORE_ERRORS as failed:
            self._failed(f"token ids cannot be stored: {explain(failed)}", failed)

    def _failed(self, note: str, failed: Exception) -> None:
        self.note = note
        _log.warning(note)
        if isinstance(failed, STORE_ERRORS):
            self._doubt(failed)
        self._retry.later()

    async def _fill(self, store: Store, tokenizer: str) -> None:
        table = await asyncio.to_thread(store.token_table, TokenizerRef(tokenizer))
        missing, total = await asyncio.to_thread(_missing, self._live(), table.keys)
        if not missing or not await self._children.run(counting.can_count, tokenizer):
            return
        done = total - len(missing)
        for job in batched_by_weight(missing, _FILES_PER_JOB, _BYTES_PER_JOB, lambda file: file[1]):
            await self._manners.welcome()
            self._report("counting", done, total)
            files = [file for file, _ in job]
            body = await self._children.run(counting.count_files, tokenizer, str(self._root), files)
            await asyncio.to_thread(store.write_token_ids, table, counting.decode_counted(body))
            done += len(files)
            self._written()
        self._report("counting", done, total)


def _missing(live: LiveRoot, keys: set[str]) -> tuple[list[tuple[FileToCount, int]], int]:
    """(a file of each living content without ids, its size), and the number of contents."""
    now = live.now
    contents = [live.contents[key] for key in now.paths_by_key]
    contents = [content for content in contents if not content.skipped]
    missing = [
        (FileToCount(now.paths_by_key[content.key][0], content.key), content.size)
        for content in contents
        if content.key not in keys
    ]
    return missing, len(contents)
