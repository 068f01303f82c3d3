"""One inline completion as the server sees it: newer requests replace older ones, typed-along ones cost
nothing, and whatever yields no text yields a reason."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lsp.base_keeper import BaseKeeper
from lsp.budget import Clock, Speed
from lsp.completion import Completion, complete
from lsp.documents import Snapshot, key_of
from lsp.engine_link import EngineLink
from lsp.engines import Engine
from lsp.extent import most_lines, passed_over, within
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
NOT_OPEN = "the document is not open"


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
        self._passed_over: dict[str, str] = {}
        self._most_lines: dict[str, int] = {}
        self._clock = Clock(time.monotonic)
        self.bases = BaseKeeper(
            index, lambda: engine.engine, lambda: list(documents.roots), self.speed, engine.using
        )

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
            return Completion(text="", reason=NOT_OPEN)
        key = key_of(snapshot.uri)
        self._most_lines.pop(key, None)
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
        self._passed_over.pop(key_of(uri), None)
        self._most_lines.pop(key_of(uri), None)
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
            return Outcome(reason=NOT_OPEN)
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
        self._bound(key, asked, offset, selected is not None)
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

    def _bound(self, key: str, snapshot: Snapshot, offset: int, selected: bool) -> None:
        """How many lines the next answer for this document may have, by what its user has just done."""
        earlier = self._suggestions.get(key)
        if earlier is not None and not selected:
            above = passed_over(earlier, snapshot, offset)
            if above is not None:
                self._passed_over[key] = above
        wanted, above = self._settings().max_lines, self._passed_over.get(key)
        self._most_lines[key] = most_lines(wanted, above, snapshot, offset, selected=selected)

    async def _suggest(self, key: str, snapshot: Snapshot, offset: int) -> Suggestion | str:
        """A suggestion, or why there is none."""
        earlier = self._suggestions.get(key)
        if earlier is not None and (rest := rest_of(earlier, snapshot, offset)) is not None:
            short = within(rest, self._most_lines.get(key, self._settings().max_lines))
            if short is not None:
                return short
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
        why = await asyncio.to_thread(why_not_completed, snapshot.path, root)
        if why is not None:
            return why
        engine = self._engine.engine
        if engine is None:
            self._engine.wake()
            return self._engine.reason
        index, why_not = self._index_for(root) if with_context else (None, "")
        self.bases.wanted()
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
        finally:
            self.bases.over()

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
        settings, key = self._settings(), key_of(snapshot.uri)
        max_lines = min(settings.max_lines, self._most_lines.get(key, settings.max_lines))
        settings = msgspec.structs.replace(settings, max_lines=max_lines)
        if not settings.budget_tokens:
            settings = msgspec.structs.replace(settings, budget_tokens=self.prompt_tokens(engine, key))
        if index is not None:
            await self._index.flush(leave=snapshot.path)
        base = self.bases.of(root, engine) if index is not None else None
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
            base=base,
        )
        self._measured(engine, root, completion)
        self._clock.read(key, settings.budget_tokens)
        if not why_not:
            return completion
        return msgspec.structs.replace(completion, notes=[*completion.notes, why_not])

    def speed(self, engine: Engine) -> Speed:
        """How fast it reads, as far as that has been measured."""
        return self._clock.speed(engine.endpoint.name, engine.device)

    def prompt_tokens(self, engine: Engine, key: str) -> int:
        """Of the next prompt for this document beside the base, where no setting says otherwise."""
        foreign = engine.device == "remote"  # where tokens may be paid for, and a cache is none of ours
        most = engine.budget_tokens if foreign else engine.endpoint.context_tokens
        return self._clock.budget(self.speed(engine), key, most)

    def _measured(self, engine: Engine, root: str | None, completion: Completion) -> None:
        if completion.cached_tokens is not None:
            computed = completion.prompt_tokens - completion.cached_tokens
            self.speed(engine).seen(computed, completion.read_s)
        self.bases.found(root, completion.base_tokens, completion.cached_tokens)


def _being_cancelled() -> bool:
    """Whether it is the caller who is cancelled, not only the work that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def why_not_completed(path: str | None, root: str | None) -> str | None:
    """Why this file is never shown to a model; None when it may be, and for a document that is no file."""
    from indexer.files.exclusions import why_file_excluded

    if path is None:
        return None
    try:
        why = why_file_excluded(Path(path), Path(root) if root else Path(path).parent)
    except OSError as failed:
        return f"whether this file may be read cannot be told: {failed}"
    return None if why is None else f"excluded file: {why}"
