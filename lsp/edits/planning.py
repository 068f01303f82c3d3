"""The plan of an edit of several files: what its prompts share, and which files it changes, as the model says, or as is
known of them without one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from engine.editing.grammar import MAX_COPIED_LINES
from engine.editing.plan import MAX_SYMBOLS, Plan, Planned, plan_grammar, read_plan
from engine.editing.plan_prompt import Common, plan_prompt
from engine.editing.scores import Ability, ability
from engine.endpoints.endpoint import Priority, Sampling
from engine.endpoints.faults import EngineRequestError
from engine.prompts import ContextSegment, Prompt
from indexer.messages import Segment
from lsp.edits.candidates import Candidates, Possible, listed
from lsp.edits.cost import Figures
from lsp.edits.instructions import cut, guides_of
from lsp.edits.lines import split
from lsp.edits.paths import Guard
from lsp.edits.reading import (
    CHARS_PER_TOKEN,
    FILES_SHARE,
    GUIDES_SHARE,
    CannotEdit,
    Reads,
    budget_of,
    model_of,
    pack_for,
    read_only,
    under,
)
from lsp.edits.shown import LINE_OVERHEAD_TOKENS, Target
from lsp.edits.task import Task
from lsp.edits.writing import under_grammar

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from lsp.links.engines import Engine

LISTING_SHARE, DONE_SHARE = 0.2, 0.1
"""Of the budget: the list of files, and what was changed so far; the pack has what these and the largest file leave."""

PLAN_TOKENS = 1_024
"""A line takes some twenty."""

MAX_PLANNING_S = 120.0
"""Of one plan, cold prompt and all."""

NO_PLAN = "the model made no plan of the files that it was shown"


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan and every step of one edit stand on."""

    task: Task
    possible: dict[str, Possible]
    common: Common
    segments: list[Segment]
    """Of the repository, that are read besides."""
    able: Ability
    model: str
    budget: int
    answer_tokens: int
    notes: tuple[str, ...] = ()


class Made(msgspec.Struct, frozen=True):
    plan: Plan
    cost: Figures


async def ground(
    task: Task,
    found: Candidates,
    place: Reads,
    engine: Engine,
    index: IndexClient | None,
    *,
    budget_tokens: int = 0,
) -> Ground:
    """All that is read before anything is asked. Raises CannotEdit."""
    if not found.files:
        raise CannotEdit("; ".join(found.notes) or "no file was found that may be changed; name one")
    model = model_of(engine)
    able = ability(model)
    budget, answer_tokens = budget_of(engine, able, budget_tokens)
    guides = await asyncio.to_thread(guides_of, place.root)
    shown = await asyncio.to_thread(listed, found.files, int(budget * LISTING_SHARE) * CHARS_PER_TOKEN)
    possible = {each.path: found.by_path[each.path] for each in shown}
    common = Common(
        instruction=task.instruction,
        candidates=shown,
        repo_name=place.root.name or "workspace",
        guides=cut(guides, int(budget * GUIDES_SHARE) * CHARS_PER_TOKEN),
        by_lines=able.small and any(_lines(each) > MAX_COPIED_LINES for each in possible.values()),
        whole_files=task.whole_files,
    )
    bare = await asyncio.to_thread(plan_prompt, common, engine.tokenizer)
    largest = await asyncio.to_thread(_largest, list(possible.values()), engine)
    left = budget - bare.tokens - min(largest, int(budget * FILES_SHARE)) - int(budget * DONE_SHARE)
    targets = [_whole(each) for each in possible.values()]
    pack, note = await pack_for(task, targets, place, engine, index, left)
    read = {each.path for each in task.reads}
    segments = [ContextSegment(each.path, each.text, each.ids) for each in pack if each.path not in read]
    segments += await read_only(msgspec.structs.replace(task, paths=()), place)
    left_out = len(found.files) - len(shown)
    cramped = f"{left_out} more files were left out: the model's prompt has no room for them"
    return Ground(
        task=task,
        possible=possible,
        common=msgspec.structs.replace(common, segments=segments),
        segments=pack,
        able=able,
        model=model,
        budget=budget,
        answer_tokens=answer_tokens,
        notes=(*found.notes, *([cramped] if left_out else []), *([note] if note else [])),
    )


