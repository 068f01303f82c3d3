"""Edits as a server has them: code actions, commands, and the one way from an instruction to changed documents."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from lsprotocol import types
from pygls.uris import to_fs_path

from engine.editing.scores import Ability, ability
from engine.endpoints.edit_route import EditScope
from engine.endpoints.faults import EngineRequestError
from lsp.edits.events import EDIT, BlockNote, Numbered, Teller
from lsp.edits.explaining import explain
from lsp.edits.following import Applied, Following
from lsp.edits.open_files import OpenFiles
from lsp.edits.plan_command import PlanAnswer, Planning
from lsp.edits.plan_events import NOT_A_PART, may_apply_part
from lsp.edits.putting import put, ready
from lsp.edits.reading import CannotEdit
from lsp.edits.repairing import repaired
from lsp.edits.running import Outcome, run
from lsp.edits.searching import likeliest
from lsp.edits.spanning import REMEDY
from lsp.edits.task import Focus, Task, WhenPlanned
from lsp.links.engines import NoEngine
from lsp.progress import Progress, Report
from lsp.protocol import WORK_DONE

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from lsp.documents import Snapshot
    from lsp.session import ForewordServer

CANCELLED = "cancelled"

_WHEN_PLANNED: dict[bool | None, WhenPlanned] = {None: "where several", True: "always", False: "no"}
"""By what a client says."""


class Done(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a command answers."""

    edit: str = ""
    applied: bool = False
    reason: str = ""
    """Why nothing was changed."""
    files: list[str] = []
    """That were changed, as URIs."""
    claim: str = ""
    """What is known of the result: `parses`, or what a check said."""
    model: str = ""
    notes: list[str] = []
    missing: list[str] = []
    """What of a plan is not among the changes, and why: they are a part of what was asked for."""


class Instructed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`foreword.edit`: what is to be done, and where."""

    instruction: str
    uri: str = ""
    """A document; without one, search finds the files."""
    lines: tuple[int, int] | None = None
    """Of it, from 1 and both included: what the instruction is about."""
    uris: list[str] = []
    """Further files that may be changed."""
    edit: str = ""
    """The id that notifications about it carry; the client's choice."""
    plan: bool | None = None
    """Whether it is planned first which files change; None: where several may, and no lines of one are meant."""


