"""One whole run of the index benchmark: its parts one after another, and what becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.archives import ArchiveError
from benchmarks.index import changes, cold, idle, large, repositories, vectors
from benchmarks.index.baselines import AIDER, AIDER_VERSION, CTAGS, STOCK
from benchmarks.index.bench import Bench, Options, Part
from benchmarks.index.idle import ENGINE
from benchmarks.machine_facts import machine_after, machine_before, steal_s
from benchmarks.report import Document
from benchmarks.targets import Say, TargetError, ended_tidily
from indexer.client import IndexServiceError
from indexer.embedding.weights import WeightsUnavailable

__all__ = ["EXPECTED", "LEFT_OUT", "NAMED_FIGURES", "Options", "run"]

NAMED_FIGURES = (
    "cold_over_aider",
    "cold_over_ctags",
    "first_answer_new_s",
    "first_answer_known_s",
    "resave_p95_s",
    "embed_over_stock",
    "hybrid_100k_p95_s",
    "switch_known_s",
    "switch_new_s",
    "query_after_saves",
    "disk_over_source",
    "rss_50k_mb",
    "idle_cpu",
)
"""Those that the project is held to, in the order in which they are shown."""

LEFT_OUT = (AIDER, CTAGS, STOCK, ENGINE)
"""What `--without` takes: three baselines, and the engine host that idles along."""
PARTS: tuple[Part, ...] = (*cold.PARTS, *changes.PARTS, *vectors.PARTS, *large.PARTS, *idle.PARTS)
EXPECTED = (ArchiveError, TargetError, PackageNotFoundError)
FAILURES = (TargetError, IndexServiceError, WeightsUnavailable, OSError)
"""Of one part: it is told, and the others go on."""
PACKAGES = ("foreword", "lancedb", "tree-sitter", "sentence-transformers", "torch")
QUICK_MINUTES = 2


async def run(options: Options, say: Say) -> Document:
    """Measure everything that was asked for. What cannot be measured is in the document's problems.

    Raises one of EXPECTED where nothing can be measured at all.
    """
    with ended_tidily():
        return await _run(options, say)


async def _run(options: Options, say: Say) -> Document:
    machine, steal_before, began = machine_before(PACKAGES), steal_s(), time.monotonic()
    wanted = [part for part in PARTS if options.wants(*part.names)]
    if not wanted:
        raise TargetError(
            f"--only {' '.join(options.only)} names no figure; these are: {', '.join(NAMED_FIGURES)}"
        )
    minutes = QUICK_MINUTES if options.quick else sum(part.minutes for part in wanted)
    say(f"measuring {', '.join(part.title for part in wanted)}: about {minutes:.0f} minutes")
    with tempfile.TemporaryDirectory(prefix="foreword-bench-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        repository = repositories.small if options.quick else repositories.networkx
        bench = Bench(options, scratch, await asyncio.to_thread(repository, scratch), say)
        for part in wanted:
            await _measured(bench, part)
    machine |= machine_after(machine, steal_before, time.monotonic() - began)
    machine |= {"quick": options.quick, "runs": bench.runs, "repository": bench.subject.name, **bench.told}
    _say_what_was_left_out(bench, machine)
    return Document(machine, bench.figures, bench.results.problems)


async def _measured(bench: Bench, part: Part) -> None:
    bench.say(f"— {part.title}")
    try:
        await part.run(bench)
    except FAILURES as failed:
        bench.results.failed("ours", part.names[0], failed)
        bench.say(f"not measured: {failed}")


def _say_what_was_left_out(bench: Bench, machine: dict[str, object]) -> None:
    """A figure that is missing on purpose is no problem, and is told all the same."""
    left_out = {
        AIDER: "cold_over_aider",
        CTAGS: "cold_over_ctags",
        STOCK: "embed_over_stock",
        ENGINE: "idle_cpu",
    }
    quick = (AIDER, STOCK, ENGINE) if bench.options.quick else ()
    told = {
        name: f"not measured: {'a quick run' if name in quick else '--without ' + name} ({figure})"
        for name, figure in left_out.items()
        if name in (*bench.options.without, *quick)
    }
    if told:
        machine["left_out"] = told
    if AIDER not in told:
        machine["aider"] = AIDER_VERSION
    with contextlib.suppress(PackageNotFoundError):
        machine["foreword"] = version("foreword")
