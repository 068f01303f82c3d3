"""One inline completion as the server sees it: newer requests replace older ones, typed-along ones cost
nothing, and whatever yields no text yields a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lsp.completion import Completion, complete
from lsp.documents import Snapshot, key_of
from lsp.engine_link import EngineLink
from lsp.engines import Engine
from lsp.index_link import IndexLink
from lsp.settings import Settings
from lsp.suggestions import Selected, Suggestion, accepted, remembered, rest_of
from lsp.workspace import Workspace

if TYPE_CHECKING:
    from indexer.client import IndexClient

GONE_FAULTS = ("unreachable", "refused", "dropped", "draining")
"""Faults of a request after which the embedded engine is looked for anew: its host has left, is leaving or
was replaced."""

REPLACED = "a newer request took its place"
CLOSED = "the document was closed"
NO_SUCH_LINE = "there is no such line"


class SelectedItem(msgspec.Struct, frozen=True):
    """The item selected in the client's suggestion list: it replaces `start` to `end` by `text`."""

    start: int
    end: int
    text: str


class Outcome(msgspec.Struct, frozen=True):
    """`text` replaces `start` to `end` of the snapshot that was asked about; without text there is a
    `reason`."""

    text: str = ""
    start: int = 0
    end: int = 0
    reason: str = ""


class _Running(msgspec.Struct):
    task: asyncio.Task[Completion | str]
    ended_because: str = ""


