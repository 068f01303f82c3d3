"""A real HTTP server that answers as it is told to: hangs, garbage, half an answer. It listens on this
machine."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


class Exchange:
    """One request as it came, and the means to answer it byte by byte."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter, reader):
        self.path, self.headers, self.body = path, headers, body
        self._writer, self._reader = writer, reader

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def event(self, document: dict) -> None:
        await self.send(b"data: " + json.dumps(document).encode() + b"\n\n")

    async def answer(
        self, status: int, body: bytes, kind: str = "application/json", headers: str = ""
    ) -> None:
        """`headers` are whole lines, each ending in a line break."""
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
        more = headers.replace("\n", "\r\n")
        await self.send((head + more).encode() + b"connection: close\r\n\r\n" + body)

    async def completion(self, *pieces: str) -> None:
        """A whole streamed answer of `/v1/completions`."""
        await self.send(EVENTS)
        for piece in pieces:
            await self.event({"choices": [{"index": 0, "text": piece, "finish_reason": None}]})
        await self.event({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
        await self.send(b"data: [DONE]\n\n")

    async def drop(self) -> None:
        """Ends the connection at once, as a process that dies does."""
        self._writer.transport.abort()

    async def until_closed(self) -> None:
        """Returns when the client has closed its side."""
        await self._reader.read()


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


Behaviour = Callable[[Exchange], Awaitable[None]]


@asynccontextmanager
async def served(behaviour: Behaviour, port: int = 0):
    """Gives (url, exchanges so far). Port 0 is any that is free."""
    exchanges: list[Exchange] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            exchange = Exchange(head[0].split(" ")[1], headers, body, writer, reader)
            exchanges.append(exchange)
            await behaviour(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, which is what some tests are about
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", exchanges
    finally:
        server.close()
