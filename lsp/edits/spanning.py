"""An edit of several files from its instruction to one set of changes: the files that it may be about, the plan, the
steps. The server and the command line both go through here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.editing.plan import Plan, Planned
from engine.editing.scores import Ability, ability
from lsp.edits.candidates import Candidates, candidates
from lsp.edits.planning import NO_PLAN, Ground, Made, ground, planned
from lsp.edits.reading import CannotEdit, Reads, model_of
from lsp.edits.running import Outcome
from lsp.edits.step import Watch
from lsp.edits.steps import carried_out
from lsp.edits.task import Task

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from lsp.links.engines import Engine

Confirm = Callable[[Sequence[Planned]], Awaitable[Sequence[Planned]]]
"""What a person leaves of a plan."""

DECLINED = "the plan was declined: nothing was changed"
REMEDY = "set foreword.edit.engine or foreword.edit.largeEngine to a larger model for edits of several files"


async def spread(
    task: Task, place: Reads, index: IndexClient | None, able: Ability | None = None
) -> Candidates | None:
    """The files that an edit is planned over; None where it is one of a single file, and nothing is planned. `able`: of
    the model that will write, where it is known before. Raises CannotEdit where a plan is wanted of a model that is not
    trusted with several files, IndexServiceError."""
    if task.plan == "no" or (task.plan == "where several" and task.focus):
        return None
    if able is not None and not _trusted(task, able):
        return None
    found = await candidates(task, place, index)
    if task.plan == "where several" and len(found.files) < 2:
        return None
    return found


def kept(task: Task, found: Candidates | None, engine: Engine) -> Candidates | None:
    """`found` for the engine that has turned out to write. Raises CannotEdit as `spread` does."""
    trusted = found is None or _trusted(task, ability(model_of(engine)))
    return found if trusted else None


def _trusted(task: Task, able: Ability) -> bool:
    if able.several_files:
        return True
    if task.plan == "where several":
        return False
    raise CannotEdit(f"{able.why}; {REMEDY}")


async def made_plan(
    task: Task,
    found: Candidates,
    place: Reads,
    engine: Engine,
    index: IndexClient | None,
    watch: Watch,
    *,
    budget_tokens: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Ground, Made]:
    """The plan and what it stands on. Raises CannotEdit where there is none, EngineRequestError."""
    kept(task, found, engine)
    on = await ground(task, found, place, engine, index, budget_tokens=budget_tokens)
    made = await planned(on, place, engine, watch.planning, clock=clock)
    if made.plan.lines:
        return on, made
    named = [Planned("change", path) for path in task.paths if path in on.possible]
    if made.plan.problems or not named:
        raise CannotEdit("; ".join(made.plan.problems) or NO_PLAN)
    on = msgspec.structs.replace(on, notes=(*on.notes, f"{NO_PLAN}: those that were named are changed"))
    return on, Made(Plan(tuple(named)), made.cost)


async def spanning(
    task: Task,
    found: Candidates,
    place: Reads,
    engine: Engine,
    index: IndexClient | None,
    watch: Watch,
    *,
    confirm: Confirm | None = None,
    budget_tokens: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Plans and carries out. Cancelling this ends the request in the engine, and changes nothing. Raises CannotEdit,
    EngineRequestError."""
    on, made = await made_plan(
        task, found, place, engine, index, watch, budget_tokens=budget_tokens, clock=clock
    )
    plan = made.plan
    if confirm is not None:
        kept = await confirm(plan.lines)
        if not kept:
            raise CannotEdit(DECLINED)
        plan = Plan(tuple(kept), plan.problems)
    return await carried_out(plan, made.cost, on, place, engine, watch, clock=clock)
