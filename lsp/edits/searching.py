"""Which file an instruction is about where none is named, and which lines of a large one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.editing.scores import ability
from lsp.edits.reading import CannotEdit, model_of
from lsp.edits.task import Focus, Task

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from indexer.messages import Hit
    from lsp.links.engines import Engine

HITS = 40
WORD = re.compile(r"[A-Za-z_]\w{2,}")
WORDS = 8
"""Of an instruction that are looked for one by one."""

FILES = 6
"""Of what search finds, for a model that may change several; a small one gets the likeliest."""


async def likeliest(task: Task, root: str, index: IndexClient, engine: Engine) -> Task:
    """The task with files that search finds for its instruction, where it names none, and with the likeliest lines of
    those that it names. Raises CannotEdit, IndexServiceError."""
    hits = await _hits(task.instruction, root, index)
    paths: Sequence[str] = task.paths
    if not paths:
        found = list(dict.fromkeys(hit.path for hit in hits))
        if not found:
            raise CannotEdit("search finds no file for this instruction; name the files that may be changed")
        paths = found[: FILES if ability(model_of(engine)).several_files else 1]
    focus = [*task.focus, *_focuses(hits, [path for path in paths if task.focus_in(path) is None])]
    return msgspec.structs.replace(task, paths=paths, focus=focus)


async def files_about(instruction: str, root: str, index: IndexClient) -> Sequence[str]:
    """The likeliest files for a model that may change several. Raises IndexServiceError."""
    return list(dict.fromkeys(hit.path for hit in await _hits(instruction, root, index)))[:FILES]


async def _hits(instruction: str, root: str, index: IndexClient) -> list[Hit]:
    """For the whole of it; where nothing matches all of that, for its words, those first that match more of them."""
    whole = (await index.search(root, instruction, HITS)).hits
    if whole:
        return whole
    found: dict[tuple[str, int], list[Hit]] = {}
    for word in list(dict.fromkeys(WORD.findall(instruction)))[:WORDS]:
        for hit in (await index.search(root, word, HITS)).hits:
            found.setdefault((hit.path, hit.start_line), []).append(hit)
    ranked = sorted(
        found.values(), key=lambda hits: (len(hits), max(hit.score for hit in hits)), reverse=True
    )
    return [hits[0] for hits in ranked]


def _focuses(hits: Sequence[Hit], paths: Iterable[str]) -> Iterable[Focus]:
    for path in paths:
        best = next((hit for hit in hits if hit.path == path), None)
        if best is not None:
            yield Focus(path, best.start_line + 1, best.end_line)