async def planned(
    on: Ground,
    place: Reads,
    engine: Engine,
    on_text: Callable[[str], None] = lambda text: None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Made:
    """The plan. `on_text` gets what is written of it so far. Cancelling this ends the request in the engine. Raises
    EngineRequestError."""
    if on.task.plan == "known":
        lines = [Planned("change", path, symbols=_touched(each)) for path, each in on.possible.items()]
        return Made(Plan(tuple(lines)), Figures())
    prompt = await asyncio.to_thread(plan_prompt, on.common, engine.tokenizer)
    grammar = plan_grammar(on.common.candidates, whole_files=on.common.whole_files)
    sampling = under(grammar, engine, on.able, min(PLAN_TOKENS, on.answer_tokens))
    text, cost = await under_grammar(
        engine.endpoint, sampling, lambda bound: _answer(engine, prompt, bound, on_text, clock)
    )
    plan = read_plan(text, on.common.candidates, whole_files=on.common.whole_files)
    kept = await asyncio.to_thread(_allowed, plan, place, on)
    return Made(kept, cost)


def _allowed(plan: Plan, place: Reads, on: Ground) -> Plan:
    """Without files that cannot be what they are planned to be."""
    guard = Guard(place.root, on.possible)
    lines: list[Planned] = []
    problems = list(plan.problems)
    for each in plan.lines:
        new = each.path if each.verb == "create" else each.new_path
        why = guard.why_not_new(new) if new else guard.why_not_there(each.path)
        if why is None:
            lines.append(each)
        else:
            problems.append(f"{new or each.path} is planned to be {each.verb}d, and {why}")
    return Plan(tuple(lines), tuple(problems))


def _touched(possible: Possible) -> tuple[str, ...]:
    """The definitions of a file in which something is used that the edit is about."""
    around = [possible.around(each.line) for each in possible.uses]
    return tuple(dict.fromkeys(each.name for each in around if each is not None))[:MAX_SYMBOLS]


async def _answer(
    engine: Engine,
    prompt: Prompt,
    sampling: Sampling,
    on_text: Callable[[str], None],
    clock: Callable[[], float],
) -> tuple[str, Figures]:
    started, chunk = clock(), None
    try:
        async with (
            asyncio.timeout(MAX_PLANNING_S),
            aclosing(engine.endpoint.generate(prompt, sampling, priority=Priority.EDIT)) as stream,
        ):
            async for chunk in stream:
                on_text(chunk.text)
    except TimeoutError as late:
        raise EngineRequestError("timeout", f"the plan took longer than {MAX_PLANNING_S:.0f} s") from late
    cost = Figures(
        prompt_tokens=chunk.prompt_tokens if chunk else prompt.tokens,
        cached_tokens=chunk.cached_tokens if chunk else None,
        tokens=chunk.completion_tokens if chunk else 0,
        total_s=clock() - started,
        turns=1,
        constrained=sampling.constrained,
    )
    return chunk.text if chunk else "", cost


def _whole(possible: Possible) -> Target:
    lines = split(possible.file.text).lines
    return Target(possible.file, lines, 1, len(lines), (1, len(lines)))


def _lines(possible: Possible) -> int:
    return len(split(possible.file.text).lines)


def _largest(possible: Sequence[Possible], engine: Engine) -> int:
    """Tokens of the largest file, numbered."""
    file = max((each.file for each in possible), key=lambda each: len(each.text))
    return engine.tokenizer.count(file.text) + LINE_OVERHEAD_TOKENS * file.text.count("\n")
