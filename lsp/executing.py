"""Commands that clients run through `workspace/executeCommand`: one table, from which they are announced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pygls.exceptions import JsonRpcInvalidParams

from lsp.edits import commands as editing
from lsp.session import ForewordServer  # at run time too: pygls looks the annotations up

ACCEPTED = "foreword.accepted"
PARTS = ("all", "line", "word")


def accepted(ls: ForewordServer, *arguments: Any) -> None:
    """The client's user has accepted the suggestion with this id, or a part of it. Raises JsonRpcInvalidParams."""
    match arguments:
        case [str() as id_]:
            ls.completions.outcomes.accepted(id_)
        case [str() as id_, ("all" | "line" | "word") as part]:
            ls.completions.outcomes.accepted(id_, part)
        case _:
            raise JsonRpcInvalidParams(
                f"{ACCEPTED} takes a suggestion's id and perhaps one of {', '.join(PARTS)}"
            )


def on_acceptance(id_: str) -> dict[str, Any]:
    """What an item has its client run once it was accepted (LSP 3.18, `InlineCompletionItem.command`)."""
    return {"title": "Foreword: accepted", "command": ACCEPTED, "arguments": [id_]}


COMMANDS: dict[str, Callable[..., Any]] = {ACCEPTED: accepted, **editing.COMMANDS}
"""Each gets the server and the command's arguments. A coroutine that takes long watches for its own cancellation: pygls
answers a cancelled command and lets it run on."""


def register_commands(server: ForewordServer) -> None:
    for name, handler in COMMANDS.items():
        server.command(name)(handler)
