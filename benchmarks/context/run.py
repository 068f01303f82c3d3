"""One whole run of the context benchmark: cases cut, repositories indexed without them, packs looked at and read."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from benchmarks.archives import ArchiveError
from benchmarks.context import base, quality_figures, shown_figures, simulation_figures
from benchmarks.context.answers import Answers
from benchmarks.context.case import Case, Kind
from benchmarks.context.given import Given, Method
from benchmarks.context.quality import judge_all, unanswered
from benchmarks.context.session import BUDGETS, FAILURES, KINDS, PARTS, SHOWN_KINDS, Options, Session
from benchmarks.context.sources import DEVELOPMENT, Source
from benchmarks.figures import Figure
from benchmarks.machine_facts import machine_after, machine_before, steal_s
from benchmarks.report import Document
from benchmarks.targets import Say, TargetError, ended_tidily
from engine.profiles import QWEN_SMALL
from engine.tokens import ModelTokenizer, TokenizerError
from engine.weights.model_folder import WeightsError
from engine.weights.tokenizer_file import ensure_tokenizer

__all__ = ["BUDGETS", "DEVELOPMENT", "EXPECTED", "KINDS", "NAMED_FIGURES", "PARTS", "Options", "run"]

CURVE = (512, 1024, 2048, 4096, 8192, 16384)
NAMED_FIGURES = (
    "shown_8192",
    "shown_4096",
    "shown_1024",
    "shown_4096_noimport",
    "shown_4096_member",
    "shown_4096_ts",
    "shown_4096_go",
    "pack_p95_s",
    "nll_gain_none",
    "nll_gain_bm25",
    "nll_gain_aider",
    "em_ratio",
    "em_gain_random",
    "hurt_over_helped",
    *simulation_figures.NAMED_FIGURES,
    "pack256k_first_s",
    "pack256k_again_s",
)
"""Those that the project is held to, in the order in which they are shown."""

EXPECTED = (ArchiveError, TargetError, PackageNotFoundError, WeightsError, TokenizerError)
PACKAGES = ("foreword", "lancedb", "tree-sitter", "sentence-transformers")
QUICK_CASES = 4
QUALITY_CASES = 20
"""Of each kind and repository: with four of each, 320."""
CURVE_CASES = 3


async def run(options: Options, say: Say) -> Document:
    """Measure. What cannot be measured is in the document's problems. Raises one of EXPECTED where nothing can be."""
    with ended_tidily():
        return await _run(options, say)


async def _run(options: Options, say: Say) -> Document:
    machine, steal_before, began = machine_before(PACKAGES), steal_s(), time.monotonic()
    tokenizer = ModelTokenizer.from_file(await asyncio.to_thread(ensure_tokenizer, QWEN_SMALL))
    figures: list[Figure] = []
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="foreword-bench-", ignore_cleanup_errors=True)
        )
        session = Session(options, tokenizer, Path(folder), say)
        answers = Answers(options.results)
        sources = await asyncio.to_thread(session.sources)
        if "shown" in options.wanted:
            figures += await _shown(session, sources)
        # The development repositories of the other languages are there for what is shown alone.
        read = [source for source in sources if options.repositories or source.language == "python"]
        if "quality" in options.wanted:
            at = (quality_figures.AT,)
            cases = await _ask(session, read, QUALITY_CASES, at, options.compared, answers, stack)
            figures += quality_figures.figures(answers.of(cases))
        if "curve" in options.wanted:
            cases = await _ask(session, read, CURVE_CASES, CURVE, ("foreword",), answers, stack)
            figures += quality_figures.curve(answers.of(cases), CURVE)
        if "simulation" in options.wanted:
            repository = options.repositories[0] if options.repositories else None
            figures += await _handed(
                session,
                "simulation",
                simulation_figures.figures(
                    session.scratch / "simulation", say, repository=repository, quick=options.quick
                ),
            )
        if "base" in options.wanted:
            folders = [source.folder for source in read]
            figures += await _handed(
                session, "base", base.figures(folders, tokenizer.file, session.scratch, say)
            )
    machine |= machine_after(machine, steal_before, time.monotonic() - began)
    machine |= {"quick": options.quick, "vectors": options.vectors, **session.told}
    return Document(machine, figures, session.problems)


async def _handed(session: Session, part: str, measuring: Awaitable[list[Figure]]) -> list[Figure]:
    """The figures of a part that is measured elsewhere, or a problem."""
    try:
        return await measuring
    except FAILURES as failed:
        session.failed("ours", part, failed)
        return []


async def _shown(session: Session, sources: Sequence[Source]) -> list[Figure]:
    options = session.options
    found: list[Given] = []
    counted: dict[str, int] = {}
    for source in sources:
        wanted = options.kinds or KINDS
        kinds: list[Kind] = [kind for kind in SHOWN_KINDS[source.language] if kind in wanted]
        if not kinds:
            continue
        try:
            count = QUICK_CASES if options.quick else options.cases
            cases = await asyncio.to_thread(session.cases, source, kinds, count)
        except TargetError as failed:
            session.failed("cases", source.name, failed)
            continue
        for kind in kinds:
            if of_kind := sum(case.kind == kind for case in cases):
                counted[f"{source.name} {kind}"] = of_kind
        found += await session.given(source, cases, options.budgets, options.compared)
    session.told["cases"] = counted
    return list(shown_figures.figures([each for each in found if each.method != "none"]))


async def _ask(
    session: Session,
    sources: Sequence[Source],
    most: int,
    budgets: Sequence[int],
    methods: Sequence[Method],
    answers: Answers,
    stack: AsyncExitStack,
) -> list[Case]:
    """Has the model read what each method gives at these budgets; the cases it was asked about."""
    options = session.options
    count = 1 if options.quick else min(most, options.cases)
    asked: list[Case] = []
    given: list[Given] = []
    for source in sources:
        try:
            cases = await asyncio.to_thread(session.cases, source, options.kinds or KINDS, count)
        except TargetError as failed:
            session.failed("cases", source.name, failed)
            continue
        asked += cases
        given += await session.given(source, cases, budgets, methods)
    waiting = await asyncio.to_thread(unanswered, given, QWEN_SMALL, session.tokenizer, answers)
    session.say(f"quality: {len(given) - len(waiting)} answers are known")
    if waiting:
        try:
            host = await session.host(stack)
            await judge_all(host, waiting, session.tokenizer, answers, session.say)
        except TargetError as failed:
            session.failed("ours", "quality", failed)
    return asked
