"""One whole run of the engine benchmark: which targets are started, what is asked of them, what becomes of it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import psutil

from benchmarks.engine.figures import (
    LLAMACPP,
    NAMED,
    OURS,
    STOCK,
)
from benchmarks.engine.llamacpp_venv import VERSION as LLAMACPP_VERSION
from benchmarks.engine.session import Options, Session
from benchmarks.engine.texts import PACKAGES, Texts, TextsError
from benchmarks.machine_facts import machine_after, machine_before, steal_s
from benchmarks.report import Document
from benchmarks.results import Results
from benchmarks.targets import Say, ended_tidily
from engine.profiles import RUNTIME_BYTES, Profile, ProfileError, find
from engine.tokens import ModelTokenizer, TokenizerError
from engine.weights.tokenizer_file import ensure_tokenizer
from engine.weights.weights import WeightsError, ensure

__all__ = ["EXPECTED", "NAMED_FIGURES", "BenchError", "Options", "run"]

BASELINES = (STOCK, LLAMACPP)
LLAMACPP_BYTES = int(2.5e9)
"""Its children at their largest: one per precision that is best at some row, of 0.4, 0.7 and 1.3 GB."""
KV_BYTES = int(1.6e9)
"""Of a host that finds plenty of memory: the default model's pool of four windows."""
GB = 1e9
FULL_MINUTES = {OURS: 6, STOCK: 8, LLAMACPP: 14}
"""On two cores without AMX; the first run also builds llama.cpp and computes its perplexities."""

NAMED_FIGURES = (*(each.name for each in NAMED), "abort_steps_p95", "ttft_256k_cached_s")


class BenchError(Exception):
    """The benchmark cannot be run as asked; the message says why and what to do."""


EXPECTED = (BenchError, TextsError, TokenizerError, WeightsError, ProfileError, PackageNotFoundError)


async def run(options: Options, say: Say) -> Document:
    """Measure everything that was asked for. What cannot be measured is in the document's problems.

    Raises one of EXPECTED where nothing can be measured at all.
    """
    with ended_tidily(BenchError):
        return await _run(options, say)


async def _run(options: Options, say: Say) -> Document:
    profile = find(options.model)
    targets_wanted = (
        [OURS] if options.quick else [OURS, *(each for each in BASELINES if each not in options.without)]
    )
    check_memory(profile, targets_wanted, psutil.virtual_memory().available)
    machine, steal_before, began = machine_before(), steal_s(), time.monotonic()
    minutes = 2 if options.quick else sum(FULL_MINUTES[each] for each in targets_wanted)
    say(f"measuring {', '.join(targets_wanted)} with {profile.short}: about {minutes} minutes")
    await asyncio.to_thread(ensure, profile)
    texts = Texts(profile, ModelTokenizer.from_file(ensure_tokenizer(profile)))
    results = Results()
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="foreword-bench-")))
        session = Session(options, profile, texts, scratch, results, say, stack)
        figures = await session.measure(targets_wanted)
        machine |= {"hosts": session.told, "threads_of_stock": session.stock_threads}
    machine["model"] = profile.short
    machine["texts"] = {each.name: f"{each.version} {each.sha256}" for each in PACKAGES}
    machine["quick"] = options.quick
    machine["runs"] = 1 if options.quick else options.runs
    machine |= machine_after(machine, steal_before, time.monotonic() - began)
    machine["versions"]["llama-cpp-python"] = (
        LLAMACPP_VERSION if LLAMACPP in targets_wanted else "not measured"
    )
    return Document(machine, figures, results.problems)


def check_memory(profile: Profile, wanted: list[str], available_bytes: int) -> None:
    """Raises BenchError where the machine would begin to swap, and measure that."""
    host = RUNTIME_BYTES + profile.weights_bytes + KV_BYTES
    needed = host * sum(each != LLAMACPP for each in wanted) + (LLAMACPP_BYTES if LLAMACPP in wanted else 0)
    if available_bytes < needed:
        leave = [f"--without {each}" for each in wanted[1:]]
        remedy = f", or leave a baseline out ({' or '.join(leave)})" if leave else ""
        raise BenchError(
            f"{' and '.join(wanted)} side by side need {needed / GB:.1f} GB of free memory, "
            f"and {available_bytes / GB:.1f} GB are free. Close something{remedy}."
        )
