"""What `foreword/status` answers: the server, the engine, the index and the last completion, as one JSON
object."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lsp.completion import Completion
from lsp.links.index_link import IndexLink
from lsp.wire import on_wire

if TYPE_CHECKING:
    from lsp.session import ForewordServer


async def status(server: ForewordServer) -> dict[str, Any]:
    """Never raises for what is missing: each part then says why it is."""
    return {
        "server": {
            "version": server.version,
            "pid": os.getpid(),
            "encoding": server.documents.encoding,
            "roots": list(server.documents.roots),
        },
        "engine": await server.engine.describe(),
        "edits": server.edits.describe(),
        "index": await index_status(server.index, server.documents.roots)
        if server.settings.index
        else {"state": "off"},
        "bases": server.completions.bases.describe(),
        "readAhead": server.completions.read_ahead(),
        "lastCompletion": completion_status(server.completions.last),
        "stats": server.completions.outcomes.describe(),
        "lastEmptyReason": server.completions.last_empty_reason,
        "complaints": server.complaints,
    }


async def index_status(link: IndexLink, folders: Sequence[str]) -> dict[str, Any]:
    """Of the roots, those that are folders of this editor: the service holds the ones of every other editor too."""
    from indexer.client import IndexServiceError

    if link.client is None:
        return {"state": "unavailable", "reason": link.reason}
    try:
        told = await link.client.status()
    except IndexServiceError as failed:
        return {"state": "unavailable", "reason": str(failed)}
    own = await asyncio.to_thread(lambda: {os.path.realpath(folder) for folder in folders})
    roots = [root for root in told.roots if root.root in own]
    return {"state": "connected", **on_wire(msgspec.structs.replace(told, roots=roots))}


def completion_status(completion: Completion | None) -> dict[str, Any] | None:
    """Figures of a completion, without its text."""
    if completion is None:
        return None
    return {
        "reason": completion.reason,
        "block": completion.block,
        "ttftS": completion.ttft_s,
        "totalS": completion.total_s,
        "promptTokens": completion.prompt_tokens,
        "cachedTokens": completion.cached_tokens,
        "baseTokens": completion.base_tokens,
        "completionTokens": completion.completion_tokens,
        "segments": [
            {"path": each.path, "startLine": each.start_line, "endLine": each.end_line, "reason": each.reason}
            for each in completion.segments
        ],
        "notes": completion.notes,
    }
