"""One embedding model in a child process that lives only while it is needed."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from indexer.children.children import ChildCrashed, Children
from indexer.embedding import embedder, origin, weights
from indexer.embedding.embedder import Prepared, Wanted
from indexer.embedding.folder import BrokenModel
from indexer.embedding.settings import ENVIRONMENT, NONE, EmbedderSettings

if TYPE_CHECKING:
    from indexer.store.vector_memory import Floats

_IDLE_S = 60.0
"""The child holds 150 MB and starts in a second: kept over a pause in thought, not over a lunch."""

_RETRY_S = 180.0
"""After a failure. A disk that was full or a network that was gone may be back by then; a model that is out of
memory is not started for every save."""


class EmbeddingUnavailable(Exception):
    """There are no vectors now; the message says why."""


class OneEmbedder:
    """Belongs to one event loop."""

    def __init__(self, settings: EmbedderSettings) -> None:
        self.settings = settings
        self.name = settings.model.rstrip("/").rpartition("/")[2] or weights.NAME
        self.warm = False
        """Whether the child that runs has answered once."""
        self._children = Children(1, _IDLE_S, embedder.settle_in_offline)
        self._wanted: Wanted | None = None
        self._finding = asyncio.Lock()
        self._preparing = asyncio.Lock()
        self.never = _why_never(settings)
        """Why it cannot run for as long as the service lives, else empty."""
        self._failure = ""
        self._failed_s = 0.0
        self.prepared: Prepared | None = None
        """Once it has been loaded."""

    @property
    def problem(self) -> str:
        """Why there are no vectors now, else empty; a failure is held against it for `_RETRY_S`."""
        recent = time.monotonic() - self._failed_s < _RETRY_S
        return self.never or (self._failure if recent else "")

    @property
    def running(self) -> bool:
        return self._children.running

    @property
    def state(self) -> str:
        """For a status line."""
        if self.problem:
            return f"none: {self.problem}"
        how = f", {self.prepared.precision}" if self.prepared is not None else ""
        return f"{self.name} ({'running' if self.running else 'asleep'}{how})"

    async def wanted(self) -> Wanted:
        """What is to be known of the model, downloaded if need be. Raises EmbeddingUnavailable."""
        self._check()
        async with self._finding:
            if self._wanted is None:
                self._check()  # whoever was before us here may have failed
                try:
                    self._wanted = await asyncio.to_thread(origin.find, self.settings)
                except (weights.WeightsUnavailable, BrokenModel, OSError) as failed:
                    raise self._unavailable(str(failed)) from failed
            return self._wanted

    async def embed(self, texts: Sequence[str], *, question: bool) -> Floats:
        """Unit vectors [texts, dimensions]. Raises EmbeddingUnavailable."""
        import numpy as np

        wanted = await self.wanted()
        try:
            await self._prepare(wanted)
            body = await self._children.run(embedder.embed, wanted, list(texts), question=question)
        except ChildCrashed as failed:
            raise self._unavailable(f"{self.name} ended while it was working (out of memory?)") from failed
        except (ImportError, OSError, RuntimeError, ValueError) as failed:
            raise self._unavailable(f"{self.name} does not load: {failed}") from failed
        self.warm = True
        return np.frombuffer(body, "<f4").reshape(len(texts), -1)

    async def _prepare(self, wanted: Wanted) -> None:
        """Once for all who wait, so that no job of theirs is there yet when the child that measured is ended."""
        async with self._preparing:
            if self.prepared is not None:
                return
            self._check()
            prepared = await self._children.run(embedder.prepare, wanted)
            if prepared.measured:
                self._children.stop()  # what was tried has left its memory behind
            self.prepared = prepared

    def stop(self) -> None:
        self._children.stop()

    def _check(self) -> None:
        if self.problem:
            raise EmbeddingUnavailable(self.problem)

    def _unavailable(self, why: str) -> EmbeddingUnavailable:
        self._failure, self._failed_s = why, time.monotonic()
        return EmbeddingUnavailable(why)


def _why_never(settings: EmbedderSettings) -> str:
    if settings.model == NONE:
        return f"switched off by {ENVIRONMENT}=none"
    runtimes = (("onnxruntime", "onnx", "safetensors"), ("sentence_transformers",))
    if not any(all(map(importlib.util.find_spec, packages)) for packages in runtimes):
        return "install foreword[embed] for vectors"
    return ""
