"""Turns chunk texts and questions into vectors, in a child process that lives only while it is needed."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import struct
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from indexer import embedder, embedder_weights
from indexer.batches import batched
from indexer.children import ChildCrashed, Children

if TYPE_CHECKING:
    from indexer.store import Store

DIMENSIONS = 384
_IDLE_S = 60.0
"""The child holds 500 MB and takes seconds to start: kept over a pause in thought, not over a lunch."""

_CHARACTERS = 2_000
"""The model reads 256 tokens; what lies behind is only work for its tokenizer."""

_TEXTS_PER_WRITE = 512
_TEXTS_PER_JOB = 16
"""Half a second of work: what a question waits for at most when it comes in the middle."""

_RETRY_S = 180.0
"""After a failure. A disk that was full or a network that was gone may be back by then; a model that is out of
memory is not started for every save."""

_ROW = struct.Struct(f"<{DIMENSIONS}f")


class EmbeddingUnavailable(Exception):
    """There are no vectors now; the message says why."""


class Embedding:
    """The one embedder of the service."""

    def __init__(self) -> None:
        self._children = Children(1, _IDLE_S, embedder.settle_in_offline)
        self._folder: str | None = None
        self._filling = asyncio.Lock()
        self._loading: asyncio.Task[None] | None = None
        self._warm = False
        self._never = _why_not_installed()
        self._failure = ""
        self._failed_s = 0.0

    @property
    def problem(self) -> str:
        """Why there are no vectors now, else empty; a failure is held against it for `_RETRY_S`."""
        recent = time.monotonic() - self._failed_s < _RETRY_S
        return self._never or (self._failure if recent else "")

    @property
    def available(self) -> bool:
        return not self.problem

    @property
    def state(self) -> str:
        """For a status line."""
        if self.problem:
            return f"none: {self.problem}"
        return f"{embedder_weights.NAME} ({'running' if self._children.running else 'asleep'})"

    async def fill(self, store: Store, text_keys: Sequence[str], report: Callable[[int], None]) -> None:
        """Embeds the texts that have no vector yet; `report` gets the number of them done.
        Raises EmbeddingUnavailable and what the store raises. May be cancelled at any moment."""
        async with self._filling:
            missing = [key for key in dict.fromkeys(text_keys) if key not in store.embedded]
            done = 0
            for keys in batched(missing, _TEXTS_PER_WRITE):
                texts = await asyncio.to_thread(store.chunk_texts, keys)
                by_length = sorted(texts.items(), key=lambda item: len(item[1]))  # little padding
                vectors: dict[str, Sequence[float]] = {}
                for some in batched(by_length, _TEXTS_PER_JOB):
                    rows = await self._embed([text for _, text in some])
                    vectors.update(zip((key for key, _ in some), rows, strict=True))
                    report(done + len(vectors))
                await asyncio.to_thread(store.write_vectors, vectors)
                done += len(keys)

    async def question(self, text: str, *, wait_s: float, start: bool) -> list[float]:
        """The vector of a question. With `start`, an embedder that is asleep is waited for; without, it is
        woken
        for the next question. Raises EmbeddingUnavailable."""
        if not self.available:
            raise EmbeddingUnavailable(self.problem)
        if not (self._warm and self._children.running):
            if self._loading is None or self._loading.done():
                self._loading = asyncio.create_task(self._load(), name="wake the embedder")
            if not start:
                raise EmbeddingUnavailable("the embedder is just starting")
        try:
            async with asyncio.timeout(wait_s):
                (vector,) = await self._embed([text])
        except TimeoutError:
            raise EmbeddingUnavailable(f"the embedder is busy for more than {wait_s:g} s") from None
        return vector

    def stop(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
        self._children.stop()

    async def _load(self) -> None:
        try:
            await self._embed(["warm"])
        except EmbeddingUnavailable:
            return  # `problem` says it, and whoever asks next is told

    async def _embed(self, texts: list[str]) -> list[list[float]]:
        try:
            if self._folder is None:
                self._folder = str(await asyncio.to_thread(embedder_weights.ensure))
            body = await self._children.run(
                embedder.embed, self._folder, [text[:_CHARACTERS] for text in texts]
            )
        except embedder_weights.WeightsUnavailable as failed:
            raise self._unavailable(str(failed)) from failed
        except ChildCrashed as failed:
            why = f"{embedder_weights.NAME} ended while it was working (out of memory?)"
            raise self._unavailable(why) from failed
        except (ImportError, OSError, RuntimeError, ValueError) as failed:
            raise self._unavailable(f"{embedder_weights.NAME} does not load: {failed}") from failed
        self._warm = True
        return [list(row) for row in _ROW.iter_unpack(body)]

    def _unavailable(self, why: str) -> EmbeddingUnavailable:
        self._failure, self._failed_s = why, time.monotonic()
        return EmbeddingUnavailable(why)


def _why_not_installed() -> str:
    if os.environ.get("FOREWORD_EMBEDDER") == "none":
        return "switched off by FOREWORD_EMBEDDER=none"
    if importlib.util.find_spec("sentence_transformers") is None:
        return "install foreword[embed] for vectors"
    return ""
