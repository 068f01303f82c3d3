"""One more turn of the model about an edit that was applied and is not right: what failed is told, the blocks are
written anew, and what they come to is put in place of what was applied."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.editing.blocks import Block, Delete, Event, Rename
from engine.editing.prompt import fenced, with_turn
from engine.endpoints.faults import EngineRequestError
from lsp.edits.applying import Applied, FileChange, Refused
from lsp.edits.cost import Figures
from lsp.edits.files import SourceFile
from lsp.edits.helped import Noted
from lsp.edits.lines import Edit, differing, split
from lsp.edits.reading import Asked, CannotEdit, Reads
from lsp.edits.running import Conversation, Outcome, answered, held_together

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


def meant(failure: Failure, first: Outcome) -> list[Conversation]:
    """The conversations that a failure is about: those of the files that diagnostics are in. All of them where a check
    has failed, which says where a fault was noticed and not where it is."""
    assert first.applied is not None
    names = {each.path: each.new_path for each in first.applied.changes}
    named = {each.diagnosed.path for each in failure.diagnostics}
    found = [
        each
        for each in first.conversations
        if not failure.check and not named.isdisjoint(names.get(path, path) for path in each.paths)
    ]
    return found or list(first.conversations)


async def repaired(
    first: Outcome,
    failure: Failure,
    place: Reads,
    engine: Engine,
    on_event: Callable[[int, Event], None],
) -> Outcome:
    """The edit written anew; its changes are those from what was applied. Where it was written in several conversations
    those go on that the failure is about, one after the other; of the others, and of those that come to nothing, the
    blocks stay. What was deleted and renamed stays so. `on_event` is given the line of the plan with what is written.
    Raises CannotEdit, EngineRequestError."""
    if first.applied is None or not first.conversations:
        raise CannotEdit("of this edit the model's turn is not kept, so that it cannot be repaired")
    made = [
        each.new_path for each in first.applied.changes if each.path != each.new_path or each.before is None
    ]
    again: dict[int, Outcome] = {}
    failures: list[CannotEdit | EngineRequestError] = []
    for each in meant(failure, first):
        try:
            asked = await _gone_on(each, failure, engine)
            again[each.step] = await answered(
                asked, place, engine, lambda event, step=each.step: on_event(step, event), made=made
            )
        except (CannotEdit, EngineRequestError) as failed:
            failures.append(failed)
            if isinstance(failed, EngineRequestError) and failed.fault != "request":
                break  # else this conversation was wrong for it, as by its length
    if not again:
        raise failures[0]
    outcome = await asyncio.to_thread(_together, first, again, place.root, made, failures)
    if outcome.applied is None:
        return outcome
    changes = between(first.applied.changes, outcome.applied.changes)
    if not changes:
        raise CannotEdit("the model writes the same once more")
    return msgspec.structs.replace(outcome, applied=msgspec.structs.replace(outcome.applied, changes=changes))


async def _gone_on(conversation: Conversation, failure: Failure, engine: Engine) -> Asked:
    """What is asked in a conversation once its answer has failed. Raises CannotEdit."""
    from indexer.secrets.redaction import redact

    asked = conversation.asked
    text = question(failure, asked.task.instruction)
    text = (await asyncio.to_thread(redact, text, None)).text
    prompt = await asyncio.to_thread(
        repair_prompt, conversation.prompt, conversation.answer, text, engine.tokenizer
    )
    if prompt.tokens + asked.sampling.max_tokens > engine.endpoint.context_tokens:
        raise CannotEdit("what the model would have to read for a repair is longer than its window")
    return msgspec.structs.replace(asked, prompt=prompt)


def _together(
    first: Outcome,
    again: Mapping[int, Outcome],
    root: Path,
    made: Sequence[str],
    failures: Sequence[Exception],
) -> Outcome:
    """The edit with what was written anew in place of what was. An answer that cannot be used leaves its blocks as they
    were, as long as there is another one that can. Raises CannotEdit."""
    usable = {step: each for step, each in again.items() if each.applied is not None}
    figures = reduce(Figures.with_more, (each.figures for each in again.values()))
    if not usable:
        refusals = tuple(refusal for each in again.values() for refusal in each.refusals)
        return msgspec.structs.replace(first, applied=None, figures=figures, refusals=refusals)
    kept: list[Conversation] = []
    for each in first.conversations:
        anew = usable.get(each.step)
        kept.append(each if anew is None else msgspec.structs.replace(anew.conversations[0], step=each.step))
    blocks = _with_moves(first.blocks, [block for each in kept for block in each.blocks])
    new = [each.new_path if isinstance(each, Rename) else each.path for each in blocks]
    result = held_together(blocks, first.files, root, new, made)
    unused = [each.why for each in again.values() if each.applied is None] + [str(each) for each in failures]
    notes = [*first.notes, *(result.notes if isinstance(result, Applied) else ())]
    return msgspec.structs.replace(
        first,
        applied=result if isinstance(result, Applied) else None,
        refusals=result.refusals if isinstance(result, Refused) else (),
        blocks=tuple(blocks),
        figures=figures,
        notes=tuple(dict.fromkeys([*notes, *(f"not repaired: {why}" for why in unused)])),
        conversations=tuple(kept),
    )


def _with_moves(before: Sequence[Block], anew: Sequence[Block]) -> list[Block]:
    """Files that were deleted and renamed are that on disk: what they were is not made again out of their text alone.
    Raises CannotEdit where an answer wants them elsewhere."""
    moved = {each.path: each for each in before if isinstance(each, Delete | Rename)}
    blocks: list[Block] = []
    for block in anew:
        if not isinstance(block, Delete | Rename) or block.path not in moved:
            blocks.append(block)
        elif block != moved[block.path]:
            raise CannotEdit(
                f"{block.path} was deleted or renamed, which the repair wants otherwise: take the edit back"
            )
    return [*blocks, *moved.values()]


def between(applied: Sequence[FileChange], wanted: Sequence[FileChange]) -> tuple[FileChange, ...]:
    """From the files as one edit left them to what another one of the same files comes to."""
    now, then = _texts(applied), _texts(wanted)
    files = {each.path: each.before for each in (*applied, *wanted) if each.before is not None}
    moved = {
        each.new_path: SourceFile(each.new_path, "", each.before.language, marked=each.before.marked)
        for each in applied
        if each.before is not None and each.path != each.new_path
    }
    guessed = {each.new_path: each.guessed for each in wanted}
    found: list[FileChange] = []
    for path in sorted({*now, *then}):
        here = now.get(path, files[path].text if path in files else None)
        there = then.get(path, files[path].text if path in files else None)
        if here == there:
            continue
        before = None if here is None else _file(path, here, moved | files)
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
