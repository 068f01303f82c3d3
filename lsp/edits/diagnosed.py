"""Diagnostics as the client tells them of whole documents (`foreword/diagnostics`), by whatever server they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lsp.documents import key_of
from lsp.edits.helped import ERROR, Noted
from lsp.edits.lines import split
from lsp.edits.plain import plain
from lsp.edits.reading import CannotEdit
from lsp.edits.task import Diagnosed

if TYPE_CHECKING:
    from lsp.session import ForewordServer

LONGEST_S = 10.0
"""That diagnostics are waited for after an edit: pyright takes a second or two for a large file."""

QUIET_S = 2.0
"""Without news, where the client does not tell which servers it still awaits."""

SETTLED_QUIET_S = 0.3
"""Where it does: a server may publish twice, what it has at once and what it computes."""

LOOK_AGAIN_S = 0.05


class Position(msgspec.Struct, frozen=True):
    line: int
    character: int = 0


class Span(msgspec.Struct, frozen=True):
    start: Position


class ToldDiagnostic(msgspec.Struct, frozen=True):
    """As the protocol has it, as far as it is of use here."""

    range: Span
    message: str
    source: str | None = None
    code: str | int | None = None
    severity: int | None = None


class ToldDocument(msgspec.Struct, frozen=True):
    """`foreword/diagnostics`."""

    uri: str
    diagnostics: list[ToldDiagnostic]
    version: int | None = None
    awaited: list[str] | None = None


class Known(msgspec.Struct, frozen=True):
    """Of one document."""

    noted: tuple[Noted, ...]
    version: int
    awaited: tuple[str, ...] | None
    """Servers that have not told theirs of this version; None where the client cannot know."""
    at: float
    """By the loop's clock."""


class Diagnostics:
    """Of one client."""

    def __init__(self, server: ForewordServer) -> None:
        self._server = server
        self._known: dict[str, Known] = {}

    def told(self, params: Any) -> None:
        try:
            told = msgspec.convert(plain(params), ToldDocument)
        except msgspec.ValidationError as wrong:
            self._server.log_warning(f"Ignored foreword/diagnostics: {wrong}")
            return
        snapshot = self._server.documents.get(told.uri)
        if snapshot is None:
            return
        try:
            _, path = self._server.edits.place_of(snapshot)
        except CannotEdit:
            return
        found = [
            Diagnosed(
                path,
                each.range.start.line + 1,
                each.message,
                each.source or "",
                "" if each.code is None else str(each.code),
            )
            for each in told.diagnostics
        ]
        severities = [each.severity or ERROR for each in told.diagnostics]
        self._known[key_of(told.uri)] = Known(
            noted(found, snapshot.text, severities),
            snapshot.version if told.version is None else told.version,
            None if told.awaited is None else tuple(told.awaited),
            asyncio.get_running_loop().time(),
        )

    def of(self, uri: str) -> tuple[Noted, ...] | None:
        """None where nothing was ever told."""
        known = self._known.get(key_of(uri))
        return None if known is None else known.noted

    def forget(self, uri: str) -> None:
        self._known.pop(key_of(uri), None)

    async def settled(
        self, versions: Mapping[str, int], is_same: Callable[[], bool], *, longest_s: float = LONGEST_S
    ) -> tuple[tuple[Noted, ...] | None, str]:
        """Those of all these documents (URI and version) once every server of the client has told them; or None and why
        they cannot be known. `is_same` says whether the documents are still what is asked about."""
        now = asyncio.get_running_loop().time
        end = now() + longest_s
        while why := self._why_not(versions, now()):
            if not is_same():
                return None, "the documents were changed meanwhile"
            if now() > end:
                return None, f"{why} within {longest_s:g} s"
            await asyncio.sleep(LOOK_AGAIN_S)
        if not is_same():
            return None, "the documents were changed meanwhile"
        return tuple(each for uri in versions for each in self._known[key_of(uri)].noted), ""

    def _why_not(self, versions: Mapping[str, int], now: float) -> str:
        """What is still missing; empty where everything is there."""
        for uri, version in versions.items():
            known = self._known.get(key_of(uri))
            if known is None or known.version < version:
                return "the editor has not told the diagnostics"
            if known.awaited:
                return f"{', '.join(known.awaited)} told no diagnostics"
            quiet_s = QUIET_S if known.awaited is None else SETTLED_QUIET_S
            if now - known.at < quiet_s:
                return "diagnostics did not come to rest"
        return ""


def noted(found: Sequence[Diagnosed], text: str, severities: Sequence[int] = ()) -> tuple[Noted, ...]:
    """With the lines of this text that they are about."""
    lines = split(text).lines
    levels = severities or [ERROR] * len(found)
    return tuple(
        Noted(each, lines[each.line - 1].strip() if 0 < each.line <= len(lines) else "", level)
        for each, level in zip(found, levels, strict=True)
    )
