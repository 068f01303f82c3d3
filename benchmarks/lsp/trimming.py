"""Texts of the model for cut lines of the development repositories: what `trimmed` compares."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from benchmarks.archives import ArchiveError
from benchmarks.context import go_cases, python_cases, typescript_cases
from benchmarks.context.case import Case, Kind, Language, sample
from benchmarks.context.given import of_nothing
from benchmarks.context.quality import prompt_of, write
from benchmarks.context.sources import ARCHIVES, unpacked
from benchmarks.engine.hosted import Hosted
from benchmarks.lsp.trimmed import Scored, scored
from benchmarks.results import Problem
from benchmarks.targets import Say, TargetError
from engine.profiles import QWEN_SMALL
from engine.tokens import ModelTokenizer

CASES, QUICK_CASES = 24, 3
"""Of each language, from all of its repositories."""
PYTHON_KIND: Kind = "random"
"""The other cutters know only lines that use an import."""
SEED = 0
BUDGET = 1_536
"""Only a name here: without a repository all prompts hold the file alone."""


async def texts(
    host: Hosted, tokenizer: ModelTokenizer, scratch: Path, say: Say, *, quick: bool
) -> tuple[list[Scored], list[Problem]]:
    """What the model wrote at each place, scored as it came and as it would be shown. Raises TargetError where the host
    fails."""
    cases, problems = await asyncio.to_thread(_cases, scratch, QUICK_CASES if quick else CASES)
    say(f"trimming: {len(cases)} lines to write")
    found: list[Scored] = []
    for given in of_nothing(cases, (BUDGET,)):
        last = await write(host, prompt_of(given, QWEN_SMALL, tokenizer))
        ended = last.finished is not None and last.finished != "length"
        found.append(scored(last.text, given.case, ended=ended))
    return found, problems


def _cases(scratch: Path, count: int) -> tuple[list[Case], list[Problem]]:
    found: list[Case] = []
    problems: list[Problem] = []
    for language, archives in ARCHIVES.items():
        of_language: list[Case] = []
        for archive in archives:
            try:
                source = unpacked(archive, language, scratch / "sources")
            except (ArchiveError, TargetError) as failed:
                problems.append(Problem("trimming", archive.package, str(failed)))
                continue
            of_language += _cut(language, source.folder, source.name)
        found += sample(of_language, count, SEED)
    return found, problems


def _cut(language: Language, folder: Path, name: str) -> Sequence[Case]:
    if language == "python":
        return list(python_cases.cases_of(folder, name, PYTHON_KIND))
    cutter = typescript_cases if language == "typescript" else go_cases
    return list(cutter.cases_of(folder, name))
