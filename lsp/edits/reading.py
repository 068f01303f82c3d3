"""What a model reads before it edits, and under which bounds it writes: files, guides, the pack, the grammar."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from engine.editing.grammar import Anchors, Bounds, anchors_for, edit_grammar
from engine.editing.prompt import SEGMENT_HEADER_TOKENS, EditTask, Guide, edit_prompt
from engine.editing.scores import Ability, ability
from engine.endpoints.endpoint import Sampling
from engine.prompts import ContextSegment, Prompt
from indexer.messages import PackRequest, Segment, TokenizerRef
from lsp.edits.files import SourceFile
from lsp.edits.instructions import cut, guides_of
from lsp.edits.lines import split
from lsp.edits.named import at_named
from lsp.edits.shown import Target, targets
from lsp.edits.task import Task
from lsp.links.budget import prior

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from lsp.links.engines import Engine

READ_S = 4.0
"""Of a cold prompt: whoever asks for an edit waits longer than whoever types, and an edit needs whole files."""

FILES_SHARE, GUIDES_SHARE = 0.6, 0.1
"""Of the budget; the pack has the rest, and what these leave."""

CHARS_PER_TOKEN = 3
ANSWER_TOKENS = 8_192
SMALL_ANSWER_TOKENS, SMALL_BLOCKS, SMALL_LINES = 2_048, 2, 24
"""What a small model may write: whatever it would write beyond this repeats itself."""

PACK_TIMEOUT_S = 5.0


class Reads(Protocol):
    """Where the files of an edit come from."""

    @property
    def root(self) -> Path: ...

    async def read(self, path: str) -> SourceFile | str:
        """The file as it is now, unsaved text first; or why it cannot be edited."""
        ...


class CannotEdit(Exception):
    """Nothing was asked of the model; the message says why."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One edit, ready to be asked for."""

    task: Task
    prompt: Prompt
    sampling: Sampling
    targets: list[Target]
    able: Ability
    model: str
    segments: list[Segment]
    notes: tuple[str, ...]


async def prepare(
    task: Task, place: Reads, engine: Engine, index: IndexClient | None, *, budget_tokens: int = 0
) -> Asked:
    """What the model is to read and under which bounds it writes. Raises CannotEdit."""
    files, notes = await _files(task, place)
    if not files and not task.new_paths:
        raise CannotEdit("; ".join(notes) or "no file was named that may be changed")
    model = model_of(engine)
    able = ability(model)
    budget, answer_tokens = budget_of(engine, able, budget_tokens)
    task = await at_named(task, files, small=able.small)
    room = int(budget * FILES_SHARE)
    found = await asyncio.to_thread(targets, task, files, engine.tokenizer, room, narrow=able.small)
    guides = await asyncio.to_thread(guides_of, place.root)
    laid_out = _laid_out(task, found, cut(guides, int(budget * GUIDES_SHARE) * CHARS_PER_TOKEN), place, able)
    bare = await asyncio.to_thread(edit_prompt, laid_out, engine.tokenizer)
    pack, note = await pack_for(task, found, place, engine, index, 0 if task.alone else budget - bare.tokens)
    read = {each.path for each in task.reads}
    segments = [ContextSegment(each.path, each.text, each.ids) for each in pack if each.path not in read]
    segments += await read_only(task, place)
    laid_out = msgspec.structs.replace(laid_out, segments=segments)
    prompt = await asyncio.to_thread(edit_prompt, laid_out, engine.tokenizer)
    return Asked(
        task=task,
        prompt=prompt,
        sampling=sampling_of(task, found, engine, able, answer_tokens),
        targets=found,
        able=able,
        model=model,
        segments=pack,
        notes=(*notes, *([note] if note else [])),
    )


async def _files(task: Task, place: Reads) -> tuple[dict[str, SourceFile], list[str]]:
    files: dict[str, SourceFile] = {}
    notes: list[str] = []
    for path in dict.fromkeys(task.paths):
        found = await place.read(path)
        if isinstance(found, str):
            notes.append(found)
        else:
            files[path] = found
    return files, notes


