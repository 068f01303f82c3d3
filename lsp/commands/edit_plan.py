"""The plan of `foreword edit` on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from engine.editing.blocks import Begun, Event, Growing
from engine.editing.plan import written
from lsp.edits.planning import Ground, Made
from lsp.edits.step import Step
from lsp.terminal import err, out, print_json


class PlanShown:
    """On stderr; see `lsp.edits.step.Watch`. What is under way only where that is a terminal."""

    def __init__(self, live: Live, *, shown: bool, plan_only: bool) -> None:
        self._live, self._shown, self._plan_only = live, shown, plan_only
        self._steps: Sequence[Step] = ()
        self._under_way = ""

    def planning(self, text: str) -> None:
        self._say(f"planning: {text.rstrip().rpartition(chr(10))[2]}")

    def planned(self, steps: Sequence[Step]) -> None:
        if not self._steps and self._shown and not self._plan_only:
            err.print(Text(f"The plan:\n{written([each.planned for each in steps])}"), end="")
        self._steps = tuple(steps)

    def event(self, at: int, event: Event) -> None:
        if isinstance(event, Begun):
            self._under_way = f"{event.kind} {event.path}"
        lines = f", {event.lines} lines" if isinstance(event, Growing) else ""
        count = f"file {at + 1} of {len(self._steps)}: " if self._steps else ""
        self._say(f"{count}{self._under_way}{lines}")

    def _say(self, text: str) -> None:
        if self._shown and err.is_terminal:
            self._live.update(Text(text, style="green"), refresh=True)


def tell_plan(on: Ground, made: Made, *, as_json: bool) -> None:
    """A plan by itself, on stdout."""
    for note in (*on.notes, *made.plan.problems):
        err.print(f"[yellow]{escape(note)}[/]")
    if as_json:
        lines = [plan_line(Step(each)) for each in made.plan.lines]
        print_json({"plan": lines, "notes": [*on.notes, *made.plan.problems], "model": on.model})
    else:
        out.print(Text(written(made.plan.lines)), end="")


def plan_line(step: Step) -> dict[str, Any]:
    return {**msgspec.to_builtins(step.planned), "state": step.state, "reason": step.reason}
