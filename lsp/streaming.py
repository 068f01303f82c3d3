"""Completions told while they are written: items of `textDocument/inlineCompletion`, and `foreword/completion` with the
figures and what the model read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from lsp.completion import Completion
from lsp.documents import Snapshot
from lsp.executing import on_acceptance
from lsp.inline import Outcome
from lsp.wire import on_wire

if TYPE_CHECKING:
    from lsp.session import ForewordServer


NotBelowZero = Annotated[int, msgspec.Meta(ge=0)]
"""The protocol's `uinteger`."""


class DocumentId(msgspec.Struct, frozen=True):
    uri: str


class Position(msgspec.Struct, frozen=True):
    """In the client's units."""

    line: NotBelowZero
    character: NotBelowZero


class AtCursor(msgspec.Struct, frozen=True, rename="camel"):
    text_document: DocumentId
    position: Position


class CompletionRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`partial_result_token` asks for the text while it grows."""

    text_document: DocumentId
    position: Position
    repository_context: bool = True
    partial_result_token: str | int | None = None


async def streamed_completion(server: ForewordServer, params: object) -> dict[str, Any]:
    """The answer of docs/protocol.md. Raises JsonRpcInvalidParams when `params` are no `CompletionRequest`."""
    try:
        request = msgspec.convert(params, CompletionRequest)
    except msgspec.ValidationError as wrong:
        raise JsonRpcInvalidParams(f"foreword/completion: {wrong}") from wrong
    snapshot = server.documents.get(request.text_document.uri)
    token = request.partial_result_token

    def told(text: str) -> None:
        if token is not None:
            server.progress(types.ProgressParams(token=token, value={"text": text}))

    where = request.position
    offset = None if snapshot is None else server.cursor(snapshot, where.line, where.character)
    completion = await server.completions.stream(
        snapshot, offset, told, with_context=request.repository_context
    )
    answer = _told(completion)
    if snapshot is not None and offset is not None and completion.text:
        end = offset + completion.replaced
        answer["range"] = _plain_range(server.range_of(snapshot, offset, end))
        answer["id"] = server.completions.outcomes.current(snapshot.uri)
    return answer


def growing_items(
    server: ForewordServer, snapshot: Snapshot, token: str | int | None
) -> Callable[[Outcome], None] | None:
    """Tells the client what an inline completion is so far, each time as a list of one item that takes the place of the
    one before; None where it has not asked for that."""
    if token is None:
        return None

    def told(outcome: Outcome) -> None:
        where = _plain_range(server.range_of(snapshot, outcome.start, outcome.end))
        item: dict[str, Any] = {"insertText": outcome.text, "range": where}
        if id_ := server.completions.outcomes.current(snapshot.uri):
            item["command"] = on_acceptance(id_)
        server.progress(types.ProgressParams(token=token, value=[item]))

    return told


def _told(completion: Completion) -> dict[str, Any]:
    """All but what the client has already (texts) or cannot use (token ids)."""
    # without the texts before they are gone through: those of a base are a megabyte
    light = [msgspec.structs.replace(each, text="", ids=[]) for each in completion.segments]
    answer: dict[str, Any] = on_wire(msgspec.structs.replace(completion, segments=light))
    for segment in answer["segments"]:
        del segment["text"], segment["ids"]
    for name in ("replaced", "block", "baseTokens", "readS", "sureness", "others"):
        del answer[name]
    return answer


def _plain_range(span: types.Range) -> dict[str, Any]:
    return {"start": _plain(span.start), "end": _plain(span.end)}


def _plain(position: types.Position) -> dict[str, int]:
    return {"line": position.line, "character": position.character}
