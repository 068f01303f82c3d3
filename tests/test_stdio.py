"""The server's transport: messages in order, written at once where nothing has to be waited for, from any stdin."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lsp.stdio import AT_ONCE_BYTES, READ_BYTES, Writer, read_body, start_reader

WAIT_S = 20.0
"""For what takes milliseconds."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Where is read, and where is written."""
    ends = os.pipe()
    yield ends
    for each in ends:
        with contextlib.suppress(OSError):  # a test has closed it
            os.close(each)


def framed(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def read_all(descriptor: int, size: int) -> bytes:
    read = b""
    while len(read) < size:
        assert select.select([descriptor], [], [], WAIT_S)[0], f"{len(read)} of {size} bytes came"
        read += os.read(descriptor, READ_BYTES)
    return read


def test_what_there_is_room_for_is_written_at_once(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    writer = Writer(writes, lambda: None)
    writer.write(b"answer")
    assert select.select([reads], [], [], 0)[0], "no other thread has to come round for it"
    assert os.read(reads, READ_BYTES) == b"answer"
    writer.close()


def test_messages_stay_in_order_behind_one_that_nobody_reads_yet(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    writer = Writer(writes, lambda: None)
    sent = [
        b"first",
        b"L" * 1_000_000,
        b"small",
        b"M" * (AT_ONCE_BYTES + 1),
        *(b"%d," % n for n in range(500)),
    ]
    for message in sent:
        writer.write(message)  # returns, though there is no room
    whole = b"".join(sent)
    assert read_all(reads, len(whole)) == whole
    writer.write(b"and at once again")
    assert read_all(reads, 17) == b"and at once again"
    writer.close()


@pytest.mark.parametrize("message", [b"small", b"L" * 1_000_000])
def test_a_client_that_is_gone_is_told_of_once(pipe: tuple[int, int], message: bytes) -> None:
    reads, writes = pipe
    lost = threading.Semaphore(0)
    writer = Writer(writes, lost.release)
    os.close(reads)
    for _ in range(3):
        writer.write(message)
    assert lost.acquire(timeout=WAIT_S)
    writer.close()
    assert not lost.acquire(blocking=False)


@pytest.mark.parametrize("kind", ["pipe", "file"])
async def test_messages_are_read_from_pipes_and_files_to_their_end(
    pipe: tuple[int, int], tmp_path: Path, kind: str
) -> None:
    """No event tells that a file can be read: there a thread does."""
    bodies = [b"{}", b"x" * 300_000, b'"last"']
    reads, writes = pipe
    if kind == "file":
        (tmp_path / "in").write_bytes(b"".join(map(framed, bodies)))
        os.dup2(descriptor := os.open(tmp_path / "in", os.O_RDONLY), reads)
        os.close(descriptor)
    stream = start_reader(reads, asyncio.get_running_loop())
    if kind == "pipe":
        threading.Thread(target=_write, args=(writes, bodies), daemon=True).start()
    async with asyncio.timeout(WAIT_S):
        assert [await read_body(stream) for _ in bodies] == bodies
        assert await read_body(stream) is None


def _write(descriptor: int, bodies: list[bytes]) -> None:
    for body in bodies:
        view = memoryview(framed(body))
        while view:
            view = view[os.write(descriptor, view) :]
    os.close(descriptor)
