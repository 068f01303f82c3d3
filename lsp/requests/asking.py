"""Asks the engine for one completion of an open document, with what the index has for it; what it was made from comes
with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lsp.completion import Completion, OnPack, complete, read
from lsp.documents import Snapshot, key_of
from lsp.links.base_keeper import BaseInUse, BaseKeeper
from lsp.links.budget import Clock, Speed, slice_tokens
from lsp.links.engine_link import EngineLink
from lsp.links.engines import Engine
from lsp.links.index_link import IndexLink
from lsp.offers.freshness import Context, Setting, Source, source_of
from lsp.offers.sureness import Sureness
from lsp.settings import Settings
from lsp.workspace import Workspace

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from indexer.messages import Pack

GONE_FAULTS = ("unreachable", "refused", "dropped", "draining")
"""Faults of a request after which the embedded engine is looked for anew: its host has left, is leaving or
was replaced."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for."""

    snapshot: Snapshot
    offset: int
    max_lines: int | None = None
    """None: as many as the settings say."""
    with_context: bool = True
    supposed: bool = False
    """The document is one in which an item of the client's list was accepted: what is typed beside the list does not
    change it."""
    candidates: int = 1
    """Texts to choose from."""
    weighed: bool = False
    """Nobody has asked for it by name: it is shown only where the model is sure, or whoever types has stopped."""
    ahead: bool = False
    """Nobody waits for it yet: it goes behind everything else, and tells nothing of the engine's speed."""


class Written(msgspec.Struct, frozen=True):
    completion: Completion
    source: Source


