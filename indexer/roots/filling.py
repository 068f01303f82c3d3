"""What a root gets in the background once its symbols are whole: vectors of its chunks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from indexer.batches import batched
from indexer.children.manners import Manners
from indexer.embedding.embedding import Embedding, EmbeddingUnavailable
from indexer.roots.indexing import Report
from indexer.roots.live import LiveRoot
from indexer.roots.retry import Retry
from indexer.store.contents import STORE_ERRORS, explain

if TYPE_CHECKING:
    from indexer.store.store import Store

_log = logging.getLogger(__name__)


_TEXTS_PER_PIECE = 512
"""Some seconds of work, and one write: so long goes on what has become unwelcome."""


class VectorFilling:
    """Until no chunk of a living file is without its vector, or that cannot be."""

    def __init__(
        self,
        name: str,
        embedding: Embedding,
        live: Callable[[], LiveRoot],
        report: Report,
        written: Callable[[], None],
        settled: Callable[[], None],
        manners: Manners,
        doubt: Callable[[Exception], None],
    ) -> None:
        """`doubt` is told of every one of STORE_ERRORS; `settled`, whenever an attempt has come to its end."""
        self.problem = ""
        """Why the last attempt made none."""
        self._fault = ""
        self.failed = False
        """Whether it did, for whatever reason; while it is tried again, too."""
        self._logged = ""
        self._manners = manners
        self._name = name
        self._embedding = embedding
        self._live = live
        self._report = report
        self._written = written
        self._settled = settled
        self._doubt = doubt
        self._retry = Retry(self._start)
        self._store: Store | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = False

    @property
    def note(self) -> str:
        """For a person: why there are not all of them."""
        waiting = self._task is not None and not self._task.done() and self._manners.waiting
        return f"vectors wait: {waiting}" if waiting else self._fault

    def start(self, store: Store) -> None:
        """Something may lack its vector; one that fills already looks once more at the end."""
        self._store = store
        self._start()

    def _start(self) -> None:
        self._wanted = True
        self._retry.cancel()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"vectors of {self._name}")

    def stop(self) -> None:
        self._retry.cancel()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        self._fault = self.problem = ""
        try:
            while self._wanted and self._store is not None:
                self._wanted = False
                await self._fill(self._store)
            self.failed = False
            self._retry.succeeded()
        except EmbeddingUnavailable as unavailable:
            self.failed, self.problem = True, f"no vectors: {unavailable}"
            if self.problem != self._logged:  # once, not after every save
                self._logged = self.problem
                _log.warning("%s", self.problem)
            if self._embedding.may_return:
                self._retry.later()
        except STORE_ERRORS as failed:
            _log.warning("vectors are not stored", exc_info=failed)
            self.failed, self._fault = True, f"vectors cannot be stored: {explain(failed)}"
            self._doubt(failed)
            self._retry.later()
        finally:  # cancelled, too: somebody may wait
            self._settled()

    async def _fill(self, store: Store) -> None:
        before = -1
        while True:
            if self._embedding.available:
                await self._embedding.attach(store)
            missing, total = await asyncio.to_thread(self._missing, store)
            if not missing or len(missing) == before:
                return
            if not self._embedding.available:
                raise EmbeddingUnavailable(self._embedding.problem)
            before = len(missing)
            have = total - len(missing)
            self._report("embedding", have, total)

            for keys in batched(missing, _TEXTS_PER_PIECE):
                await self._manners.welcome()

                def advance(done: int, have: int = have, total: int = total) -> None:
                    self._report("embedding", have + done, total)

                await self._embedding.fill(store, keys, advance)
                self._written()
                have += len(keys)

    def _missing(self, store: Store) -> tuple[list[str], int]:
        """Keys of living chunk texts without a vector, and the number of chunks. Blocks: there may be
        100,000."""
        contents = self._live().living_contents()
        return store.vector_tables.wanted.missing(contents), sum(content.chunks for content in contents)
