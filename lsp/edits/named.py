"""Which definition of a file an instruction names: there its edit belongs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping

import msgspec

from lsp.edits.files import SourceFile
from lsp.edits.task import Focus, Task

WORD = re.compile(r"[^\W\d]\w*")
LEAST_CHARS = 3
"""Of a name that is meant when it stands in a sentence."""

MAX_CHARS = 1_000_000
"""A larger file is generated: it is not parsed for names."""


async def at_named(task: Task, files: Mapping[str, SourceFile], *, small: bool) -> Task:
    """The task with the lines of the definitions that its instruction names, each in the only file that has one of that
    name. A `small` model reads and changes these alone. A task that knows its place is left as it is."""
    if task.confined or task.diagnostics:
        return task
    focus = await asyncio.to_thread(lambda: list(_named(task.instruction, files)))
    if not focus:
        return task
    paths = {each.path for each in focus}
    kept = [each for each in task.focus if each.path not in paths]
    return msgspec.structs.replace(task, focus=[*focus, *kept], confined=small, alone=small)


def words_of(instruction: str) -> set[str]:
    """Of an instruction, what may be the name of a definition."""
    return {word for word in WORD.findall(instruction) if len(word) >= LEAST_CHARS}


def _named(instruction: str, files: Mapping[str, SourceFile]) -> Iterator[Focus]:
    """At most one for each file: where several definitions of one are named, from the first to the last."""
    from indexer.parsing.languages import language_of
    from indexer.parsing.tags import tags

    words = words_of(instruction)
    for path, file in files.items():
        if len(file.text) > MAX_CHARS or not any(word in file.text for word in words):
            continue
        found: dict[str, list[tuple[int, int]]] = {}
        for one in tags(file.text, language_of(path)).definitions:
            if one.name in words:
                found.setdefault(one.name, []).append((one.start_line, one.end_line))
        spans = [places[0] for places in found.values() if len(places) == 1]
        if spans and len(spans) == len(found):  # a name that stands for two places says nothing
            yield Focus(path, min(start for start, _ in spans) + 1, max(end for _, end in spans))
