"""One client's session: its settings, documents, folders and completions, and what tells it of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, cast

from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcMethodNotFound,
)
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path

from indexer.collecting import Collecting
from lsp.documents import Change, Known, Snapshot, line_start, offset_at, position_at
from lsp.edits.diagnosed import Diagnostics
from lsp.edits.offering import Offering
from lsp.edits.serving import Edits
from lsp.inline import InlineCompletions, Outcome, SelectedItem
from lsp.links.engine_link import EngineLink
from lsp.links.engines import workspace_hash
from lsp.links.index_link import IndexLink
from lsp.progress import Progress
from lsp.protocol import ForewordProtocol
from lsp.settings import SECTION, Settings, read_settings
from lsp.symbols import NotNow, Symbols
from lsp.workspace import CODE_CELL, Cell, NotOpen, Workspace

PARENT_WATCH_S = 3.0
"""How often the editor's process is looked for; normally the end of stdin tells sooner."""

CLIENTS_MISTAKES = (JsonRpcInvalidParams, JsonRpcInvalidRequest, JsonRpcMethodNotFound)
REFUSALS = (*CLIENTS_MISTAKES, NotNow)
"""Errors that a request is answered with and that are no fault of the server's."""

NOTEBOOKS = types.NotebookDocumentSyncOptions(
    notebook_selector=[types.NotebookDocumentFilterWithNotebook(notebook="*")], save=False
)

log = logging.getLogger("foreword")


