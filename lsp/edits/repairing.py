"""One more turn of the model about an edit that was applied and is not right: what failed is told, the blocks are
written anew, and what they come to is put in place of what was applied."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.editing.blocks import Event
from engine.editing.prompt import fenced, with_turn
from lsp.edits.applying import FileChange
from lsp.edits.files import SourceFile
from lsp.edits.helped import Noted
from lsp.edits.lines import Edit, differing, split
from lsp.edits.reading import CannotEdit, Reads
from lsp.edits.running import Outcome, answered

if TYPE_CHECKING:
    from engine.prompts import Prompt, Tokenizer
    from lsp.links.engines import Engine

MOST_DIAGNOSTICS = 20
"""That are told to the model."""


class Failure(msgspec.Struct, frozen=True):
    """What is wrong with the result of an edit. Written by other programs, about texts of a repository."""

    diagnostics: Sequence[Noted] = ()
    check: str = ""
    """How the check ended."""
    tail: str = ""
    """The end of its output."""


def question(failure: Failure, instruction: str) -> str:
    """What the model is told, after its own answer."""
    parts = ["These blocks were applied, and the result is not right.\n"]
    told = [each.diagnosed.told() for each in failure.diagnostics[:MOST_DIAGNOSTICS]]
    if told:
        lines = "".join(f"{' '.join(each.split())}\n" for each in told)
        parts.append(f"Diagnostics of the result:\n{fenced(lines)}")
    if failure.check:
        parts.append(f"A check of the result failed: {' '.join(failure.check.split())}\n")
    if failure.tail:
        parts.append(f"The end of its output:\n{fenced(failure.tail)}")
    asked = " ".join(instruction.split())
    parts.append(
        "Task: answer with all blocks once more, for the files as they were shown before these blocks, so that the "
        f"result is right. What was asked for: {asked}\n"
    )
    return "".join(parts)


def repair_prompt(first: Prompt, answer: str, asked: str, tokenizer: Tokenizer) -> Prompt:
    """The conversation of the edit gone on with: all of it up to the answer is the same, token by token."""
    return with_turn(first, answer, asked, tokenizer)


async def repaired(
    first: Outcome, failure: Failure, place: Reads, engine: Engine, on_event: Callable[[Event], None]
) -> Outcome:
    """The edit written anew; its changes are those from what was applied. Raises CannotEdit, EngineRequestError."""
    from indexer.secrets.redaction import redact

    if first.asked is None or first.prompt is None or first.applied is None:
        raise CannotEdit("of this edit the model's turn is not kept, so that it cannot be repaired")
    text = question(failure, first.asked.task.instruction)
    text = (await asyncio.to_thread(redact, text, None)).text
    prompt = await asyncio.to_thread(repair_prompt, first.prompt, first.answer, text, engine.tokenizer)
    if prompt.tokens + first.asked.sampling.max_tokens > engine.endpoint.context_tokens:
        raise CannotEdit("what the model would have to read for a repair is longer than its window")
    asked = msgspec.structs.replace(first.asked, prompt=prompt)
    made = [
        each.new_path for each in first.applied.changes if each.path != each.new_path or each.before is None
    ]
    again = await answered(asked, place, engine, on_event, made=made)
    if again.applied is None:
        return again
    changes = between(first.applied.changes, again.applied.changes)
    if not changes:
        raise CannotEdit("the model writes the same once more")
    return msgspec.structs.replace(again, applied=msgspec.structs.replace(again.applied, changes=changes))


def between(applied: Sequence[FileChange], wanted: Sequence[FileChange]) -> tuple[FileChange, ...]:
    """From the files as one edit left them to what another one of the same files comes to."""
    now, then = _texts(applied), _texts(wanted)
    files = {each.path: each.before for each in (*applied, *wanted) if each.before is not None}
    guessed = {each.new_path: each.guessed for each in wanted}
    found: list[FileChange] = []
    for path in sorted({*now, *then}):
        here = now.get(path, files[path].text if path in files else None)
        there = then.get(path, files[path].text if path in files else None)
        if here == there:
            continue
        before = None if here is None else _file(path, here, files)
        edits = _edits(here, there) if here is not None and there is not None else ()
        found.append(FileChange(path, path, before, there, edits, guessed.get(path, ())))
    return tuple(found)


def over(applied: Sequence[FileChange], repairs: Sequence[FileChange]) -> tuple[FileChange, ...]:
    """Both as one: from the files before the edit to what its repair has made of them."""
    started = {each.path: each.before for each in applied}
    held = _texts(applied) | _texts(repairs)
    before = {each.path: each.before for each in repairs if each.path not in started}
    moved = {each.new_path for each in applied if each.path != each.new_path}
    found: list[FileChange] = []
    for path in sorted(held):
        first = None if path in moved else started.get(path, before.get(path))
        there, text = held[path], None if first is None else first.text
        if there != text:
            edits = _edits(text, there) if text is not None and there is not None else ()
            found.append(FileChange(path, path, first, there, edits))
    return tuple(found)


def _texts(changes: Sequence[FileChange]) -> dict[str, str | None]:
    """What each path that is named holds afterwards; None where nothing is there."""
    texts: dict[str, str | None] = {each.path: None for each in changes if each.path != each.new_path}
    return texts | {each.new_path: each.after for each in changes}


def _file(path: str, text: str, files: Mapping[str, SourceFile]) -> SourceFile:
    there = files.get(path)
    return SourceFile(path, text) if there is None else msgspec.structs.replace(there, text=text, shown=None)


def _edits(old: str, new: str) -> tuple[Edit, ...]:
    before, after = split(old).lines, split(new).lines
    return tuple(Edit(start, end, after[first:last]) for start, end, first, last in differing(before, after))