class InlineCompletions:
    """All completions of one server: at most one runs for each document."""

    def __init__(
        self, documents: Workspace, index: IndexLink, engine: EngineLink, settings: Callable[[], Settings]
    ) -> None:
        self.last: Completion | None = None
        self.last_empty_reason = ""
        self._documents = documents
        self._index = index
        self._engine = engine
        self._settings = settings
        self._running: dict[str, _Running] = {}
        self._suggestions: dict[str, Suggestion] = {}

    async def answer(
        self, snapshot: Snapshot | None, offset: int | None, selected: SelectedItem | None = None
    ) -> Outcome:
        """Cancelling this, or asking again for the same document, ends the request in the engine. `offset` is
        None where the document has no such line."""
        outcome = await self._answer(snapshot, offset, selected)
        if not outcome.text:
            self.last_empty_reason = outcome.reason
        return outcome

    async def stream(
        self,
        snapshot: Snapshot | None,
        offset: int | None,
        on_text: Callable[[str], None],
        *,
        with_context: bool,
    ) -> Completion:
        """One completion of the model's, told while it grows; nothing remembered answers in its place."""
        if snapshot is None:
            return Completion(text="", reason="the document is not open")
        key = key_of(snapshot.uri)
        if offset is None:
            self._end(key, REPLACED)
            said = NO_SUCH_LINE
        else:
            said = await self._ask(key, snapshot, offset, with_context=with_context, on_text=on_text)
        completion = Completion(text="", reason=said) if isinstance(said, str) else said
        if not completion.text:
            self.last_empty_reason = completion.reason
        return completion

    def forget(self, uri: str) -> None:
        """The document was closed."""
        self._suggestions.pop(key_of(uri), None)
        self._end(key_of(uri), CLOSED)

    def _end(self, key: str, why: str) -> None:
        """Cancels what runs for this document, if anything does."""
        older = self._running.pop(key, None)
        if older is not None:
            older.ended_because = why
            older.task.cancel()

    async def _answer(
        self, snapshot: Snapshot | None, offset: int | None, selected: SelectedItem | None
    ) -> Outcome:
        if snapshot is None:
            return Outcome(reason="the document is not open")
        key = key_of(snapshot.uri)
        self._end(key, REPLACED)
        if offset is None:
            return Outcome(reason=NO_SUCH_LINE)
        asked, start, end = snapshot, offset, offset
        if selected is not None:
            taken = accepted(snapshot, offset, selected.start, selected.end, selected.text)
            if not isinstance(taken, Selected):
                return Outcome(reason=taken)
            asked, offset, start, end = taken.snapshot, taken.offset, selected.start, selected.end
        said = await self._suggest(key, asked, offset)
        if isinstance(said, str):
            return Outcome(reason=said)
        now = self._documents.get(snapshot.uri)
        if now is None:
            return Outcome(reason=CLOSED)
        self._suggestions[key] = said
        if now.version != snapshot.version or now.text != snapshot.text:
            return Outcome(reason="the document has changed since")
        text = said.text if selected is None else selected.text + said.text
        return Outcome(text, start, end + said.replaced)

    async def _suggest(self, key: str, snapshot: Snapshot, offset: int) -> Suggestion | str:
        """A suggestion, or why there is none."""
        earlier = self._suggestions.get(key)
        if earlier is not None and (rest := rest_of(earlier, snapshot, offset)) is not None:
            return rest
        completion = await self._ask(key, snapshot, offset)
        if isinstance(completion, str) or not completion.text:
            return completion if isinstance(completion, str) else completion.reason
        return remembered(snapshot, offset, completion.text, completion.replaced)

    async def _ask(
        self,
        key: str,
        snapshot: Snapshot,
        offset: int,
        *,
        with_context: bool = True,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion | str:
        """A completion of the model's, or why there is none. Nothing is awaited before the work is known to
        whoever asks next, so that of two requests one always ends the other."""
        self._end(key, REPLACED)
        work = asyncio.create_task(
            self._work(snapshot, offset, with_context, on_text), name=f"complete {snapshot.uri}"
        )
        running = self._running[key] = _Running(work)
        try:
            said = await work
        except asyncio.CancelledError:
            if _being_cancelled():
                raise
            return running.ended_because or self._engine.reason  # else the engine was closed under it
        finally:
            if self._running.get(key) is running:
                del self._running[key]
        if isinstance(said, Completion):
            self.last = said
        return said

    async def _work(
        self,
        snapshot: Snapshot,
        offset: int,
        with_context: bool,
        on_text: Callable[[str], None] | None,
    ) -> Completion | str:
        from engine.endpoints.sse import EngineRequestError

        root = self._documents.root_of(snapshot.path)
        if snapshot.path is not None:
            why = await asyncio.to_thread(_why_excluded, snapshot.path, root)
            if why is not None:
                return why
        engine = self._engine.engine
        if engine is None:
            self._engine.wake()
            return self._engine.reason
        index, why_not = self._index_for(root) if with_context else (None, "")
        try:
            with self._engine.using(engine):
                return await self._complete(engine, index, why_not, snapshot, offset, root, on_text)
        except EngineRequestError as failed:
            why = str(failed)
            if failed.fault == "unreachable" and engine.pid is not None:
                why += " `foreword engine status` tells"
            if failed.fault in GONE_FAULTS:
                self._engine.lost(engine, why)
            return why

    def _index_for(self, root: str | None) -> tuple[IndexClient | None, str]:
        """The index to ask, or None and why there is none."""
        why = "the index is switched off" if not self._settings().index else self._index.why_not(root)
        return (None, why) if why else (self._index.client, "")

    async def _complete(
        self,
        engine: Engine,
        index: IndexClient | None,
        why_not: str,
        snapshot: Snapshot,
        offset: int,
        root: str | None,
        on_text: Callable[[str], None] | None,
    ) -> Completion:
        settings = self._settings()
        if not settings.budget_tokens:
            settings = msgspec.structs.replace(settings, budget_tokens=engine.budget_tokens)
        if index is not None:
            await self._index.flush(leave=snapshot.path)
        completion = await complete(
            snapshot,
            index,
            engine.endpoint,
            engine.tokenizer,
            engine.profile,
            settings,
            on_text,
            offset=offset,
            root=root,
        )
        if not why_not:
            return completion
        return msgspec.structs.replace(completion, notes=[*completion.notes, why_not])


def _being_cancelled() -> bool:
    """Whether it is the caller who is cancelled, not only the work that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _why_excluded(path: str, root: str | None) -> str | None:
    """Why this file is not completed; None when it may be."""
    from indexer.files.exclusions import why_file_excluded

    try:
        why = why_file_excluded(Path(path), Path(root) if root else Path(path).parent)
    except OSError as failed:
        return f"whether this file may be read cannot be told: {failed}"
    return None if why is None else f"excluded file: {why}"
