"""A made repository as large as they come: how fast it is searched, and what the service holds while it rests."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from pathlib import Path

import psutil

from benchmarks.figures import percentile
from benchmarks.index import made
from benchmarks.index.bench import Bench, Part
from benchmarks.index.made_words import NOUNS, QUALITIES, VERBS
from benchmarks.index.service import Home, running
from benchmarks.index.vectors import at_rest, vectors_of, with_tiny_embedder
from benchmarks.processes import MB, memory
from benchmarks.targets import TargetError

INDEX_TIMEOUT_S = 3600.0
QUERIES_WARM = 20
LIMIT = 10
LEAST_BY_VECTOR = 0.25
"""Of the questions; where names and words say enough, the nearest vectors need not be among the ten best."""
PEAK_POLL_S = 0.5


async def hybrid(bench: Bench) -> None:
    """Questions of words, names and phrases to 100,000 chunks, each with a vector."""
    folder, home = await _made(bench, "searched", bench.sizes.searched_files)
    async with running(home) as service:
        embedded = await vectors_of(service, folder)
        await at_rest(home, bench)
        rng = random.Random(made.SEED)
        taken: list[float] = []
        by_vector = 0
        for number in range(QUERIES_WARM + bench.sizes.queries):
            question = _question(rng, number, bench.sizes.searched_files)
            began = time.perf_counter()
            found = await service.client.search(str(folder), question, LIMIT)
            if number >= QUERIES_WARM:
                taken.append(time.perf_counter() - began)
            if found.note:
                raise TargetError(f"not everything was asked for {question!r}: {found.note}")
            by_vector += any("vector" in hit.why for hit in found.hits)
    if by_vector < LEAST_BY_VECTOR * (QUERIES_WARM + bench.sizes.queries):
        raise TargetError(
            f"only {by_vector} questions had an answer by its vector: this was no hybrid search"
        )
    status = embedded.status
    bench.told["hybrid_questions_answered_by_vector_too"] = by_vector
    bench.high(
        "hybrid_100k_p95_s",
        taken,
        f"{status.vectors} of {status.chunks} chunks with vectors, {LIMIT} hits; an embedder of next to no cost, so "
        "that the vector of the question is within it",
    )
    bench.single("hybrid_100k_s", percentile(taken, 0.5), "s", "the same, median")
    bench.single(
        "tiny_vectors_per_s", embedded.rate, "chunks/s", "all but the model: reading, handing over, writing"
    )


async def resting(bench: Bench) -> None:
    """Memory of the service and its children, after everything is indexed and they have come to rest."""
    folder, home = await _made(bench, "resting", bench.sizes.resting_files)
    async with running(home) as service:
        peak: list[float] = [0.0]
        watching = asyncio.create_task(_peak(service.pid, peak))
        began = time.perf_counter()
        try:
            await service.client.open_root(str(folder), wait=True, timeout_s=INDEX_TIMEOUT_S)
            cold_s = time.perf_counter() - began
            embedded = await vectors_of(service, folder)
            await at_rest(home, bench)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        await asyncio.sleep(bench.sizes.settle_s)
        held, own = memory(service.pid), psutil.Process(service.pid).memory_info().rss
        children = len(psutil.Process(service.pid).children(recursive=True))
    status = embedded.status
    what = f"{status.files} files, {status.source_bytes / MB:.0f} MB, {status.chunks} chunks, {status.vectors} vectors"
    bench.single(
        "rss_50k_mb", held.resident / MB, "MB", f"{what}; the service and {children} children, at rest"
    )
    bench.single("rss_50k_service_mb", own / MB, "MB", "the service's own process")
    bench.single("pss_50k_mb", held.proportional / MB, "MB", "what they share counted once")
    bench.single("rss_50k_peak_mb", peak[0], "MB", "at the busiest, children included")
    bench.single("cold_50k_s", cold_s, "s", f"{what.split(',')[0]}, without vectors")
    bench.single("store_50k_over_source", home.store_bytes / status.source_bytes, "ratio", "with vectors")


async def _made(bench: Bench, name: str, files: int) -> tuple[Path, Home]:
    """(a made repository, folders of a service with an embedder that costs nothing)."""
    folder = bench.scratch / name
    began = time.perf_counter()
    totals = await asyncio.to_thread(made.write, folder, files)
    seconds = time.perf_counter() - began
    bench.say(f"made {totals.files} files, {totals.bytes / MB:.0f} MB in {seconds:.0f} s")
    bench.told[f"made_{name}"] = {"files": totals.files, "bytes": totals.bytes, "seed": made.SEED}
    return folder, bench.home(await with_tiny_embedder(bench))


def _question(rng: random.Random, number: int, files: int) -> str:
    """In turn a phrase, a sentence, a name that is defined, a word with a name."""
    match number % 4:
        case 0:
            return f"{rng.choice(VERBS)} {rng.choice(QUALITIES)} {rng.choice(NOUNS)}"
        case 1:
            return f"what waits for the {rng.choice(NOUNS)} of a {rng.choice(QUALITIES)} {rng.choice(NOUNS)}?"
        case 2:
            return made.identity(made.SEED, rng.randrange(files)).type
        case _:
            return f"{rng.choice(NOUNS)} {made.identity(made.SEED, rng.randrange(files)).functions[0]}"


async def _peak(pid: int, peak: list[float]) -> None:
    """Keeps the largest resident memory in `peak[0]` until cancelled."""
    while True:
        peak[0] = max(peak[0], memory(pid).resident / MB)
        await asyncio.sleep(PEAK_POLL_S)


PARTS = (
    Part("search in 100,000 chunks", ("hybrid_100k_p95_s", "hybrid_100k_s", "tiny_vectors_per_s"), 5, hybrid),
    Part(
        "50,000 files",
        ("rss_50k_mb", "rss_50k_service_mb", "cold_50k_s", "store_50k_over_source"),
        10,
        resting,
    ),
)
