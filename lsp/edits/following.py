"""What becomes of edits that were applied: their diagnostics are compared, the user's check is run, and one repair of
each may be asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lsp.edits.applying import FileChange
from lsp.edits.checking import Checked, check
from lsp.edits.compared import compared, same_text
from lsp.edits.diagnosed import noted
from lsp.edits.files import SourceFile, read
from lsp.edits.helped import CheckNote, Noted, Told, difference
from lsp.edits.repairing import Failure
from lsp.edits.running import Outcome
from lsp.edits.task import Diagnosed

if TYPE_CHECKING:
    from lsp.session import ForewordServer

HELPED = "foreword/helped"

REMEMBERED = 8
"""Edits that can still be repaired; each holds its prompt and texts."""

SAVED_S = 600.0
"""That the files of an edit are waited for to be saved: whoever has not by then has gone on."""


class Applied(msgspec.Struct, kw_only=True):
    """An edit that is in the client's documents."""

    id: str
    root: Path
    outcome: Outcome
    changes: Sequence[FileChange]
    asked: Sequence[Noted]
    before: Sequence[Noted] | None
    """Diagnostics of its documents; None where those of one were never told."""
    is_repair: bool
    told: Told = Told()
    repaired: bool = False

    @property
    def repairable(self) -> bool:
        return (
            self.told.failed and not self.is_repair and not self.repaired and bool(self.outcome.conversations)
        )


