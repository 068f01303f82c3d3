"""The language server's transport: framed JSON on stdin and stdout, which belong to the protocol alone.

pygls' own loop is not used because it writes synchronously (a slow client stops the server), ends with status
0 whatever happened, gives up on a request that is no valid JSON without an answer, and keeps a thread in
`stdin.readline` that holds up the exit. Here the event loop itself reads and writes what it need not wait for: another
thread would have to wait for the interpreter's lock while a third one parses. Threads do the rest."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import select
import sys
import threading
from collections.abc import Callable
from typing import Any

READ_BYTES = 65_536

AT_ONCE_BYTES = getattr(select, "PIPE_BUF", 0)
"""What a pipe or socket takes without waiting once it says that it takes something (POSIX: at least 512; Linux 4,096).
Most answers are smaller."""

MAX_HEADER_BYTES = 8_192
"""Two short header lines are what clients send."""

MAX_MESSAGE_BYTES = 256 * 1024 * 1024
"""A message larger than this is a broken header, not a document."""

FLUSH_TIMEOUT_S = 2.0
"""A client that does not read its last messages by then is gone."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600


class FramingError(Exception):
    """What came on stdin is no framed message, so nothing after it can be found either."""


class Streams:
    """The process' stdin and stdout, taken for the protocol: whatever else prints goes to stderr."""

    def __init__(self) -> None:
        self.input = os.dup(0)
        self.output = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        sys.stdout = sys.stderr


class Writer:
    """Writes in order: at once what its reader has room for, all else in a thread. `lost` is called once when the
    client is gone."""

    def __init__(self, descriptor: int, lost: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._lost = lost
        self._room = _room_of(descriptor)
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._left = 0
        """In the queue, or being written by the thread: what comes then goes behind it."""
        self._order = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="stdout", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        with self._order:
            rest = data if self._left else self._at_once(data)
            if rest:
                self._left += 1
                self._waiting.put(rest)

    def close(self) -> None:
        """Waits until all is written, for a while."""
        self._waiting.put(None)
        self._thread.join(FLUSH_TIMEOUT_S)

    def _at_once(self, data: bytes) -> bytes:
        """What is left to be written. Trouble is the thread's to meet again."""
        if self._room is None or len(data) > AT_ONCE_BYTES or not self._room.poll(0):
            return data
        try:
            return data[os.write(self._descriptor, data) :]
        except OSError:
            return data

    def _run(self) -> None:
        while (data := self._waiting.get()) is not None:
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError:
                self._lost()  # the client closed its end: there is nobody left to tell
                return
            with self._order:
                self._left -= 1


def _room_of(descriptor: int) -> select.poll | None:
    """Tells whether there is room for AT_ONCE_BYTES; None on systems that cannot."""
    if not hasattr(select, "poll"):
        return None
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    return room


def start_reader(descriptor: int, loop: asyncio.AbstractEventLoop) -> asyncio.StreamReader:
    """A stream fed with what comes on `descriptor`: by the loop when something has come, or, where that cannot tell
    (files, Windows), by a thread that waits."""
    stream = asyncio.StreamReader(limit=MAX_HEADER_BYTES, loop=loop)

    def readable() -> None:
        data = _read(descriptor)
        if data:
            stream.feed_data(data)
        else:
            loop.remove_reader(descriptor)
            stream.feed_eof()

    try:
        loop.add_reader(descriptor, readable)
    except (NotImplementedError, OSError):
        _start_reading_thread(descriptor, stream, loop)
    return stream


def _start_reading_thread(
    descriptor: int, stream: asyncio.StreamReader, loop: asyncio.AbstractEventLoop
) -> None:
    def read() -> None:
        while True:
            data = _read(descriptor)
            if loop.is_closed():
                return
            loop.call_soon_threadsafe(stream.feed_data if data else lambda _: stream.feed_eof(), data)
            if not data:
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()


def _read(descriptor: int) -> bytes:
    """Empty at the end."""
    try:
        return os.read(descriptor, READ_BYTES)
    except OSError:
        return b""


async def read_body(stream: asyncio.StreamReader) -> bytes | None:
    """The next message's bytes, None at the end of input. Raises FramingError."""
    length: int | None = None
    while True:
        try:
            line = await stream.readline()
        except ValueError as long:
            raise FramingError(f"a header line of more than {MAX_HEADER_BYTES} bytes") from long
        if not line:
            return None
        name, colon, value = line.strip().partition(b":")
        if not name:
            if length is not None:
                break
        elif not colon:
            raise FramingError(f"a header line without a colon: {line[:80]!r}")
        elif name.strip().lower() == b"content-length":
            length = _length(value)
    try:
        return await stream.readexactly(length)
    except asyncio.IncompleteReadError:
        return None


def _length(value: bytes) -> int:
    try:
        length = int(value)
    except ValueError as wrong:
        raise FramingError(f"a Content-Length that is no number: {value[:80]!r}") from wrong
    if not 0 <= length <= MAX_MESSAGE_BYTES:
        raise FramingError(f"a Content-Length of {length} bytes; the limit is {MAX_MESSAGE_BYTES}")
    return length


class Malformed(Exception):
    """A message that is not one of JSON-RPC; `code` is what its sender is told, `id` the request's if it has
    one."""

    def __init__(self, code: int, message: str, request_id: str | int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON-RPC message in `body`. Raises Malformed."""
    try:
        message: object = json.loads(body)
    except (ValueError, RecursionError) as wrong:
        raise Malformed(PARSE_ERROR, f"the message is no JSON: {wrong}") from wrong
    if not isinstance(message, dict):
        raise Malformed(INVALID_REQUEST, f"a message is one JSON object, not {type(message).__name__}")
    request_id: object = message.get("id")
    known_id = request_id if isinstance(request_id, str | int) and not isinstance(request_id, bool) else None
    if message.get("jsonrpc") != "2.0":
        raise Malformed(INVALID_REQUEST, 'the message lacks "jsonrpc": "2.0"', known_id)
    is_answer = "result" in message or "error" in message
    if "method" not in message:
        if not is_answer:
            raise Malformed(INVALID_REQUEST, "the message has neither a method nor a result", known_id)
    elif not isinstance(message["method"], str):
        raise Malformed(INVALID_REQUEST, "the method is no string", known_id)
    if "id" in message and known_id is None and not is_answer:
        raise Malformed(INVALID_REQUEST, "the id is neither a string nor an integer")
    return message