class ForewordServer(LanguageServer):
    """Everything that changes belongs to the event loop that runs it."""

    def __init__(self) -> None:
        from pygls.protocol import default_converter

        super().__init__(
            "foreword",
            version("foreword"),
            notebook_document_sync=NOTEBOOKS,
            protocol_cls=ForewordProtocol,
            converter_factory=default_converter,
        )
        self.settings = Settings()
        self.complaints: list[str] = []
        self.documents = Workspace()
        self.index = IndexLink(self._bar, self.log_warning)
        self.engine = EngineLink(self._bar, self.log_warning, lambda: workspace_hash(self.documents.roots))
        self.completions = InlineCompletions(self.documents, self.index, self.engine, lambda: self.settings)
        self.symbols = Symbols(self)
        self.edits = Edits(self)
        self.diagnostics = Diagnostics(self)
        self.collecting = Collecting(often_s=0.0, sets_modules_aside=True)
        self.offering = Offering(self)
        self.cancellable: dict[str | int, Callable[[], None]] = {}
        """What ends the work of each progress that the client may cancel, by its token."""
        self.stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._initialization_options: object = None
        self._last_logged_reason = ""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def rpc(self) -> ForewordProtocol:
        return cast("ForewordProtocol", self.protocol)

    # ------------------------------------------------------------ life

    def initialize(self, params: types.InitializeParams) -> None:
        """Takes in what the client says of itself; nothing slow: the answer is waited for."""
        self._initialization_options = params.initialization_options
        self._read_settings(None)
        self.documents.encoding = types.PositionEncodingKind(
            self.workspace.position_encoding or "utf-16"
        ).value
        folders = [folder.uri for folder in params.workspace_folders or []]
        fallback = params.root_uri or (from_fs_path(params.root_path) if params.root_path else None)
        for uri in folders or ([fallback] if fallback else []):
            self.documents.add_root(uri)
        self.completions.outcomes.tells_shown = tells_shown(params.capabilities.experimental)
        self.symbols.initialize()

    def initialized(self) -> None:
        """Begins all that takes time, in the background."""
        for complaint in self.complaints:
            self.log_warning(complaint)
        if self.settings.index:
            self.index.embedder = self.settings.embedder
            self.index.start()
            for root in self.documents.roots:
                self.index.add_root(root)
        self.engine.start(self.settings)
        if self.settings.index:
            self._spawn(self.completions.bases.run(), "bases")
        self._spawn(self.symbols.settled(), "languages with symbols")
        self._spawn(self.completions.outcomes.run(), "what happened to suggestions")
        if self.process_id is not None:
            self._spawn(self._watch_parent(self.process_id), "parent watch")

    def stop(self, code: int) -> None:
        """Ends the process with this status, once what is held has been let go."""
        if not self.stopped.done():
            self.stopped.set_result(code)

    async def close(self) -> None:
        self.collecting.close()
        for task in self._tasks:
            task.cancel()
        closing = (
            self.edits.following.close(),
            self.completions.outcomes.close(),
            self.index.close(),
            self.engine.close(),
        )
        await asyncio.gather(*closing, return_exceptions=True)

    async def _watch_parent(self, pid: int) -> None:
        """Only where the editor's process can be seen: in a container its number means nothing, and the end of
        stdin has to do."""
        import psutil

        if not psutil.pid_exists(pid):
            return
        while psutil.pid_exists(pid):  # noqa: ASYNC110 — no event tells of another process' end
            await asyncio.sleep(PARENT_WATCH_S)
        self.stop(1)

    # ------------------------------------------------------------ settings

    async def configuration_changed(self, given: object) -> None:
        """Takes changed settings over; a client that only announces the change is asked for them."""
        section = given or await self._pull_configuration()
        before = self.settings
        self._read_settings(section)
        for complaint in self.complaints:
            self.log_warning(complaint)
        now = self.settings
        await self.symbols.settled()
        if (before.engine, before.model, before.edit) != (now.engine, now.model, now.edit):
            await self.engine.restart(self.settings)

    async def _pull_configuration(self) -> object:
        workspace = self.client_capabilities.workspace
        if workspace is None or not workspace.configuration:
            return None
        items = [types.ConfigurationItem(section=SECTION)]
        try:
            answers = await self.workspace_configuration_async(types.ConfigurationParams(items=items))
        except JsonRpcException as refused:
            self.log_warning(f"The client did not tell its settings: {refused}")
            return None
        return answers[0] if answers else None

    def _read_settings(self, section: object) -> None:
        read = read_settings(self._initialization_options, section)
        self.settings, self.complaints = read.settings, read.complaints

    # ------------------------------------------------------------ documents

    def did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        self.index.document(self.documents.open(item.uri, item.language_id, item.version, item.text))

    def did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        changes = [change_of(change) for change in params.content_changes]
        document = params.text_document
        try:
            snapshot = self.documents.change(document.uri, changes, document.version)
        except NotOpen as unknown:
            self.log_warning(str(unknown))
            return
        self.index.document(snapshot)
        self.completions.changed(snapshot)

    def did_save(self, uri: str) -> None:
        snapshot = self.documents.get(uri)
        if snapshot is not None:
            self.index.document(snapshot)
            self.edits.following.saved()

    def did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._closed(params.text_document.uri)

    def _closed(self, uri: str) -> None:
        snapshot = self.documents.close(uri)
        self.completions.forget(uri)
        self.diagnostics.forget(uri)
        if snapshot is not None and snapshot.path is not None:
            self.index.closed(snapshot.path)

    def notebook_did_open(self, params: types.DidOpenNotebookDocumentParams) -> None:
        notebook = params.notebook_document
        self.documents.set_notebook(notebook.uri, [cell_of(cell) for cell in notebook.cells])
        for item in params.cell_text_documents:
            self.documents.open(item.uri, item.language_id, item.version, item.text)

    def notebook_did_change(self, params: types.DidChangeNotebookDocumentParams) -> None:
        cells = params.change.cells
        if cells is None:
            return
        try:
            self._cells_changed(params.notebook_document.uri, cells)
        except NotOpen as unknown:
            self.log_warning(str(unknown))

    def _cells_changed(self, uri: str, cells: types.NotebookDocumentCellChanges) -> None:
        if cells.structure is not None:
            array = cells.structure.array
            inserted = [cell_of(cell) for cell in array.cells or []]
            self.documents.splice_notebook(uri, array.start, array.delete_count, inserted)
            for item in cells.structure.did_open or []:
                self.documents.open(item.uri, item.language_id, item.version, item.text)
            for closed in cells.structure.did_close or []:
                self._closed(closed.uri)
        for content in cells.text_content or []:
            changes = [change_of(change) for change in content.changes]
            cell = self.documents.change(content.document.uri, changes, content.document.version)
            self.completions.changed(cell)

    def notebook_did_close(self, params: types.DidCloseNotebookDocumentParams) -> None:
        self.documents.close_notebook(params.notebook_document.uri)
        for cell in params.cell_text_documents:
            self._closed(cell.uri)

    def folders_changed(self, event: types.WorkspaceFoldersChangeEvent) -> None:
        for folder in event.removed:
            root = self.documents.remove_root(folder.uri)
            if root is not None:
                self.index.remove_root(root)
        for folder in event.added:
            root = self.documents.add_root(folder.uri)
            if root is not None:
                self.index.add_root(root)

    # ------------------------------------------------------------ completions

    async def complete(
        self,
        snapshot: Snapshot | None,
        position: types.Position,
        selected: types.SelectedCompletionInfo | None = None,
        on_growing: Callable[[Outcome], None] | None = None,
        *,
        invoked: bool = False,
    ) -> Outcome:
        """The completion at a position of a snapshot; of None when the document is not open. `on_growing` gets it while
        it is written. `invoked`: somebody wants to choose."""
        if snapshot is None:
            outcome = await self.completions.answer(None, 0)
        else:
            item = None if selected is None else self._selected(snapshot, selected)
            offset = self.cursor(snapshot, position.line, position.character)
            outcome = await self.completions.answer(
                snapshot, offset, item, on_growing=on_growing, invoked=invoked
            )
        if not outcome.text and outcome.reason != self._last_logged_reason:
            self.log_info(f"No completion: {outcome.reason}")
        self._last_logged_reason = outcome.reason
        return outcome

    def cursor(self, snapshot: Snapshot, line: int, character: int) -> int | None:
        """The offset of a client position, None when there is no such line. Beyond the line's end it is that
        end, as the protocol asks."""
        start = line_start(snapshot.text, line, snapshot.known)
        if start is None:
            return None
        known = Known(snapshot.text, line, start) if line >= 0 else None
        return offset_at(snapshot.text, line, character, self.documents.encoding, known)

    def range_of(self, snapshot: Snapshot, start: int, end: int) -> types.Range:
        first = self._position(snapshot, start)
        return types.Range(first, first if end == start else self._position(snapshot, end))

    def _selected(self, snapshot: Snapshot, selected: types.SelectedCompletionInfo) -> SelectedItem:
        start, end = (self._offset(snapshot, each) for each in (selected.range.start, selected.range.end))
        return SelectedItem(start, end, selected.text)

    def _offset(self, snapshot: Snapshot, position: types.Position) -> int:
        encoding, known = self.documents.encoding, snapshot.known
        return offset_at(snapshot.text, position.line, position.character, encoding, known)

    def _position(self, snapshot: Snapshot, offset: int) -> types.Position:
        encoding, known = self.documents.encoding, snapshot.known
        line, character = position_at(snapshot.text, offset, encoding, known)
        return types.Position(line=line, character=character)

    def progress_cancelled(self, token: str | int) -> None:
        """The client's user has ended what this progress shows."""
        if token in self.cancellable:
            self.cancellable.pop(token)()

    # ------------------------------------------------------------ telling the client

    def log_info(self, message: str) -> None:
        self._log(types.MessageType.Info, message)

    def log_warning(self, message: str) -> None:
        self._log(types.MessageType.Warning, message)

    def _log(self, kind: types.MessageType, message: str) -> None:
        if not self.stopped.done():
            self.window_log_message(types.LogMessageParams(type=kind, message=message))

    def report_server_error(self, error: Exception, source: Any) -> None:
        """An error of our own, told in the client's log and on stderr; pygls would pop it up at the user. A
        request that was wrong has been answered as such: a word in the log is enough."""
        if isinstance(error, REFUSALS):
            self.log_warning(f"Refused a request: {error}")
            return
        log.error("an error of the server itself", exc_info=error)
        self._log(types.MessageType.Error, f"An error of the server itself: {type(error).__name__}: {error}")

    def _bar(self, title: str) -> Progress:
        return Progress(self, title)

    def _spawn(self, work: Any, name: str) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def change_of(change: types.TextDocumentContentChangeEvent) -> Change:
    if isinstance(change, types.TextDocumentContentChangePartial):
        start, end = change.range.start, change.range.end
        return Change(change.text, (start.line, start.character), (end.line, end.character))
    return Change(change.text)


def tells_shown(experimental: object) -> bool:
    """Whether a client has said, in its experimental capabilities, that it tells what it shows of our suggestions."""
    ours = _member(experimental, "foreword")
    return _member(ours, "shown") is True


def _member(value: object, name: str) -> object:
    """Of a JSON object, which may come as one of pygls' making."""
    if isinstance(value, dict):
        return cast("dict[str, object]", value).get(name)
    return getattr(value, name, None)


def cell_of(cell: types.NotebookCell) -> Cell:
    return Cell(cell.document, cell.kind == CODE_CELL)
