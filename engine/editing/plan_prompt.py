"""The prompts of an edit of several files: one for its plan, then one for each file of it.

    system     the block format                                             ┐
    …          worked examples                                              │ the same for the plan
    user       what the repository asks of whoever edits it { the pack }    │ and for every file
               the files that may be changed, one line or a few for each    │
               the whole task                                               ┘
               the plan, what was changed so far                              the same for every file, and growing
               the file, its diagnostics, what is to be done in it            its own

So an engine with a prefix cache reads what is common once, and of each file's prompt the file alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from engine.editing.plan import Candidate, Planned, listing, written
from engine.editing.prompt import (
    EditFile,
    Guide,
    conversation,
    examples,
    fenced,
    material,
    shown,
    system_text,
    unix,
)
from engine.prompts import ContextSegment, Prompt, Tokenizer, path_line

_ASKED = """\
Task: Do not edit yet. Answer with the plan for the whole task and with nothing else: one line for each file that has \
to change, the files first that others depend on, with the names of what changes in it. Leave out the files that stay \
as they are.
change PATH: NAME, NAME
"""

_ASKED_FILES = """\
create PATH
delete PATH
rename PATH -> NEW PATH
"""


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What the prompts of one edit of several files share."""

    instruction: str
    candidates: Sequence[Candidate]
    repo_name: str = "workspace"
    segments: Sequence[ContextSegment] = ()
    guides: Sequence[Guide] = ()
    by_lines: bool = False
    whole_files: bool = False
    """Files may be made, deleted and renamed."""


class Changed(msgspec.Struct, frozen=True):
    """A file of the plan that is done."""

    path: str
    blocks: str
    """As the model wrote them."""


def plan_prompt(common: Common, tokenizer: Tokenizer) -> Prompt:
    """Asks for the plan."""
    asked = f"{_ASKED}{_ASKED_FILES if common.whole_files else ''}"
    return _conversation(common, [asked], tokenizer)


def step_prompt(
    common: Common,
    plan: Sequence[Planned],
    done: Sequence[Changed],
    step: Planned,
    file: EditFile | None,
    diagnostics: Sequence[str],
    tokenizer: Tokenizer,
) -> Prompt:
    """Asks for the blocks of one file of the plan; `file` is None where that is to be made. `done` only ever grows at
    its end from one step to the next."""
    parts = [f"The plan:\n{fenced(written(plan))}"]
    parts += [f"Changed so far: {path_line(each.path)}{fenced(each.blocks)}" for each in done]
    if file is not None:
        parts.append(shown(file, common.by_lines))
    if diagnostics:
        parts.append(f"Diagnostics:\n{fenced(''.join(path_line(each) for each in diagnostics))}")
    parts.append(_task(common, step))
    return _conversation(common, parts, tokenizer)


def common_parts(common: Common) -> Iterator[ContextSegment | str]:
    """Of the last message, what no step changes."""
    yield from material(common.repo_name, common.guides, common.segments)
    head = "The files that may be changed, with what they define and the lines that use what the task is about:\n"
    yield f"{head}{fenced(listing(common.candidates))}"
    yield f"The whole task: {unix(common.instruction).strip()}\n"


def _task(common: Common, step: Planned) -> str:
    name = path_line(step.path).rstrip()
    what = f"Create {name}" if step.verb == "create" else f"Change {name} alone"
    about = f", at {', '.join(step.symbols)}" if step.symbols else ""
    others = "The other files of the plan are changed by themselves"
    return f"Task: {what}{about}, as far as the whole task needs it: {unix(common.instruction).strip()}\n{others}.\n"


def _conversation(common: Common, own: Sequence[str], tokenizer: Tokenizer) -> Prompt:
    return conversation(
        system_text(by_lines=common.by_lines, whole_files=common.whole_files),
        tuple(examples("any", by_lines=common.by_lines)),
        [*common_parts(common), *own],
        tokenizer,
    )