class Following:
    """Of one client."""

    def __init__(self, server: ForewordServer) -> None:
        self._server = server
        self._edits: OrderedDict[str, Applied] = OrderedDict()
        self._saved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        """Of the last edit: what is known of an earlier one is not true of the documents any more."""

    def get(self, edit: str) -> Applied | None:
        return self._edits.get(edit)

    def before(self, changes: Sequence[FileChange], root: Path) -> list[Noted] | None:
        """Diagnostics of the documents that will be changed, as far as they were told; taken before they change."""
        found: list[Noted] = []
        for change in changes:
            if change.before is None:
                continue
            snapshot = self._server.documents.get(self._uri(change.path, root))
            told = None if snapshot is None else self._server.diagnostics.of(snapshot.uri)
            if told is None:
                return None
            found += told
        return found

    def applied(
        self,
        edit: str,
        outcome: Outcome,
        changes: Sequence[FileChange],
        root: Path,
        before: list[Noted] | None,
        repairs: Applied | None = None,
    ) -> None:
        """Begins to follow an edit; what was followed before is over. A repair is held against what was there
        before the edit that it repairs."""
        diagnostics = outcome.task.diagnostics if outcome.task is not None else ()
        asked = [each for file in outcome.files.values() for each in _asked(diagnostics, file)]
        one = Applied(
            id=edit,
            root=root,
            outcome=outcome,
            changes=changes,
            asked=asked,
            before=before if repairs is None else repairs.before,
            is_repair=repairs is not None,
        )
        self._edits[edit] = one
        while len(self._edits) > REMEMBERED:
            self._edits.popitem(last=False)
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._follow(one), name=f"did edit {edit} help")

    def saved(self) -> None:
        """A document was."""
        self._saved.set()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def failure_of(self, one: Applied) -> Failure:
        told, found = one.told, one.told.difference
        diagnostics = () if found is None else (*found.left, *found.new)
        failed = told.check if told.check is not None and told.check.state == "failed" else None
        return Failure(
            diagnostics, "" if failed is None else failed.told, "" if failed is None else failed.tail
        )

    # ------------------------------------------------------------ one edit

    async def _follow(self, one: Applied) -> None:
        if self._server.edits.hears:
            await self._compare(one)
            self._tell(one)
        settings = self._server.settings.edit
        if settings.check and await self._is_saved(one):
            await self._check(one, settings.check, settings.check_s)

    async def _compare(self, one: Applied) -> None:
        snapshots = [
            self._server.documents.get(self._uri(each.new_path, one.root))
            for each in one.changes
            if each.after is not None
        ]
        there = [each for each in snapshots if each is not None]
        if len(there) < len(snapshots):
            one.told = Told(why="not all of its files are open", asked=len(one.asked))
            return
        versions = {each.uri: each.version for each in there}
        texts = {each.uri: each.text for each in there}

        def is_same() -> bool:
            now = {uri: self._server.documents.get(uri) for uri in texts}
            return all(each is not None and each.text == texts[uri] for uri, each in now.items())

        after, why = await self._server.diagnostics.settled(versions, is_same)
        if after is None or one.before is None:
            why = why or "the diagnostics before the edit were not told"
            one.told = Told(why=why, asked=len(one.asked))
            return
        found = difference(one.before, after, one.asked)
        one.told = Told(difference=found, asked=len(one.asked))

    async def _is_saved(self, one: Applied) -> bool:
        """Waits until what the edit changed is on disk; false where it was taken back."""
        one.told = msgspec.structs.replace(
            one.told, check=CheckNote("waiting", "for the changed files to be saved")
        )
        told = False
        try:
            async with asyncio.timeout(SAVED_S):
                while True:
                    self._saved.clear()
                    state = await asyncio.to_thread(self._on_disk, one)
                    if state != "waiting":
                        break
                    if not told:
                        self._tell(one)
                        told = True
                    await self._saved.wait()
        except TimeoutError:
            state = "not saved"
        if state == "saved":
            return True
        one.told = msgspec.structs.replace(one.told, check=CheckNote("none", f"the edit was {state}"))
        self._tell(one)
        return False

    def _on_disk(self, one: Applied) -> str:
        """Whether a check would see the edit: what is open has to be saved, and the edit not taken back."""

        def now(path: str) -> str | None:
            snapshot = self._server.documents.get(self._uri(path, one.root))
            return stored(path) if snapshot is None else snapshot.text

        def stored(path: str) -> str | None:
            found = read(one.root, path)
            return found.text if isinstance(found, SourceFile) else None

        if compared(one.changes, now).state == "declined":
            return "taken back"
        paths = {path for each in one.changes for path in (each.path, each.new_path)}
        return "saved" if all(same_text(now(path), stored(path)) for path in paths) else "waiting"

    async def _check(self, one: Applied, argv: Sequence[str], limit_s: float) -> None:
        one.told = msgspec.structs.replace(one.told, check=CheckNote("running", " ".join(argv)))
        self._tell(one)
        try:
            with self._server.edits.shown(f"Foreword: {' '.join(argv)}"):
                result = await check(argv, one.root, limit_s)
        except asyncio.CancelledError:
            one.told = msgspec.structs.replace(one.told, check=CheckNote("none", "it was cancelled"))
            self._tell(one)
            raise
        one.told = msgspec.structs.replace(one.told, check=note_of(result))
        self._tell(one)
        if not self._server.edits.hears:
            self._server.edits.tell(f"{result.command}: {result.claim}", failed=not result.passed)

    def _tell(self, one: Applied) -> None:
        if not self._server.edits.hears or self._server.stopped.done():
            return
        self._server.rpc.tell(HELPED, told_of(one))

    def _uri(self, path: str, root: Path) -> str:
        return (root / path).as_uri()


def note_of(result: Checked) -> CheckNote:
    return CheckNote("passed" if result.passed else "failed", result.told, result.tail)


def told_of(one: Applied) -> dict[str, Any]:
    """`foreword/helped`."""
    told, found = one.told, one.told.difference
    return {
        "edit": one.id,
        "claim": told.claim,
        "fixed": told.fixed,
        "left": [_plain(each) for each in (found.left if found else ())],
        "new": [_plain(each) for each in (found.new if found else ())],
        "reason": told.why,
        "check": None if told.check is None else msgspec.to_builtins(told.check),
        "repair": one.repairable,
    }


def _plain(each: Noted) -> dict[str, Any]:
    return {**msgspec.to_builtins(each.diagnosed), "severity": each.severity}


def _asked(diagnostics: Sequence[Diagnosed], file: SourceFile) -> tuple[Noted, ...]:
    return noted([each for each in diagnostics if each.path == file.path], file.text)
