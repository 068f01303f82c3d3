"""Vectors beside sentence-transformers as it comes, and what the whole index takes on the disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path

import msgspec

from benchmarks.index import tiny_embedder
from benchmarks.index.baselines import STOCK, Stock
from benchmarks.index.bench import Bench, Part
from benchmarks.index.repositories import python_files
from benchmarks.index.service import Home, Service, running
from benchmarks.processes import MB
from benchmarks.targets import TargetError
from engine.profiles import find
from engine.tokens import TokenizerError
from engine.weights.tokenizer_file import ensure_tokenizer
from engine.weights.weights import WeightsError
from indexer.embedding import weights
from indexer.embedding.weights import WeightsUnavailable
from indexer.messages import PackRequest, ProgressNote, RootStatus, TokenizerRef
from indexer.parsing.facts import facts_of

REST_S = 45.0
REST_TIMEOUT_S = 240.0
"""A store is at rest when its size has not changed for the first, in which it would have been compacted; the second is
for a busy machine."""
EMBEDDING_TIMEOUT_S = 3600.0
MODEL = "qwen2.5-coder-0.5b"
"""The embedded default, whose token ids are kept."""
BUDGET = 4_096
"""Of the pack that is asked for, in tokens."""


class Embedded(msgspec.Struct, frozen=True):
    """A whole set of vectors, made by a service."""

    chunks: int
    """After those of the first job, which is where the clock starts: the model is loaded then."""
    seconds: float
    status: RootStatus

    @property
    def rate(self) -> float:
        return self.chunks / self.seconds


async def embed(bench: Bench) -> None:
    """The same chunks by both, in turn."""
    folder = bench.scratch / "embedded"
    texts = await asyncio.to_thread(_part_of, bench.subject.folder, folder, bench.sizes.embedded_chunks)
    ours: list[float] = []
    stock: list[float] = []
    settings = ""
    with_stock = not bench.options.quick and STOCK not in bench.options.without
    for run in range(bench.runs):
        async with running(bench.home()) as service:
            embedded = await vectors_of(service, folder)
        ours.append(embedded.rate)
        bench.say(f"vectors {run + 1} of {bench.runs}: {embedded.rate:.1f} chunks/s")
        if not with_stock:
            continue
        try:
            rate, settings = await _stock(bench, texts)
            stock.append(rate)
        except (TargetError, WeightsUnavailable) as error:
            bench.results.failed(STOCK, "embed_over_stock", error)
            with_stock = False
    bench.ratio("embed_over_stock", ours, stock, f"{settings}; the same {len(texts)} chunks, models loaded")
    with_what = f"{weights.NAME} by the service, at most {_threads()} threads, with reads and writes"
    bench.absolute("embed_chunks_per_s", ours, with_what, "chunks/s")
    bench.absolute("stock_chunks_per_s", stock, settings, "chunks/s")


async def vectors_of(service: Service, folder: Path) -> Embedded:
    """Every chunk of `folder` with its vector. Raises TargetError."""
    first: list[tuple[int, float]] = []

    def told(note: ProgressNote) -> None:
        if note.stage == "embedding" and note.done and not first:
            first.append((note.done, time.perf_counter()))

    status = await service.client.open_root(
        str(folder), wait_vectors=True, on_progress=told, timeout_s=EMBEDDING_TIMEOUT_S
    )
    now = time.perf_counter()
    if not first or status.vectors < status.chunks or status.chunks <= first[0][0]:
        raise TargetError(
            f"{status.vectors} of {status.chunks} chunks of {folder} have vectors: {status.note}"
        )
    (done, since) = first[0]
    return Embedded(status.chunks - done, now - since, status)


async def _stock(bench: Bench, texts: list[str]) -> tuple[float, str]:
    """(chunks a second, with what)."""
    model = await asyncio.to_thread(weights.ensure)
    log = bench.scratch / "stock.log"
    async with Stock.running(model, _threads(), log) as stock:
        seconds = await stock.embed(texts, log)
        return len(texts) / seconds, stock.settings


def _threads() -> int:
    """What the service's embedder takes at most, on a machine that does nothing else."""
    from indexer.embedding.embedder import MOST_THREADS

    return min(MOST_THREADS, os.cpu_count() or 1)