class Edits:
    """Of one client."""

    def __init__(self, server: ForewordServer) -> None:
        self._server = server
        self.following = Following(server)

    # ------------------------------------------------------------ who writes

    def model(self) -> str | None:
        """The name of the model that would write an edit of several files; None where there is none."""
        settings, engine = self._server.settings, self._server.engine.engine
        for chosen in (settings.edit.large_engine, settings.edit.engine):
            if chosen is not None:
                return chosen.model or (settings.model if chosen.kind == "embedded" else "")
        if engine is None:
            return None
        return settings.engine.model or engine.profile.short

    def able(self) -> Ability | None:
        model = self.model()
        return None if model is None else ability(model)

    def describe(self) -> dict[str, Any]:
        """For `foreword/status`: whether edits of several files are offered, and what to configure where not."""
        able = self.able()
        if able is None:
            return {"severalFiles": False, "reason": self._server.engine.reason}
        if able.several_files:
            return {"severalFiles": True, "reason": able.why}
        return {"severalFiles": False, "reason": f"{able.why}; {REMEDY}"}

    # ------------------------------------------------------------ one edit

    async def instructed(self, asked: Instructed) -> Done:
        """The edit that somebody asks for in words."""
        try:
            root, paths = self._named(asked)
        except CannotEdit as refused:
            return self.refused(asked.edit, str(refused))
        focus = [Focus(paths[0], *asked.lines)] if asked.uri and asked.lines else []
        task = Task(
            instruction=asked.instruction,
            paths=paths,
            focus=focus,
            whole_files=True,
            plan=_WHEN_PLANNED[asked.plan],
        )
        return await self.run(task, root, f"Foreword: {asked.instruction.splitlines()[0][:60]}", asked.edit)

    async def planned(self, asked: Instructed) -> PlanAnswer:
        """Which files the edit that somebody asks for would change; nothing is changed."""
        edit = asked.edit or str(uuid.uuid4())
        server, index = self._server, await self.index()
        try:
            root, paths = self._named(asked)
            task = Task(instruction=asked.instruction, paths=paths, whole_files=True, plan="always")
            with self.shown(f"Foreword: {asked.instruction.splitlines()[0][:60]}") as report:
                planning = Planning(server, self, task, root, edit, report)
                found = await planning.spread(index)
                assert found is not None, "a plan is always wanted here"
                editor = await server.engine.editor(planning.scope(found))
                with server.engine.using(editor.engine):
                    return await planning.planned(found, editor.engine, index)
        except (CannotEdit, EngineRequestError, NoEngine) as refused:
            self.tell(f"There is no plan: {refused}")
            return PlanAnswer(edit=edit, reason=str(refused))

    def _named(self, asked: Instructed) -> tuple[Path, list[str]]:
        """The root, and the paths of the documents below it. Raises CannotEdit."""
        documents = self._server.documents
        files = [to_fs_path(uri) or uri for uri in filter(None, (asked.uri, *asked.uris))]
        roots = {documents.root_of(file) for file in files}
        if not files:
            roots = {documents.roots[0]} if documents.roots else {None}
        if len(roots) > 1:
            raise CannotEdit(
                "the files are in several folders of the workspace, and one edit stays within one"
            )
        (root,) = roots
        if root is None:
            raise CannotEdit("the files are in no folder of the workspace, and nothing outside is edited")
        return Path(root), [Path(file).relative_to(root).as_posix() for file in files]

    def place_of(self, snapshot: Snapshot) -> tuple[Path, str]:
        """The root of a document and its path below that. Raises CannotEdit."""
        root = self._server.documents.root_of(snapshot.path)
        if root is None or snapshot.path is None:
            raise CannotEdit("the file is in no folder of the workspace, and nothing outside is edited")
        return Path(root), Path(snapshot.path).relative_to(root).as_posix()

    async def index(self) -> IndexClient | None:
        if self._server.index.client is not None:
            await self._server.index.flush()
        return self._server.index.client

    async def run(self, task: Task, root: Path, title: str, edit: str = "") -> Done:
        """Has the model write the edit and puts it into the client's documents; a refusal is told to the person, who
        has asked for it. Cancelling this leaves everything as it is."""
        edit = edit or str(uuid.uuid4())
        try:
            outcome = await self.written(task, root, title, edit)
        except (CannotEdit, EngineRequestError, NoEngine) as refused:
            return self.refused(edit, str(refused))
        if outcome.applied is None:
            return self.refused(edit, outcome.why, outcome)
        if outcome.missing and not await may_apply_part(self._server, outcome):
            return self.refused(edit, f"{NOT_A_PART}: {'; '.join(outcome.missing)}", outcome)
        try:
            return await self._put(outcome, root, title, edit)
        except CannotEdit as refused:
            return self.refused(edit, str(refused), outcome)

    async def repaired(self, edit: str) -> Done:
        """The one further turn about an edit that was applied and is not right."""
        one = self.following.get(edit)
        if one is None or not one.repairable:
            return self.refused(
                "", "there is nothing to repair: no such edit is known, or nothing of it failed"
            )
        one.repaired = True
        new, title = str(uuid.uuid4()), "Foreword: repairing"
        try:
            outcome = await self._written_anew(one, title, new)
            if outcome.applied is None:
                return self.refused(new, outcome.why, outcome)
            return await self._put(outcome, one.root, title, new, one)
        except (CannotEdit, EngineRequestError, NoEngine) as refused:
            return self.refused(new, str(refused))
        except asyncio.CancelledError:
            one.repaired = False
            raise

    async def _written_anew(self, one: Applied, title: str, edit: str) -> Outcome:
        """Raises CannotEdit, EngineRequestError, NoEngine."""
        server = self._server
        editor = await server.engine.editor(EditScope(max(1, len(one.outcome.files)), 0, len(one.asked)))
        place = OpenFiles(one.root, server.documents)
        with server.engine.using(editor.engine), self.shown(title) as report:
            teller = Numbered(edit, lambda step, text: report(text), self.notifier)
            return await repaired(one.outcome, self.following.failure_of(one), place, editor.engine, teller)

    async def _put(
        self, outcome: Outcome, root: Path, title: str, edit: str, repairs: Applied | None = None
    ) -> Done:
        """`repairs`: the edit whose place this one takes."""
        assert outcome.applied is not None
        made, changes = await ready(self._server, outcome.applied.changes, root, title)
        before = self.following.before(changes, root)
        result = await put(self._server, made, changes, root, title)
        if result.state == "applied":
            self.following.applied(edit, outcome, changes, root, before, repairs)
        if result.state == "partly":
            self.tell(f"Foreword's edit was {result.told}")
        return Done(
            edit=edit,
            applied=result.state == "applied",
            reason=result.told,
            files=[(root / each.new_path).as_uri() for each in changes],
            claim="parses" if result.state == "applied" else "",
            model=outcome.figures.model,
            notes=[*outcome.notes, *made.notes],
            missing=list(outcome.missing),
        )

    async def workspace_edit(self, task: Task, root: Path, title: str) -> types.WorkspaceEdit:
        """The edit for a client that puts it into its documents by itself. Raises CannotEdit."""
        try:
            outcome = await self.written(task, root, title, str(uuid.uuid4()))
        except (EngineRequestError, NoEngine) as failed:
            raise CannotEdit(str(failed)) from failed
        if outcome.applied is None:
            raise CannotEdit(outcome.why)
        if outcome.missing:  # whoever takes an edit as it is cannot be asked whether a part will do
            raise CannotEdit(f"only a part of it could be done: {'; '.join(outcome.missing)}")
        made, _ = await ready(self._server, outcome.applied.changes, root, title)
        return made.edit

    async def written(self, task: Task, root: Path, title: str, edit: str) -> Outcome:
        """Raises CannotEdit, EngineRequestError, NoEngine, IndexServiceError."""
        from indexer.client import IndexServiceError

        server = self._server
        index = await self.index()
        with self.shown(title) as report:
            report("reading")
            planning = Planning(server, self, task, root, edit, report)
            found = await planning.spread(index)
            editor = await server.engine.editor(planning.scope(found))
            with server.engine.using(editor.engine):
                if (outcome := await planning.edited(found, editor.engine, index)) is not None:
                    return outcome
                try:
                    if index is not None:
                        task = await likeliest(task, str(root), index, editor.engine)
                except IndexServiceError as failed:
                    if not task.paths:
                        raise CannotEdit(
                            f"no file was named, and search does not answer: {failed}"
                        ) from failed
                teller = Teller(edit, report, self.notifier)
                budget = server.settings.budget_tokens
                return await run(task, planning.place, editor.engine, index, teller, budget_tokens=budget)

    async def explained(self, snapshot: Snapshot, first: int, last: int, about: str) -> str:
        """Raises CannotEdit, EngineRequestError, NoEngine."""
        server = self._server
        root, path = self.place_of(snapshot)
        file = await OpenFiles(root, server.documents).read(path)
        if isinstance(file, str):
            raise CannotEdit(file)
        lines = file.text.splitlines()[first - 1 : last]
        editor = await server.engine.editor(EditScope(1, len(lines), 0))
        with server.engine.using(editor.engine), self.shown("Foreword: explaining") as report:
            return await explain(
                editor.engine, path, lines, first, about, lambda text: report(text[-80:].replace("\n", " "))
            )

    # ------------------------------------------------------------ the client

    @property
    def watches(self) -> bool:
        """Whether the client shows blocks while they are written."""
        return bool(self._of_ours("edit"))

    @property
    def notifier(self) -> Callable[[BlockNote], None] | None:
        return self._notify if self.watches else None

    @property
    def shows_plans(self) -> bool:
        """Whether the client shows which files an edit is to change, and how far it is."""
        return bool(self._of_ours("plan"))

    @property
    def confirms(self) -> bool:
        """Whether the client shows its user each plan, and says what is left of it."""
        return bool(self._of_ours("confirmPlan"))

    @property
    def asks(self) -> bool:
        """Whether the client asks its user for an instruction when an action has `foreword.edit` without one."""
        return bool(self._of_ours("ask"))

    @property
    def hears(self) -> bool:
        """Whether the client tells diagnostics, and wants to be told whether an edit helped."""
        return bool(self._of_ours("helped"))

    def _of_ours(self, name: str) -> Any:
        """What the client says under `experimental.foreword` of its capabilities."""
        from lsp.edits.plain import plain

        experimental = plain(self._server.client_capabilities.experimental)
        ours = experimental.get("foreword") if isinstance(experimental, dict) else None
        return ours.get(name) if isinstance(ours, dict) else None

    @contextmanager
    def shown(self, title: str) -> Generator[Report]:
        """A bar that the client may cancel; with it the running task is cancelled."""
        task = asyncio.current_task()
        assert task is not None, "edits are tasks"

        def cancel() -> None:
            task.cancel()

        bar = Progress(self._server, title, on_cancel=cancel, token=WORK_DONE.get())
        last = CANCELLED
        try:
            yield bar.report
            last = "done"
        except (CannotEdit, EngineRequestError, NoEngine):
            last = "refused"
            raise
        finally:
            bar.end(last)

    def _notify(self, note: BlockNote) -> None:
        self._server.rpc.tell(EDIT, msgspec.to_builtins(note))

    def refused(self, edit: str, why: str, outcome: Outcome | None = None) -> Done:
        self.tell(f"Nothing was changed: {why}")
        return Done(
            edit=edit,
            reason=why,
            model=outcome.figures.model if outcome else "",
            notes=list(outcome.notes) if outcome else [],
        )

    def tell(self, message: str, *, failed: bool = True) -> None:
        """To the person, who has asked for something and waits."""
        kind = types.MessageType.Warning if failed else types.MessageType.Info
        self._server.window_show_message(types.ShowMessageParams(type=kind, message=message))
