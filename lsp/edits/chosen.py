"""From an offer that somebody has chosen to the task for the model: the instruction, the files, the lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.editing.grammar import MAX_PATHS
from lsp.edits.actions import Offer
from lsp.edits.reading import CannotEdit
from lsp.edits.task import Focus, Task, Use
from lsp.edits.test_places import test_path

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from indexer.messages import Reference

AROUND = 6
"""Lines on each side of a diagnostic that a fix may change, where the definition around it is larger than that."""

MAX_REFERENCES = 500


async def task_of(
    offer: Offer, path: str, lines: Sequence[str], language: str | None, root: Path, index: IndexClient | None
) -> Task:
    """Raises CannotEdit where it turns out that there is nothing to do, IndexServiceError."""
    match offer.what:
        case "fix" | "fix all":
            return _fix(offer, path, len(lines))
        case "document":
            return _at(offer, path, f"Write the documentation of `{offer.name}`. Keep its code as it is.")
        case "implement":
            return _at(offer, path, f"Implement `{offer.name}`.")
        case "tests":
            return await _tests(offer, path, language, root)
        case "callers":
            return await _callers(offer, path, lines, root, index)
        case "explain" | "refactor":
            raise CannotEdit("an instruction is needed")


def _fix(offer: Offer, path: str, total: int) -> Task:
    told = offer.diagnostics[0].message if len(offer.diagnostics) == 1 else "all of these diagnostics"
    first, last = max(1, offer.first - AROUND), min(total, offer.last + AROUND)
    return Task(
        instruction=f"Fix: {told}",
        paths=[path],
        focus=[Focus(path, first, last)],
        confined=True,
        diagnostics=offer.diagnostics,
        shape="one place" if offer.what == "fix" else "any",
    )


def _at(offer: Offer, path: str, instruction: str) -> Task:
    """One definition."""
    return Task(
        instruction=instruction,
        paths=[path],
        focus=[Focus(path, offer.first, offer.last)],
        confined=True,
        shape="one place",
    )


async def _tests(offer: Offer, path: str, language: str | None, root: Path) -> Task:
    place = await asyncio.to_thread(test_path, root, path, language)
    if place is None:
        raise CannotEdit(f"where tests of {path} belong is not known for its language")
    there = await asyncio.to_thread((root / place).is_file)
    instruction = f"Write tests for `{offer.name}` of {path}, in {place}."
    return Task(
        instruction=instruction,
        paths=[place] if there else [],
        new_paths=[] if there else [place],
        reads=[Focus(path, offer.first, offer.last)],
    )


async def _callers(
    offer: Offer, path: str, lines: Sequence[str], root: Path, index: IndexClient | None
) -> Task:
    if index is None:
        raise CannotEdit("the callers are known to the index alone, and it is not there")
    line = next(
        (at for at in range(offer.first - 1, min(offer.last, len(lines))) if offer.name in lines[at]),
        offer.first - 1,
    )
    answer = await index.references(str(root), offer.name, MAX_REFERENCES, path=path, line=line)
    places = [
        each
        for each in answer.references
        if each.kind != "import" and not (each.path == path and each.line == line)
    ]
    if not places:
        raise CannotEdit(answer.note or f"nothing in the index refers to `{offer.name}`")
    paths = list(dict.fromkeys(each.path for each in places))
    if len(paths) > MAX_PATHS:
        raise CannotEdit(
            f"`{offer.name}` is used in {len(paths)} files, and one edit changes at most {MAX_PATHS}"
        )
    head = " ".join(each.strip() for each in lines[line : line + 3])
    instruction = f"`{offer.name}` in {path} has been changed to: {head}\nChange its callers to fit."
    return Task(
        instruction=instruction,
        paths=paths,
        focus=[_around(places, each) for each in paths],
        reads=[Focus(path, offer.first, offer.last)],
        plan="known",
        uses=[Use(each.path, each.line + 1, each.name) for each in places],
    )


def _around(places: Sequence[Reference], path: str) -> Focus:
    found = [each.line + 1 for each in places if each.path == path]
    return Focus(path, max(1, min(found) - AROUND), max(found) + AROUND)
