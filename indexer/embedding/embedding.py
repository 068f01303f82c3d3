"""Turns chunk texts and questions into vectors: by the embedder that is wanted, and for as long as its vectors are not
whole, questions by the one before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from indexer.batches import batched
from indexer.embedding import weights
from indexer.embedding.one_embedder import EmbeddingUnavailable as EmbeddingUnavailable
from indexer.embedding.one_embedder import OneEmbedder
from indexer.embedding.settings import EmbedderRule, EmbedderSettings
from indexer.searching.ranking import DEFAULT_SCALE, Scale

if TYPE_CHECKING:
    from indexer.store.store import Store
    from indexer.store.vector_tables import VectorTable

_log = logging.getLogger(__name__)

_TEXTS_PER_WRITE = 512
_TEXTS_PER_JOB = 16
"""A tenth of a second of work: what a question waits for at most when it comes in the middle."""

_MADE_BY = "embedders.json"
"""In the store's folder: by fingerprint, the settings with which each table of vectors was made."""


class Embedding:
    """The embedders of the service."""

    def __init__(self) -> None:
        self._rule = EmbedderRule()
        self._current = OneEmbedder(self._rule.settings)
        self._earlier: dict[str, OneEmbedder] = {}
        """By fingerprint; started for questions only."""
        self._attached = ""
        """Fingerprint of the table that the current embedder fills, in whatever store."""
        self._attaching = asyncio.Lock()
        self._filling = asyncio.Lock()
        self._loading: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str:
        """Why there are no vectors now, else empty."""
        return self._rule.fault or self._current.problem

    @property
    def may_return(self) -> bool:
        """Whether it is worth trying again while there is a problem: nobody has switched it off, or has to mend
        something and start the service anew."""
        return not (self._rule.fault or self._current.never)

    @property
    def available(self) -> bool:
        return not self.problem

    @property
    def state(self) -> str:
        """For a status line."""
        said = f"none: {self._rule.fault}" if self._rule.fault else self._current.state
        return "; ".join(filter(None, (said, self._rule.note)))

    def ask_for(self, model: str) -> bool:
        """A client names the model that it wants (empty: none in particular); gives whether that changes anything: then
        vectors have to be filled again."""
        if not self._rule.ask(model):
            return False
        before, self._current = self._current, OneEmbedder(self._rule.settings)
        if self._attached:
            self._earlier[self._attached] = before
        self._attached = ""
        return True

    async def attach(self, store: Store) -> tuple[OneEmbedder, VectorTable]:
        """Makes the store's wanted table that of the current embedder; gives both, which belong together whatever is
        wanted a moment later. Raises EmbeddingUnavailable and what the store raises."""
        while True:
            one = self._current
            if not self.available:
                raise EmbeddingUnavailable(self.problem)
            fingerprint, dimensions = await _identity(one)
            async with self._attaching:
                # asked of this store, not remembered: it may be one made anew in the place of a damaged one
                if one is self._current and store.vector_tables.wanted.fingerprint != fingerprint:
                    await asyncio.to_thread(_want, store, fingerprint, dimensions, one.settings)
                table = store.vector_tables.wanted
                if one is self._current and table.fingerprint == fingerprint:
                    self._attached = fingerprint
                    return one, table

    def scale(self, fingerprint: str) -> Scale:
        """Of the cosines of the embedder of this table; known once it has embedded something."""
        one = self._of(fingerprint)
        if one is None or one.prepared is None or one.settings == EmbedderSettings():
            return DEFAULT_SCALE
        return Scale(one.prepared.mean, one.prepared.spread)

    def _of(self, fingerprint: str) -> OneEmbedder | None:
        """Who embeds questions for this table."""
        if fingerprint in ("", self._attached):
            return self._current
        if fingerprint == weights.FINGERPRINT and self._current.settings == EmbedderSettings():
            return self._current
        return self._earlier.get(fingerprint)

    async def fill(self, store: Store, text_keys: Sequence[str], report: Callable[[int], None]) -> None:
        """Embeds the texts that have no vector yet; `report` gets the number of them done.
        Raises EmbeddingUnavailable and what the store raises. May be cancelled at any moment."""
        async with self._filling:
            current, table = await self.attach(store)
            missing = [key for key in dict.fromkeys(text_keys) if key not in table.keys]
            done = 0
            for keys in batched(missing, _TEXTS_PER_WRITE):
                texts = list((await asyncio.to_thread(store.chunk_texts, keys)).items())
                vectors: dict[str, Sequence[float]] = {}
                for some in batched(texts, _TEXTS_PER_JOB):
                    rows = await current.embed([text for _, text in some], question=False)
                    vectors.update(zip((key for key, _ in some), rows, strict=True))
                    report(done + len(vectors))
                await asyncio.to_thread(store.write_vectors, vectors, table, few_wait=True)
                done += len(keys)

    async def question(self, text: str, *, wait_s: float, start: bool, fingerprint: str = "") -> list[float]:
        """The vector of a question, for the table of this fingerprint (empty: the wanted one). With `start`, an
        embedder that is asleep is waited for; without, it is woken for the next question. Raises
        EmbeddingUnavailable."""
        one = self._of(fingerprint)
        if one is None:
            raise EmbeddingUnavailable("vectors are being made by another embedder")
        why_not = self.problem if one is self._current else one.problem
        if why_not:
            raise EmbeddingUnavailable(why_not)
        if not (one.warm and one.running):
            if self._loading is None or self._loading.done():
                self._loading = asyncio.create_task(_wake(one), name="wake the embedder")
            if not start:
                raise EmbeddingUnavailable("the embedder is just starting")
        try:
            async with asyncio.timeout(wait_s):
                vectors = await one.embed([text], question=True)
        except TimeoutError:
            raise EmbeddingUnavailable(f"the embedder is busy for more than {wait_s:g} s") from None
        return vectors[0].tolist()

    def remember(self, store: Store) -> None:
        """Takes over who made the older tables. Blocks."""
        known = _made_by(store)
        for table in store.vector_tables.older:
            if table.fingerprint in known and table.fingerprint not in self._earlier:
                self._earlier[table.fingerprint] = OneEmbedder(known[table.fingerprint])

    def stop(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
        for one in (self._current, *self._earlier.values()):
            one.stop()


async def _identity(one: OneEmbedder) -> tuple[str, int]:
    """Fingerprint and dimensions of its table; those of the default embedder are known before it is downloaded."""
    if one.settings == EmbedderSettings():
        return weights.FINGERPRINT, weights.DIMENSIONS
    facts = (await one.wanted()).facts
    return facts.fingerprint, facts.dimensions


async def _wake(one: OneEmbedder) -> None:
    try:
        await one.embed(["warm"], question=True)
    except EmbeddingUnavailable:
        return  # `problem` says it, and whoever asks next is told


def _want(store: Store, fingerprint: str, dimensions: int, settings: EmbedderSettings) -> None:
    file = store.folder / _MADE_BY
    draft = file.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(_made_by(store) | {fingerprint: settings}))
    draft.replace(file)
    store.want_vectors(fingerprint, dimensions)  # last: who finds the table wanted does nothing of this again


def _made_by(store: Store) -> dict[str, EmbedderSettings]:
    default = {weights.FINGERPRINT: EmbedderSettings()}  # every store wants it first, without a note
    try:
        noted = (store.folder / _MADE_BY).read_bytes()
        return default | msgspec.json.decode(noted, type=dict[str, EmbedderSettings])
    except FileNotFoundError:
        return default
    except (OSError, msgspec.MsgspecError) as failed:
        _log.warning("older vectors answer no questions any longer: %s", failed)
        return default
