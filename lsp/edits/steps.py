"""A plan carried out: one file after the other is asked for, each with what its prompt shares with the others in front,
and what comes of them is one set of changes. A file that fails costs the others nothing, and is named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from engine.editing.blocks import Block, Delete, Rename, write_all
from engine.editing.plan import Plan, Planned
from engine.editing.plan_prompt import Changed, step_prompt
from engine.endpoints.faults import EngineRequestError
from lsp.edits.applying import NOTHING_CHANGES, Applied, Refusal, Refused
from lsp.edits.cost import Figures
from lsp.edits.files import SourceFile
from lsp.edits.planning import DONE_SHARE, Ground
from lsp.edits.reading import CHARS_PER_TOKEN, FILES_SHARE, Asked, Reads, anchors_of, sampling_of
from lsp.edits.running import Conversation, Outcome, answered, held_together
from lsp.edits.shown import Target, targets
from lsp.edits.step import State, Step, Watch
from lsp.edits.task import Focus, Task

if TYPE_CHECKING:
    from lsp.links.engines import Engine

WRITTEN = ("change", "create")
"""Lines of a plan that a model writes blocks for; the others say all there is to say."""

NOT_ALONE = "not done, since another file of the plan failed and may still need it"


async def carried_out(
    plan: Plan,
    cost: Figures,
    on: Ground,
    place: Reads,
    engine: Engine,
    watch: Watch,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """What comes of a plan; `cost` is what that has cost. Cancelling this ends the request in the engine, and nothing
    is left of it. Raises EngineRequestError where the engine fails before anything is done."""
    run = _Run(plan, cost, on, place, engine, watch, clock)
    watch.planned(run.steps)
    for at, step in enumerate(plan.lines):
        if step.verb in WRITTEN:
            await run.write(at, step)
    run.settle()
    return await asyncio.to_thread(run.outcome)


class _Run:
    """One plan under way."""

    def __init__(
        self,
        plan: Plan,
        cost: Figures,
        on: Ground,
        place: Reads,
        engine: Engine,
        watch: Watch,
        clock: Callable[[], float],
    ) -> None:
        self._plan, self._on, self._place, self._engine, self._watch = plan, on, place, engine, watch
        self._clock, self._cost = clock, cost
        self.steps = [Step(each) for each in plan.lines]
        self._changed: list[Changed] = []
        """Told to the steps that follow."""
        self._blocks: list[Block] = []
        self._conversations: list[Conversation] = []
        self._files: dict[str, SourceFile] = {}
        self._notes: list[str] = [*on.notes]
        self._gone: EngineRequestError | None = None
        """The engine has failed: it is asked for nothing more."""

    async def write(self, at: int, step: Planned) -> None:
        """Has the model write the blocks of one file."""
        if self._gone is not None:
            self._is(at, "failed", f"not begun, since the model failed before: {self._gone}")
            return
        self._is(at, "writing")
        asked = await self._asked(step)
        try:
            outcome = await answered(
                asked,
                self._place,
                self._engine,
                lambda event: self._watch.event(at, event),
                clock=self._clock,
            )
        except EngineRequestError as failed:
            if failed.fault != "request":  # else this file's prompt was wrong for it, as by its length
                if not self._blocks:
                    raise
                self._gone = failed
            self._is(at, "failed", str(failed))
            return
        self._cost = self._cost.with_more(outcome.figures)
        if outcome.applied is None:
            nothing = {each.reason for each in outcome.refusals} == {NOTHING_CHANGES}
            why = "; ".join(each.reason for each in outcome.refusals)
            self._is(at, "unchanged" if nothing else "failed", why)
            return
        self._notes += outcome.notes
        self._notes += _unseen(on=self._on, step=step, target=next(iter(asked.targets), None))
        self._files |= outcome.files
        self._blocks += outcome.blocks
        self._conversations += [msgspec.structs.replace(each, step=at) for each in outcome.conversations]
        self._tell_following(step.path, outcome.blocks)
        self._is(at, "done")

    def settle(self) -> None:
        """What is deleted and renamed, as long as nothing has failed."""
        whole = not self._plan.problems and not any(each.is_missing for each in self.steps)
        for at, each in enumerate(self._plan.lines):
            if each.verb in WRITTEN:
                continue
            if not whole:
                self._is(at, "left out", NOT_ALONE)
                continue
            moved = Delete(each.path) if each.verb == "delete" else Rename(each.path, each.new_path)
            self._blocks.append(moved)
            self._files.setdefault(each.path, self._on.possible[each.path].file)
            self._is(at, "done")

    def outcome(self) -> Outcome:
        """All blocks of all steps, once more and together, as one set of changes."""
        missing = (*self._plan.problems, *(each.told for each in self.steps if each.is_missing))
        result = self._together() if self._blocks else self._nothing()
        return Outcome(
            applied=result if isinstance(result, Applied) else None,
            refusals=result.refusals if isinstance(result, Refused) else (),
            blocks=tuple(self._blocks),
            files=self._files,
            figures=msgspec.structs.replace(self._cost, model=self._on.model),
            notes=tuple(
                dict.fromkeys([*self._notes, *(result.notes if isinstance(result, Applied) else ())])
            ),
            segments=self._on.segments,
            task=self._on.task,
            conversations=tuple(self._conversations),
            steps=tuple(self.steps),
            missing=missing if isinstance(result, Applied) else (),
        )

    def _together(self) -> Applied | Refused:
        new = [each.new_path or each.path for each in self._plan.lines if each.verb in ("create", "rename")]
        return held_together(self._blocks, self._files, self._place.root, new)

    def _nothing(self) -> Refused:
        failed = [Refusal(each.planned.path, each.reason) for each in self.steps if each.is_missing]
        failed += [Refusal("", each) for each in self._plan.problems]
        return Refused(tuple(failed) or (Refusal("", NOTHING_CHANGES),))

    async def _asked(self, step: Planned) -> Asked:
        on, engine = self._on, self._engine
        possible = on.possible.get(step.path) if step.verb == "change" else None
        focus = _focus(on, step)
        task = Task(
            instruction=on.task.instruction,
            paths=[step.path] if possible else [],
            new_paths=[] if possible else [step.path],
            focus=[focus] if focus else [],
            diagnostics=[each for each in on.task.diagnostics if each.path == step.path],
        )
        files = {step.path: possible.file} if possible else {}
        room = int(on.budget * FILES_SHARE)
        found = await asyncio.to_thread(targets, task, files, engine.tokenizer, room)
        prompt = await asyncio.to_thread(
            step_prompt,
            on.common,
            self._plan.lines,
            self._changed,
            step,
            found[0].in_prompt if found else None,
            [each.told() for each in task.diagnostics],
            engine.tokenizer,
        )
        anchors = "lines" if on.common.by_lines else anchors_of(found, on.able)
        return Asked(
            task=task,
            prompt=prompt,
            sampling=sampling_of(task, found, engine, on.able, on.answer_tokens, anchors),
            targets=found,
            able=on.able,
            model=on.model,
            segments=on.segments,
            notes=(),
        )

    def _tell_following(self, path: str, blocks: tuple[Block, ...]) -> None:
        """Only ever behind what was told before: what an engine has read stays as it is."""
        changed = Changed(path, write_all(blocks))
        told = sum(len(each.blocks) for each in (*self._changed, changed))
        if told <= int(self._on.budget * DONE_SHARE) * CHARS_PER_TOKEN:
            self._changed.append(changed)

    def _is(self, at: int, state: State, reason: str = "") -> None:
        self.steps[at] = msgspec.structs.replace(self.steps[at], state=state, reason=reason)
        self._watch.planned(self.steps)


def _focus(on: Ground, step: Planned) -> Focus | None:
    """The lines of a file that a step is about: the definitions that the plan names, and what uses what is meant."""
    known = on.task.focus_in(step.path)
    possible = on.possible.get(step.path)
    if possible is None or (known is not None and not step.symbols):
        return known
    spans = [(each.first, each.last) for each in possible.definitions if each.name in step.symbols]
    spans += [(each.line, each.line) for each in possible.uses]
    if not spans:
        return known
    return Focus(step.path, min(first for first, _ in spans), max(last for _, last in spans))


def _unseen(on: Ground, step: Planned, target: Target | None) -> list[str]:
    """What a file that was too large to be shown as a whole says of what is meant, outside of what was shown."""
    possible = on.possible.get(step.path)
    if possible is None or target is None:
        return []
    lines = [each.line for each in possible.uses if not target.first <= each.line <= target.last]
    if not lines:
        return []
    return [f"{step.path}: line {', '.join(map(str, lines))} was not shown to the model, and stays as it is"]