async def read_only(task: Task, place: Reads) -> list[ContextSegment]:
    """Lines of other files that the task is about."""
    segments: list[ContextSegment] = []
    for focus in task.reads:
        file = await place.read(focus.path)
        if isinstance(file, str) or focus.path in task.paths:
            continue
        lines = list(split(file.text).lines[focus.first - 1 : focus.last])
        while lines and not lines[0].strip():
            lines.pop(0)
        if lines:
            segments.append(ContextSegment(focus.path, "".join(f"{line}\n" for line in lines)))
    return segments


def _laid_out(
    task: Task, found: Sequence[Target], guides: Sequence[Guide], place: Reads, able: Ability
) -> EditTask:
    return EditTask(
        instruction=task.instruction,
        files=[target.in_prompt for target in found],
        repo_name=place.root.name or "workspace",
        guides=guides,
        diagnostics=[each.told() for each in task.diagnostics],
        by_lines=anchors_of(found, able) == "lines",
        whole_files=(task.whole_files and able.several_files) or bool(task.new_paths),
        shape=task.shape,
    )


def anchors_of(found: Sequence[Target], able: Ability) -> Anchors:
    """Copied where the grammar can hold the lines; else a small model counts, and a large one copies by itself."""
    surest = anchors_for([target.in_grammar for target in found])
    return surest if surest == "copied" or able.small else "search"


def sampling_of(
    task: Task,
    found: Sequence[Target],
    engine: Engine,
    able: Ability,
    answer_tokens: int,
    anchors: Anchors | None = None,
) -> Sampling:
    """How the model writes the blocks of a task; `anchors` where these files do not decide that alone."""
    blocks = 1 if task.shape == "one place" else SMALL_BLOCKS
    bounds = Bounds(blocks, SMALL_LINES) if able.small else Bounds()
    grammar = edit_grammar(
        [target.in_grammar for target in found],
        anchors=anchors or anchors_of(found, able),
        whole_files=task.whole_files and able.several_files,
        new_paths=task.new_paths,
        bounds=bounds,
    )
    return under(grammar, engine, able, answer_tokens)


def under(grammar: str, engine: Engine, able: Ability, answer_tokens: int) -> Sampling:
    """How a model writes under a grammar."""
    if able.small:  # the most probable tokens are the surest, and the same answer comes twice
        return Sampling(max_tokens=answer_tokens, ebnf=grammar)
    advised = Sampling.advised(engine.profile.edits, max_tokens=answer_tokens)
    return msgspec.structs.replace(advised, ebnf=grammar)


async def pack_for(
    task: Task, found: Sequence[Target], place: Reads, engine: Engine, index: IndexClient | None, budget: int
) -> tuple[list[Segment], str]:
    """What of the repository is read besides, and why nothing is."""
    if index is None or not found or budget <= 0:
        return [], ""
    from indexer.client import IndexServiceError

    first = found[0]
    focus = task.focus_in(first.file.path)
    line = min(focus.last if focus is not None else first.last, len(first.lines)) - 1
    file = engine.tokenizer.file
    request = PackRequest(
        path=str(place.root / first.file.path),
        text=first.file.text,
        line=max(0, line),
        character=0,
        budget=budget,
        tokenizer=TokenizerRef(str(file) if file else None),
        root=str(place.root),
        header_tokens=SEGMENT_HEADER_TOKENS,
    )
    try:
        pack = await index.pack(request, timeout_s=PACK_TIMEOUT_S)
    except IndexServiceError as failed:
        return [], str(failed)
    shown = {target.file.path for target in found}
    return [each for each in pack.segments if each.path not in shown], ""


def budget_of(engine: Engine, able: Ability, wanted: int = 0) -> tuple[int, int]:
    """Tokens of an edit's prompt, by the setting `wanted` where there is one, and of its answer."""
    answer_tokens = SMALL_ANSWER_TOKENS if able.small else ANSWER_TOKENS
    answer_tokens = min(answer_tokens, engine.endpoint.context_tokens // 4)
    return min(wanted or edit_budget(engine), engine.endpoint.context_tokens - answer_tokens), answer_tokens


def edit_budget(engine: Engine) -> int:
    """Tokens of an edit's prompt where no setting says otherwise."""
    return max(engine.budget_tokens, int(prior(engine.device).tokens_s * READ_S))


def model_of(engine: Engine) -> str:
    """The model's name, as its server knows it."""
    named = getattr(engine.endpoint, "model", "")
    return named if isinstance(named, str) and named else engine.profile.short
