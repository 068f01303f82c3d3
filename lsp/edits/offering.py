"""Code actions as the protocol has them: offered at once, worked out when one is resolved, done when it is chosen."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from lsprotocol import types

from lsp.documents import Snapshot, position_at
from lsp.edits.actions import KINDS, Here, Offer, offers, wanted
from lsp.edits.chosen import task_of
from lsp.edits.lines import split
from lsp.edits.plain import plain
from lsp.edits.reading import CannotEdit
from lsp.edits.task import Diagnosed, Task

if TYPE_CHECKING:
    from indexer.parsing.tags import Tag
    from lsp.session import ForewordServer

RUN = "foreword.run"
"""Does what an offer says: the command of a resolved action."""

ASK = "foreword.edit"

MAX_TAGGED_CHARS = 400_000
"""Of a text that is looked through for definitions: that takes a tenth of a second, in a thread."""

REMEMBERED = 16
"""Documents whose definitions are kept."""

PREFIX = "Foreword: "

OPTIONS = types.CodeActionOptions(code_action_kinds=[*KINDS], resolve_provider=True)


class Chosen(msgspec.Struct, frozen=True, rename="camel"):
    """What an action carries as `data`, and the command as its argument."""

    uri: str
    version: int
    offer: Offer


class Offering:
    """Of one client."""

    def __init__(self, server: ForewordServer) -> None:
        self._server = server
        self._definitions: OrderedDict[tuple[str, int], Sequence[Tag]] = OrderedDict()

    async def offered(
        self, snapshot: Snapshot | None, params: types.CodeActionParams
    ) -> list[types.CodeAction]:
        edits = self._server.edits
        able = edits.able()
        if snapshot is None or able is None:
            return []
        try:
            _, path = edits.place_of(snapshot)
        except CannotEdit:
            return []
        text, context = split(snapshot.text), params.context
        first, last = self._lines(snapshot, params.range)
        given = [(each, diagnosed(path, each)) for each in context.diagnostics]
        own = {each for _, each in given}
        told = [each for each in self._told(snapshot.uri, text.lines) if each not in own]
        at_lines = [each for each in told if first <= each.line <= last]
        here = Here(
            path,
            text.lines,
            snapshot.language,
            first,
            last,
            selected=params.range.start != params.range.end,
            diagnostics=[*(each for _, each in given), *at_lines],
            elsewhere=[each for each in told if each not in at_lines],
        )
        automatic = context.trigger_kind == types.CodeActionTriggerKind.Automatic
        found = offers(
            here,
            () if automatic else await self._tags(snapshot),
            several_files=able.several_files,
            asks=edits.asks,
            automatic=automatic,
        )
        resolves = self._resolves()
        actions: list[types.CodeAction] = []
        for offer in found:
            if not wanted(offer.kind, context.only):
                continue
            chosen = Chosen(snapshot.uri, snapshot.version, offer)
            about = [whole for whole, own in given if own in offer.diagnostics]
            action = types.CodeAction(
                title=f"{PREFIX}{offer.title}", kind=offer.kind, diagnostics=about or None
            )
            if resolves:
                action.data = msgspec.to_builtins(chosen)
            else:
                action.command = command_of(chosen)
            actions.append(action)
        return actions

    async def resolved(self, action: types.CodeAction) -> types.CodeAction:
        """The action with its command, or, for a client that takes no command then, with its edit. Raises CannotEdit
        where it turns out that there is nothing to do."""
        if action.data is None:
            return action
        chosen = chosen_of(action.data)
        changes_nothing_yet = chosen.offer.what in ("explain", "refactor")
        if "command" in self._resolves() or changes_nothing_yet:
            if not changes_nothing_yet:
                await self.task(chosen)
            action.command = command_of(chosen)
            return action
        snapshot, task = await self.task(chosen)
        root, _ = self._server.edits.place_of(snapshot)
        action.edit = await self._server.edits.workspace_edit(task, root, action.title)
        return action

    async def task(self, chosen: Chosen) -> tuple[Snapshot, Task]:
        """What is to be done now. Raises CannotEdit where the document is another by now, or nothing is to be done."""
        snapshot = self.current(chosen)
        edits = self._server.edits
        root, path = edits.place_of(snapshot)
        lines = split(snapshot.text).lines
        from indexer.client import IndexServiceError

        try:
            task = await task_of(chosen.offer, path, lines, snapshot.language, root, await edits.index())
        except IndexServiceError as failed:
            raise CannotEdit(str(failed)) from failed
        return snapshot, task

    def current(self, chosen: Chosen) -> Snapshot:
        snapshot = self._server.documents.get(chosen.uri)
        if snapshot is None:
            raise CannotEdit("the document has been closed")
        if snapshot.version != chosen.version:
            raise CannotEdit("the document has changed since this was offered; ask for it again")
        return snapshot

    def _told(self, uri: str, lines: Sequence[str]) -> list[Diagnosed]:
        """Diagnostics of the document that are still where they were told: Neovim names to each server only its own."""
        noted = self._server.diagnostics.of(uri) or ()
        found = [(each.diagnosed, each.content) for each in noted]
        return [
            each
            for each, content in found
            if each.line <= len(lines) and lines[each.line - 1].strip() == content
        ]

    async def _tags(self, snapshot: Snapshot) -> Sequence[Tag]:
        if len(snapshot.text) > MAX_TAGGED_CHARS:
            return ()
        key = (snapshot.uri, snapshot.version)
        if key not in self._definitions:
            self._definitions[key] = await asyncio.to_thread(_definitions, snapshot)
            while len(self._definitions) > REMEMBERED:
                self._definitions.popitem(last=False)
        return self._definitions.get(key, ())

    def _lines(self, snapshot: Snapshot, selected: types.Range) -> tuple[int, int]:
        """From 1, both ends included; the line that a selection ends before is not part of it."""
        first, last = selected.start.line + 1, selected.end.line + 1
        if last > first and selected.end.character == 0:
            last -= 1
        total = position_at(snapshot.text, len(snapshot.text), "utf-32")[0] + 1
        return min(first, total), min(last, total)

    def _resolves(self) -> Sequence[str]:
        """What of an action the client lets be worked out later."""
        document = self._server.client_capabilities.text_document
        support = document.code_action if document is not None else None
        if support is None or not support.data_support or support.resolve_support is None:
            return ()
        return support.resolve_support.properties


def command_of(chosen: Chosen) -> types.Command:
    title, offer = f"{PREFIX}{chosen.offer.title}", chosen.offer
    if offer.what == "refactor":  # the client asks its user, and adds the instruction
        return types.Command(
            title=title, command=ASK, arguments=[{"uri": chosen.uri, "lines": [offer.first, offer.last]}]
        )
    return types.Command(title=title, command=RUN, arguments=[msgspec.to_builtins(chosen)])


def chosen_of(data: Any) -> Chosen:
    """Raises CannotEdit for what is none of ours."""
    try:
        return msgspec.convert(plain(data), Chosen)
    except msgspec.ValidationError as wrong:
        raise CannotEdit(f"this is no offer of Foreword's: {wrong}") from wrong


def diagnosed(path: str, each: types.Diagnostic) -> Diagnosed:
    code = "" if each.code is None else str(each.code)
    return Diagnosed(path, each.range.start.line + 1, each.message, each.source or "", code)


def _definitions(snapshot: Snapshot) -> Sequence[Tag]:
    from indexer.parsing.languages import language_of
    from indexer.parsing.tags import tags

    language = snapshot.language or (language_of(snapshot.path) if snapshot.path else None)
    return tags(snapshot.text, language).definitions
