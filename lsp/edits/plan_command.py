"""Edits of several files in a server: which way an instruction goes, and the command that only plans."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.endpoints.edit_route import EditScope
from lsp.edits.candidates import Candidates
from lsp.edits.open_files import OpenFiles
from lsp.edits.plan_events import PlanFile, PlanTeller, confirmed, plan_file
from lsp.edits.reading import CannotEdit
from lsp.edits.spanning import kept, made_plan, spanning, spread
from lsp.edits.step import Step
from lsp.edits.task import Task

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from lsp.edits.running import Outcome
    from lsp.edits.serving import Edits
    from lsp.links.engines import Engine
    from lsp.progress import Report
    from lsp.session import ForewordServer


class PlanAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `foreword.plan` answers."""

    edit: str
    files: list[PlanFile] = []
    reason: str = ""
    """Why there is no plan."""
    model: str = ""
    notes: list[str] = []


class Planning:
    """Of one edit that is asked for: the files that it may span, then its plan or its changes."""

    def __init__(
        self, server: ForewordServer, edits: Edits, task: Task, root: Path, edit: str, report: Report
    ) -> None:
        self._server, self._edits = server, edits
        self.task, self._root, self._edit = task, root, edit
        self._report = report
        self.place = OpenFiles(root, server.documents)

    async def spread(self, index: IndexClient | None) -> Candidates | None:
        """None where the edit is one of a single file. Raises CannotEdit."""
        from indexer.client import IndexServiceError

        try:
            return await spread(self.task, self.place, index, self._edits.able())
        except IndexServiceError as failed:
            if self.task.plan == "where several":
                return None  # whoever names a file gets that one changed; else search says what is wrong
            raise CannotEdit(f"the index does not say which files this is about: {failed}") from failed

    def scope(self, found: Candidates | None) -> EditScope:
        files = len(found.files) if found is not None else len(self.task.paths) + len(self.task.new_paths)
        lines = sum(each.last - each.first + 1 for each in self.task.focus)
        return EditScope(max(1, files), lines, len(self.task.diagnostics))

    async def edited(
        self, found: Candidates | None, engine: Engine, index: IndexClient | None
    ) -> Outcome | None:
        """Planned and carried out; None where it is an edit of a single file after all. Raises CannotEdit,
        EngineRequestError."""
        if (found := kept(self.task, found, engine)) is None:
            return None
        asks = partial(confirmed, self._server, self._edit, self._root) if self._edits.confirms else None
        budget = self._server.settings.budget_tokens
        return await spanning(
            self.task, found, self.place, engine, index, self._watch(), confirm=asks, budget_tokens=budget
        )

    async def planned(self, found: Candidates, engine: Engine, index: IndexClient | None) -> PlanAnswer:
        """Only the plan. Raises CannotEdit, EngineRequestError."""
        budget = self._server.settings.budget_tokens
        on, made = await made_plan(
            self.task, found, self.place, engine, index, self._watch(), budget_tokens=budget
        )
        return PlanAnswer(
            edit=self._edit,
            files=[plan_file(Step(each), self._root) for each in made.plan.lines],
            model=on.model,
            notes=[*on.notes, *made.plan.problems],
        )

    def _watch(self) -> PlanTeller:
        edits = self._edits
        return PlanTeller(
            self._server,
            self._edit,
            self._root,
            self._report,
            edits.notifier,
            shows_plans=edits.shows_plans,
        )