def _part_of(source: Path, folder: Path, chunks: int) -> list[str]:
    """Copies files from everywhere in `source` into `folder` until they have so many chunks; gives their texts."""
    files = python_files(source)
    step = max(1, len(files) // max(1, chunks // 4))
    order = [path for start in range(step) for path in files[start::step]]
    texts: dict[str, None] = {}
    for path in order:
        if len(texts) >= chunks:
            break
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        texts |= dict.fromkeys(chunk.text for chunk in facts_of(path.read_bytes(), "python").chunks)
    return list(texts)


async def disk(bench: Bench) -> None:
    """The store of the whole subject with its vectors and token ids, once it has come to rest."""
    home = bench.home()
    async with running(home) as service:
        embedded = await vectors_of(service, bench.subject.folder)
        if not bench.options.quick:
            await _ask_for_token_ids(service, bench)
        stored = await at_rest(home, bench)
    status = embedded.status
    ids = any(path.name.startswith("token_ids") for path in home.folder.rglob("*.lance"))
    bench.told["token_ids_stored"] = ids
    bench.single(
        "disk_over_source",
        stored / status.source_bytes,
        "ratio",
        f"{stored / MB:.1f} MB of blocks for {status.source_bytes / MB:.2f} MB in {status.files} files, "
        f"{status.chunks} chunks, {status.vectors} vectors; {'token ids' if ids else 'no token ids'}",
    )
    bench.single("store_mb", stored / MB, "MB", "with vectors")
    bench.single(
        "all_vectors_s", embedded.seconds, "s", f"{embedded.chunks} chunks, {embedded.rate:.1f} a second"
    )


async def _ask_for_token_ids(service: Service, bench: Bench) -> None:
    """As a completion does: from then on the service has the ids of every file made while nothing else is to be done.
    Raises TargetError."""
    try:
        tokenizer = await asyncio.to_thread(ensure_tokenizer, find(MODEL))
    except (TokenizerError, WeightsError) as failed:
        raise TargetError(f"no token ids without a tokenizer: {failed}") from failed
    path = bench.subject.folder / bench.subject.saved
    text = await asyncio.to_thread(path.read_text, "utf-8")
    wanted = PackRequest(
        str(path), text, line=1, character=0, budget=BUDGET, tokenizer=TokenizerRef(str(tokenizer))
    )
    await service.client.pack(wanted)


async def with_tiny_embedder(bench: Bench) -> dict[str, str]:
    """The environment of a service whose vectors cost next to nothing. Raises WeightsUnavailable."""
    model = bench.scratch / "tiny-embedder"
    if not model.exists():
        await asyncio.to_thread(tiny_embedder.make, await asyncio.to_thread(weights.ensure), model)
    # what the service makes of a model goes where models are, and this one is nobody's
    return {"FOREWORD_EMBEDDER": str(model), "FOREWORD_MODELS": str(bench.scratch / "models")}


async def at_rest(home: Home, bench: Bench) -> int:
    """Bytes of the store when nothing writes any more. Raises TargetError."""
    rest_s = min(REST_S, bench.sizes.settle_s)
    began = last_change = time.perf_counter()
    before = home.store_bytes
    while time.perf_counter() - last_change < rest_s:
        if time.perf_counter() - began > REST_TIMEOUT_S:
            raise TargetError(f"the store still changes {REST_TIMEOUT_S:.0f} s after the last work")
        await asyncio.sleep(rest_s / 10)
        now = home.store_bytes
        if now != before:
            before, last_change = now, time.perf_counter()
    return before


PARTS = (
    Part("vectors", ("embed_over_stock", "embed_chunks_per_s", "stock_chunks_per_s"), 5, embed),
    Part("the disk", ("disk_over_source", "store_mb", "all_vectors_s"), 4, disk),
)