class Asking:
    """Of one server."""

    def __init__(
        self, documents: Workspace, index: IndexLink, engine: EngineLink, settings: Callable[[], Settings]
    ) -> None:
        self._documents = documents
        self._index = index
        self._engine = engine
        self._settings = settings
        self._clock = Clock(time.monotonic)
        self.bases = BaseKeeper(
            index, lambda: engine.engine, lambda: list(documents.roots), self.speed, engine.using
        )

    async def ask(
        self, question: Question, on_text: Callable[[str], None], on_sure: Callable[[Sureness], None]
    ) -> Written | str:
        """A completion, or why there is none; one without text has its own reason. Cancelling this ends the request in
        the engine."""
        from engine.endpoints.sse import EngineRequestError

        snapshot = question.snapshot
        root = self._documents.root_of(snapshot.path)
        if snapshot.path is not None:
            why = await asyncio.to_thread(why_not_completed, snapshot.path, root)
            if why is not None:
                return why
        engine = self._engine.engine
        if engine is None:
            self._engine.wake()
            return self._engine.reason
        self.bases.wanted()
        try:
            with self._engine.using(engine):
                return await self._complete(engine, question, root, on_text, on_sure)
        except EngineRequestError as failed:
            why = str(failed)
            if failed.fault == "unreachable" and engine.pid is not None:
                why += " `foreword engine status` tells"
            if failed.fault in GONE_FAULTS:
                self._engine.lost(engine, why)
            return why
        finally:
            self.bases.over()

    def setting_of(self, snapshot: Snapshot) -> Setting:
        """What a suggestion in this document would be made from now, beside the files that it quotes."""
        engine = self._engine.engine
        root = self._documents.root_of(snapshot.path)
        _, why_not = self._index_for(root)
        indexed = root is not None and self._index.is_open(root)
        context = Context.NONE if why_not else Context.WHOLE if indexed else Context.INDEXING
        name = "" if engine is None else f"{engine.profile.name} {engine.url}"
        settings = self._settings()
        shape = hash((settings.max_lines, settings.wait_s, settings.budget_tokens))
        return Setting(name, hash(snapshot.preamble), context, shape)

    def speed(self, engine: Engine) -> Speed:
        """How fast it reads, as far as that has been measured."""
        return self._clock.speed(engine.endpoint.name, engine.device)

    def prompt_tokens(self, engine: Engine, key: str) -> int:
        """Of the next prompt for this document beside the base, where no setting says otherwise."""
        return self._clock.budget(self.speed(engine), key, _most(engine))

    async def indexed(self, snapshot: Snapshot) -> None:
        """Until the index has all that a completion here would have of it, or why it cannot is known."""
        root = self._documents.root_of(snapshot.path)
        if root is not None and self._settings().index:
            await self._index.opened(root)

    async def read_ahead(self, snapshot: Snapshot, offset: int) -> tuple[int, str]:
        """Has the engine read what stands before the cursor in the prompt for a completion here, as large as prompts
        become, since nobody waits. How many tokens are cached then, and why no more. Cancelling this ends it in the
        engine, which keeps what it has read."""
        from engine.prompts import before_cursor
        from engine.scheduler.warm import Warmed, warm

        engine, root = self._engine.engine, self._documents.root_of(snapshot.path)
        if engine is None or engine.endpoint.kind != "sglang":
            return 0, "only an SGLang server is read ahead for"
        why = await asyncio.to_thread(why_not_completed, snapshot.path, root)
        if why is not None:
            return 0, why
        settings, key, speed = self._settings(), key_of(snapshot.uri), self.speed(engine)
        if not settings.budget_tokens:
            whole = self._clock.whole(speed, _most(engine))
            settings = msgspec.structs.replace(settings, budget_tokens=whole)
        with self._engine.using(engine):
            index, base = await self._index_and_base(engine, snapshot, root)
            reading = await read(
                snapshot,
                index,
                engine.tokenizer,
                engine.profile,
                settings,
                offset=offset,
                root=root,
                context_tokens=engine.endpoint.context_tokens,
                base=base,
                unhurried=True,
            )
            ids = before_cursor(reading.prompt, engine.profile)
            if not ids:
                return 0, "the model's tokens are only estimated"

            def progress(so_far: Warmed) -> None:
                self._clock.read_so_far(key, so_far.tokens - reading.base_tokens)

            done = await warm(
                engine.endpoint,
                ids,
                slice_tokens=slice_tokens(speed),
                on_progress=progress,
            )
        if not done.stopped:
            self._clock.read(key, settings.budget_tokens)
        return done.tokens, done.stopped

    def _index_for(self, root: str | None) -> tuple[IndexClient | None, str]:
        """The index to ask, or None and why there is none."""
        why = "the index is switched off" if not self._settings().index else self._index.why_not(root)
        return (None, why) if why else (self._index.client, "")

    async def _complete(
        self,
        engine: Engine,
        question: Question,
        root: str | None,
        on_text: Callable[[str], None],
        on_sure: Callable[[Sureness], None],
    ) -> Written:
        from engine.endpoints.endpoint import Priority

        snapshot, key = question.snapshot, key_of(question.snapshot.uri)
        settings = self._settings()
        max_lines = settings.max_lines if question.max_lines is None else question.max_lines
        settings = msgspec.structs.replace(settings, max_lines=min(settings.max_lines, max_lines))
        if not settings.budget_tokens:
            settings = msgspec.structs.replace(settings, budget_tokens=self.prompt_tokens(engine, key))
        index, base, why_not = None, None, ""
        if question.with_context:
            index, base = await self._index_and_base(engine, snapshot, root)
            _, why_not = self._index_for(root)
        sources: list[Source] = []
        completion = await complete(
            snapshot,
            index,
            engine.endpoint,
            engine.tokenizer,
            engine.profile,
            settings,
            on_text,
            offset=question.offset,
            root=root,
            base=base,
            candidates=question.candidates,
            weighed=question.weighed,
            on_sure=on_sure,
            priority=Priority.PREFETCH if question.ahead else Priority.COMPLETION,
            on_pack=self._noting(sources, snapshot, root),
        )
        if not question.ahead:
            self._measured(engine, root, completion)
        self._clock.read(key, settings.budget_tokens)
        if why_not:
            completion = msgspec.structs.replace(completion, notes=[*completion.notes, why_not])
        return Written(completion, sources[0])

    async def _index_and_base(
        self, engine: Engine, snapshot: Snapshot, root: str | None
    ) -> tuple[IndexClient | None, BaseInUse | None]:
        """The index, if there is one, told of all other documents; and what of its base the engine has read."""
        index, _ = self._index_for(root)
        if index is None:
            return None, None
        await self._index.flush(leave=snapshot.path)
        return index, self.bases.of(root, engine)

    def _noting(self, sources: list[Source], snapshot: Snapshot, root: str | None) -> OnPack:
        """Notes what is read before it is: what changes while the model writes is another version."""
        setting, documents = self.setting_of(snapshot), self.open_files()

        async def note(pack: Pack | None, why_none: str) -> None:
            quoted = [each.path for each in pack.segments] if pack is not None else []
            # a pack that failed once may be there the next time
            read = msgspec.structs.replace(setting, context=Context.NONE) if why_none else setting
            sources.append(await asyncio.to_thread(source_of, read, root, quoted, documents))

        return note

    def open_files(self) -> dict[str, Snapshot]:
        """The open documents that are files, by their paths."""
        return {each.path: each for each in self._documents.all() if each.path is not None}

    def _measured(self, engine: Engine, root: str | None, completion: Completion) -> None:
        if completion.cached_tokens is not None:
            computed = completion.prompt_tokens - completion.cached_tokens
            self.speed(engine).seen(computed, completion.read_s)
        self.bases.found(root, completion.base_tokens, completion.cached_tokens)


def _most(engine: Engine) -> int:
    """Tokens of a prompt, however fast the engine."""
    foreign = engine.device == "remote"  # where tokens may be paid for, and a cache is none of ours
    return engine.budget_tokens if foreign else engine.endpoint.context_tokens


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
