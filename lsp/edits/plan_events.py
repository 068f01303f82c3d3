"""What a client sees of an edit of several files: the plan with how far each file is, the blocks, a bar that names file
and block; and what it is asked: whether the plan is right, and whether a part of an edit is better than none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from engine.editing.plan import Planned, Verb, written
from lsp.edits.events import BlockNote, Numbered
from lsp.edits.plain import plain
from lsp.edits.reading import CannotEdit
from lsp.edits.step import State, Step
from lsp.progress import Report

if TYPE_CHECKING:
    from lsp.edits.running import Outcome
    from lsp.session import ForewordServer

PLAN = "foreword/plan"
CONFIRM = "foreword/confirmPlan"

APPLY_PART, CHANGE_NOTHING = "Apply the part", "Change nothing"
NOT_A_PART = "a part of it could be done, and nobody said that this is to be changed"


class PlanFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One file of a plan."""

    verb: Verb
    path: str
    uri: str
    new_path: str = ""
    new_uri: str = ""
    symbols: tuple[str, ...] = ()
    """The definitions that change in it, as far as the plan says."""
    state: State = "waiting"
    reason: str = ""


class PlanNote(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`foreword/plan` and `foreword/confirmPlan`."""

    edit: str
    files: list[PlanFile]


def plan_file(step: Step, root: Path) -> PlanFile:
    planned = step.planned
    return PlanFile(
        verb=planned.verb,
        path=planned.path,
        uri=(root / planned.path).as_uri(),
        new_path=planned.new_path,
        new_uri=(root / planned.new_path).as_uri() if planned.new_path else "",
        symbols=planned.symbols,
        state=step.state,
        reason=step.reason,
    )


class PlanTeller:
    """Of one edit; see `lsp.edits.step.Watch`."""

    def __init__(
        self,
        server: ForewordServer,
        edit: str,
        root: Path,
        report: Report,
        notify: Callable[[BlockNote], None] | None,
        *,
        shows_plans: bool,
    ) -> None:
        """`notify` is None where the client does not want to see blocks."""
        self._server, self._edit, self._root = server, edit, root
        self._report, self._shows_plans = report, shows_plans
        self._steps: Sequence[Step] = ()
        self.event = Numbered(edit, self._say, notify)

    def planning(self, text: str) -> None:
        self._report(f"planning: {text.rstrip().rpartition(chr(10))[2]}")

    def planned(self, steps: Sequence[Step]) -> None:
        if not self._steps:
            self._server.log_info(f"The plan:\n{written([each.planned for each in steps])}".rstrip())
        self._steps = tuple(steps)
        under_way = next((at for at, each in enumerate(steps) if each.state == "writing"), None)
        if under_way is not None:
            self._say(under_way, steps[under_way].planned.path)
        if self._shows_plans:
            note = PlanNote(edit=self._edit, files=[plan_file(each, self._root) for each in steps])
            self._server.rpc.tell(PLAN, msgspec.to_builtins(note))

    def _say(self, at: int, text: str) -> None:
        self._report(f"file {at + 1} of {len(self._steps)}: {text}", at, len(self._steps))


async def confirmed(
    server: ForewordServer, edit: str, root: Path, lines: Sequence[Planned]
) -> Sequence[Planned]:
    """What the client leaves of a plan. Raises CannotEdit where it does not answer what was asked."""
    note = PlanNote(edit=edit, files=[plan_file(Step(each), root) for each in lines])
    try:
        answer: Any = plain(await server.rpc.send_request_async(CONFIRM, msgspec.to_builtins(note)))
        chosen = None if answer is None else msgspec.convert(answer.get("files"), list[str] | None)
    except (JsonRpcException, msgspec.ValidationError, AttributeError) as failed:
        raise CannotEdit(f"the editor did not answer whether the plan is right: {failed}") from failed
    return [each for each in lines if each.path in (chosen or ())]


async def may_apply_part(server: ForewordServer, outcome: Outcome) -> bool:
    """Asks the person, who is told what is missing. Without an answer nothing is changed."""
    assert outcome.applied is not None
    count = len(outcome.applied.changes)
    message = (
        f"Foreword has changes for {count} of the planned files only. Missing: {'; '.join(outcome.missing)}"
    )
    actions = [types.MessageActionItem(APPLY_PART), types.MessageActionItem(CHANGE_NOTHING)]
    params = types.ShowMessageRequestParams(types.MessageType.Warning, message, actions)
    try:
        answer = await server.window_show_message_request_async(params)
    except JsonRpcException:
        return False
    return answer is not None and answer.title == APPLY_PART
