"""One whole run of the completion benchmark: the server alone, a folder opened, the model's texts trimmed, and the
typing trace."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import msgspec

from benchmarks.archives import ArchiveError
from benchmarks.figures import Figure
from benchmarks.lsp import opening, resting, trimmed
from benchmarks.lsp.figures import blocked_figures, overhead_figures, trace_figures
from benchmarks.lsp.ours_side import Blocked
from benchmarks.lsp.overhead import overhead
from benchmarks.lsp.scoring import Score, score
from benchmarks.lsp.trace import DEBOUNCED, LLAMAVIM, Trace
from benchmarks.lsp.trimming import texts
from benchmarks.machine_facts import machine_after, machine_before, steal_s
from benchmarks.report import Document
from benchmarks.results import Problem
from benchmarks.targets import Say, TargetError, ended_tidily
from engine.profiles import QWEN_SMALL
from engine.tokens import ModelTokenizer, TokenizerError
from engine.weights.model_folder import WeightsError
from engine.weights.weights import ensure, ensure_tokenizer

PARTS = ("overhead", "opening", "resting", "trimmed", "trace")
LEFT_OUT = (LLAMAVIM, DEBOUNCED)
NAMED_FIGURES = (
    "overhead_p95_s",
    "overhead_over_pygls",
    "loop_blocked_max_s",
    "ghost_over_llamavim_p50",
    "ghost_over_llamavim_p95",
    "em_over_llamavim",
    "answered_without_engine",
    "wasted_over_debounce",
    "em_trimmed_over_raw",
    "es_trimmed_over_raw",
    "em_shown_over_raw",
    "es_shown_over_raw",
    "open_to_ghost_s",
    "cold_stands_still_s",
    "key_to_ghost_rested_s",
    "rested_over_at_once",
)
"""Those that the project is held to, in the order in which they are shown."""
EXPECTED = (ArchiveError, TargetError, PackageNotFoundError, WeightsError, TokenizerError)
FAILURES = (ArchiveError, TargetError, OSError)
"""Of one part: it is told, and the others go on."""


class Options(msgspec.Struct, frozen=True):
    quick: bool = False
    only: tuple[str, ...] = ()
    """Of PARTS; empty means all."""
    without: tuple[str, ...] = ()
    """Of LEFT_OUT."""
    repository: Path | None = None
    """A clone whose last commits are typed, instead of the release history."""

    @property
    def wanted(self) -> tuple[str, ...]:
        return self.only or PARTS


async def run(options: Options, say: Say) -> Document:
    """Measure. What cannot be measured is in the document's problems. Raises one of EXPECTED where nothing can be."""
    with ended_tidily():
        return await _run(options, say)


async def _run(options: Options, say: Say) -> Document:
    machine, steal_before, began = machine_before(), steal_s(), time.monotonic()
    found = Found([], [], [], {})
    async with AsyncExitStack() as stack:
        scratch = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="foreword-bench-", ignore_cleanup_errors=True)
            )
        )
        if "overhead" in options.wanted:
            try:
                measured = await overhead(scratch, say, quick=options.quick)
                if not measured.own_s:
                    raise TargetError("no request was answered with text")
                found.figures += overhead_figures(measured)
                found.blocked.append(measured.blocked)
            except FAILURES as failed:
                found.problems.append(Problem("ours", "overhead", str(failed)))
        if set(options.wanted) - {"overhead"}:
            try:
                await _with_engine(options, scratch, say, found)
            except FAILURES as failed:
                found.problems.append(Problem("ours", "what needs the engine", str(failed)))
    found.figures += blocked_figures(found.blocked)
    machine |= machine_after(machine, steal_before, time.monotonic() - began)
    machine |= {"quick": options.quick, "model": QWEN_SMALL.short, **found.told}
    return Document(machine, found.figures, found.problems)


def nothing_shown(scores: Mapping[str, Score]) -> list[Problem]:
    """Sides that had nothing on screen before the next key, ever: nothing can be said of their texts."""
    reason = "nothing was on screen before the next key came; repeat on a quiet machine"
    return [Problem(name, "texts on screen", reason) for name, each in scores.items() if not each.latencies]


class Found(msgspec.Struct):
    """What a run has found so far."""

    figures: list[Figure]
    problems: list[Problem]
    blocked: list[Blocked]
    told: dict[str, object]


async def _with_engine(options: Options, scratch: Path, say: Say, found: Found) -> None:
    """Raises TargetError, WeightsError."""
    await asyncio.to_thread(ensure, QWEN_SMALL)
    tokenizer = ModelTokenizer.from_file(await asyncio.to_thread(ensure_tokenizer, QWEN_SMALL))
    trace = Trace(QWEN_SMALL, scratch, say)
    say("starting the engine")
    try:
        await trace.host.start()
        if "opening" in options.wanted:
            opened = await opening.opened(trace.host, trace.environment, scratch, say, quick=options.quick)
            found.figures += opening.figures(opened)
            found.told |= {"cold": opened.stages}
        if "resting" in options.wanted:
            told = await resting.rested(trace.host, trace.environment, scratch, say, quick=options.quick)
            found.figures += resting.figures(told)
        if "trimmed" in options.wanted:
            scored, problems = await texts(trace.host, tokenizer, scratch, say, quick=options.quick)
            found.figures += trimmed.figures(scored)
            found.problems += problems
        if "trace" in options.wanted:
            traced = await trace.run(options.repository, options.without, quick=options.quick)
            scores = {
                name: score(played, lambda text: len(tokenizer.encode(text)))
                for name, played in traced.played.items()
            }
            found.figures += trace_figures(scores, traced.history)
            found.problems += [*traced.problems, *nothing_shown(scores)]
            found.blocked += traced.blocked
            found.told |= {"sides": traced.settings}
    finally:
        await trace.host.close()
