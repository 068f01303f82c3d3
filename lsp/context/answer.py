"""`foreword/context`: what a completion at a place of an open document would have the model read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from pygls.exceptions import JsonRpcInvalidParams

from engine.models.catalogue import QWEN_SMALL
from engine.tokens import EstimateTokenizer
from lsp.completion import read
from lsp.context.document import document, in_camel_case
from lsp.context.page import context_page
from lsp.context.window import (
    Cached,
    ContextWindow,
    cached_by,
    is_segment,
    window_of,
)
from lsp.documents import Snapshot, key_of
from lsp.inline import NO_SUCH_LINE, NOT_OPEN
from lsp.links.engines import prompt_budget
from lsp.requests.asking import why_not_completed
from lsp.streaming import DocumentId, NotBelowZero, Position

if TYPE_CHECKING:
    from lsp.session import ForewordServer

NOTHING: dict[str, Any] = {"budget": 0, "tokens": 0, "segments": [], "notes": [], "window": None}
"""The answer where there is no window, beside the reason."""
NO_SEGMENTS = "nothing of the repository is read here"


class ContextRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`budget` is for segments of the repository; without it as many tokens as a completion would take."""

    text_document: DocumentId
    position: Position
    budget: NotBelowZero | None = None
    html: bool = False


async def context_answer(server: ForewordServer, params: object) -> dict[str, Any]:
    """The answer of docs/protocol.md; where there is nothing to show it has a `reason`. Raises JsonRpcInvalidParams
    when `params` are no `ContextRequest`."""
    try:
        request = msgspec.convert(params, ContextRequest)
    except msgspec.ValidationError as wrong:
        raise JsonRpcInvalidParams(f"foreword/context: {wrong}") from wrong
    snapshot, where = server.documents.get(request.text_document.uri), request.position
    if snapshot is None:
        return {"reason": NOT_OPEN, **NOTHING}
    offset = server.cursor(snapshot, where.line, where.character)
    if offset is None:
        return {"reason": NO_SUCH_LINE, **NOTHING}
    root = server.documents.root_of(snapshot.path)
    excluded = await asyncio.to_thread(why_not_completed, snapshot.path, root)
    if excluded is not None:
        return {"reason": excluded, **NOTHING}
    window = await _window(server, snapshot, offset, root, request.budget)
    told = {"reason": _reason(window), **in_camel_case(document(window, first_line=0))}
    if request.html:
        told["html"] = await asyncio.to_thread(context_page, window)
    return told


async def _window(
    server: ForewordServer, snapshot: Snapshot, offset: int, root: str | None, budget: int | None
) -> ContextWindow:
    engine, settings, notes = server.engine.engine, server.settings, list[str]()
    if engine is None:
        tokenizer, profile = EstimateTokenizer(), QWEN_SMALL
        limit, whole = profile.context_native, prompt_budget(profile, "cpu")
        notes.append(f"tokens are estimated: {server.engine.reason}")
    else:
        tokenizer, profile = engine.tokenizer, engine.profile
        limit = engine.endpoint.context_tokens
        whole = server.completions.prompt_tokens(engine, key_of(snapshot.uri))
    if not settings.budget_tokens:
        settings = msgspec.structs.replace(settings, budget_tokens=whole)
    why = server.index.why_not(root) if settings.index else "the index is switched off"
    client = None if why else server.index.client
    if client is not None:
        await server.index.flush(leave=snapshot.path)
    base = server.completions.bases.of(root, engine) if engine is not None and client is not None else None
    reading = await read(
        snapshot,
        client,
        tokenizer,
        profile,
        settings,
        offset=offset,
        root=root,
        context_tokens=limit,
        context_budget=budget,
        base=base,
    )
    cached = Cached(None, server.engine.reason)
    if engine is not None:
        cached = await cached_by(engine.endpoint, reading.prompt)
    notes = [*([why] if why else []), *notes]
    return window_of(snapshot, reading, profile, tokenizer, cached=cached, limit=limit, notes=notes)


def _reason(window: ContextWindow) -> str:
    """Why nothing of the repository is there; empty where something is."""
    if any(is_segment(part) for part in window.parts):
        return ""
    return window.notes[0] if window.notes else NO_SEGMENTS
