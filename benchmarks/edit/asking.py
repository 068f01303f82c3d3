"""The part of `foreword bench edit` in which a model takes part: which one is asked, and for what."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from benchmarks.archives import ArchiveError
from benchmarks.edit.asked import Asked, NoHistory, from_repository, from_steps
from benchmarks.edit.histories import HISTORIES, TrueEdit, edits
from benchmarks.edit.model import NAMED_FIGURES as NAMED_FIGURES
from benchmarks.edit.model import figures, measured
from benchmarks.figures import Figure
from benchmarks.results import Problem
from benchmarks.targets import Say
from lsp.commands.cursor import EXPECTED
from lsp.commands.edit import editor_of
from lsp.edits.reading import model_of
from lsp.settings import Settings

ANSWERS = 24
QUICK_ANSWERS = 4
STEPS = 40
"""Of each history, of which those are asked for that are small enough."""


class Asking(msgspec.Struct, frozen=True):
    count: int
    repository: Path | None
    settings: Settings
    languages: tuple[str, ...]


async def asked_for(asking: Asking, say: Say) -> tuple[list[Figure], list[Problem]]:
    """What the model of these settings makes of so many changes."""
    problems: list[Problem] = []
    try:
        asked = await asyncio.to_thread(_asked, asking, problems)
        async with AsyncExitStack() as held:
            engine = await editor_of(asking.settings, 1, lambda stage, done, total: None, held)
            model = model_of(engine)
            made, failed = await measured(asked, engine, say)
    except (NoHistory, *EXPECTED) as unable:
        return [], [*problems, Problem("model", "edits", str(unable))]
    problems += [Problem(model, "edits", why) for why in failed]
    return figures(made, model), problems


def _asked(asking: Asking, problems: list[Problem]) -> list[Asked]:
    if asking.repository is not None:
        return from_repository(asking.repository, asking.count)
    steps: list[TrueEdit] = []
    for history in HISTORIES:
        if history.language in asking.languages:
            try:
                steps += edits(history, STEPS)
            except ArchiveError as failed:
                problems.append(Problem("history", history.language, str(failed)))
    return from_steps(steps, asking.count)
