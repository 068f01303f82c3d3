"""The life of one edit, without any protocol: files → pack → prompt → answer → blocks that fit, all of them or none.

The server and the command line both go through `run`; what comes of it is put into documents or files elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.editing.blocks import Block, Delete, Event, Rename
from engine.editing.parser import NO_BLOCK
from engine.editing.prompt import fenced, with_turn
from engine.prompts import Prompt
from indexer.messages import Segment
from lsp.edits.applying import Applied, PathRule, Refusal, Refused, apply
from lsp.edits.cost import Figures
from lsp.edits.files import SourceFile
from lsp.edits.paths import Guard
from lsp.edits.reading import Asked, Reads, prepare
from lsp.edits.step import Step
from lsp.edits.task import Task
from lsp.edits.writing import Written, write

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from lsp.links.engines import Engine


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt and its answer, kept so that the model can be told what came of it."""

    asked: Asked
    prompt: Prompt
    """What the answer was an answer to."""
    answer: str
    blocks: tuple[Block, ...]
    """That are in the answer."""
    step: int = -1
    """Of an edit that was planned: which line of the plan it is about, from 0."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Of the files that its blocks change."""
        return tuple(dict.fromkeys(each.path for each in self.blocks))


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an edit: changes, or the reasons why there are none."""

    applied: Applied | None
    refusals: tuple[Refusal, ...]
    blocks: tuple[Block, ...]
    files: dict[str, SourceFile]
    """That the model was sent."""
    figures: Figures
    notes: tuple[str, ...] = ()
    segments: list[Segment] = []
    """Of the repository, that were read besides."""
    task: Task | None = None
    """What was asked for; None where nothing can be asked about it any more."""
    conversations: tuple[Conversation, ...] = ()
    """In the order of their blocks. Behind those `blocks` has what needed no model."""
    well_formed: bool = True
    """Of blocks alone, and whole."""
    steps: tuple[Step, ...] = ()
    """Of an edit that was planned."""
    missing: tuple[str, ...] = ()
    """What of the plan there is no change for, and why: with it the changes are a part of what was asked for."""

    @property
    def why(self) -> str:
        """One sentence for each reason; empty where there are changes."""
        return "; ".join(
            f"{each.path}: {each.reason}" if each.path else each.reason for each in self.refusals
        )


async def run(
    task: Task,
    place: Reads,
    engine: Engine,
    index: IndexClient | None,
    on_event: Callable[[Event], None] = lambda event: None,
    *,
    budget_tokens: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """What the model makes of the task. Cancelling this ends the request in the engine. Raises CannotEdit,
    EngineRequestError."""
    asked = await prepare(task, place, engine, index, budget_tokens=budget_tokens)
    return await answered(asked, place, engine, on_event, clock=clock)


async def answered(
    asked: Asked,
    place: Reads,
    engine: Engine,
    on_event: Callable[[Event], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    made: Collection[str] = (),
) -> Outcome:
    """The answer, held against the files; with one more turn where an anchor does not fit. Raises
    EngineRequestError. `made`: files that an earlier turn of this edit has made."""
    files = {target.file.path: target.sent for target in asked.targets}
    planned = None if asked.task.whole_files else asked.task.new_paths
    rule = allowed(asked.task, Guard(place.root, files, planned, made).why_not)
    started = clock()
    first = await write(engine.endpoint, asked.prompt, asked.sampling, on_event, clock=clock)
    written, turns = first, 1
    result = await asyncio.to_thread(held_against, first, files, rule)
    again = await _further(asked, first, result, engine)
    if again is not None:
        written, turns = await write(engine.endpoint, again, asked.sampling, on_event, clock=clock), 2
        result = await asyncio.to_thread(held_against, written, files, rule)
    return Outcome(
        applied=result if isinstance(result, Applied) else None,
        refusals=result.refusals if isinstance(result, Refused) else (),
        blocks=written.blocks,
        files=files,
        figures=Figures(
            model=asked.model,
            prompt_tokens=written.prompt_tokens,
            cached_tokens=written.cached_tokens,
            tokens=first.tokens if written is first else first.tokens + written.tokens,
            total_s=clock() - started,
            turns=turns,
            constrained=written.constrained,
        ),
        notes=(*asked.notes, *(result.notes if isinstance(result, Applied) else ())),
        segments=asked.segments,
        task=asked.task,
        conversations=(
            Conversation(
                asked=asked,
                prompt=asked.prompt if again is None else again,
                answer=written.text,
                blocks=written.blocks,
            ),
        ),
        well_formed=written.well_formed,
    )


def allowed(task: Task, why_not: PathRule) -> PathRule:
    """The rule of paths, and that files are only deleted and renamed where the task wants that."""

    def rule(block: Block) -> str | None:
        if isinstance(block, Delete | Rename) and not task.whole_files:
            return "is to be deleted or renamed, and only changes of files were asked for"
        return why_not(block)

    return rule


def held_against(written: Written, files: Mapping[str, SourceFile], why_not: PathRule) -> Applied | Refused:
    """What comes of an answer. One that holds something that is no block, or is cut off, changes nothing."""
    if not written.blocks and not written.problems:
        return Refused((Refusal("", NO_BLOCK),))
    if written.problems:
        return Refused(tuple(Refusal(each.path, each.reason, (each.number,)) for each in written.problems))
    return apply(written.blocks, files, why_not)


def held_together(
    blocks: Sequence[Block],
    files: Mapping[str, SourceFile],
    root: Path,
    new: Collection[str],
    made: Collection[str] = (),
) -> Applied | Refused:
    """What comes of the blocks of several answers, each of which was held against its own files before. `new`: files
    that they may make; `made`: those that an earlier turn of this edit has made."""
    rule = allowed(Task(instruction="", whole_files=True), Guard(root, files, new, made).why_not)
    return apply(blocks, files, rule)


async def _further(
    asked: Asked, written: Written, result: Applied | Refused, engine: Engine
) -> Prompt | None:
    """The prompt of one more turn, with the nearest lines; None where nothing would come of it."""
    if isinstance(result, Applied) or not any(each.nearest for each in result.refusals):
        return None
    question = _again(result.refusals)
    prompt = await asyncio.to_thread(with_turn, asked.prompt, written.text, question, engine.tokenizer)
    fits = prompt.tokens + asked.sampling.max_tokens <= engine.endpoint.context_tokens
    return prompt if fits else None


def _again(refusals: Sequence[Refusal]) -> str:
    told: list[str] = ["These blocks do not fit, and nothing was changed:\n"]
    for refusal in refusals:
        near = refusal.nearest[0] if refusal.nearest else None
        told.append(f"{refusal.path}: {refusal.reason}\n")
        if near is not None:
            told.append(f"The nearest there, from line {near.text_first}:\n{fenced(near.text)}")
    told.append("Task: answer with all blocks once more, so that each fits exactly one place.\n")
    return "".join(told)
