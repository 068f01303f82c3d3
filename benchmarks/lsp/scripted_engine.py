"""An engine that knows what will be typed and says the next line of it at once: no model, over HTTP as `openai` servers
speak."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

KNOWN_BACK = 40
"""Characters before the cursor by which a place in the text is known."""
PREFIX_MARK, SUFFIX_MARK = "<|fim_prefix|>", "<|fim_suffix|>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
NOTHING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ScriptedEngine:
    """Listens on a port of its own while `running` lasts."""

    def __init__(self, text: str) -> None:
        """`text` is what will be typed."""
        self.url = ""
        self.requests = 0
        self._text = text

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[ScriptedEngine]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            length = _content_length(request)
            body = await reader.readexactly(length)
            if not request.startswith(b"POST ") or b"/completions" not in request.partition(b"\r\n")[0]:
                writer.write(NOTHING)
            else:
                self.requests += 1
                writer.write(HEAD + _events(self.next_line(str(json.loads(body)["prompt"]))))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the server has ended its request: an engine has nothing to say to that
        finally:
            writer.close()

    def next_line(self, prompt: str) -> str:
        """What will be typed on the line of the cursor, or on the next one at a line's end."""
        before = prompt.rpartition(SUFFIX_MARK)[0].rpartition(PREFIX_MARK)[2]
        for back in (KNOWN_BACK, KNOWN_BACK // 2, KNOWN_BACK // 4):
            found = self._text.find(before[-back:]) if before else -1
            if found >= 0:
                rest = self._text[found + len(before[-back:]) :]
                return rest[: rest.find("\n", 1) + 1] if "\n" in rest[1:] else rest
        return ""


def _content_length(request: bytes) -> int:
    for line in request.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _events(text: str) -> bytes:
    documents: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "text": text, "finish_reason": None}]},
        {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]},
    ]
    return (
        b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in documents) + b"data: [DONE]\n\n"
    )
