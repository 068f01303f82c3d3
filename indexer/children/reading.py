"""What reading processes do: hash files and take the facts out of them. Runs in niced children."""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from indexer.files.exclusions import MAX_BYTES, MAX_REINCLUDED_BYTES
from indexer.parsing.facts import content_key, facts_of
from indexer.parsing.languages import language_of
from indexer.store.rows import ContentRows, pack

FILE_TIMEOUT_S = 20
"""A megabyte is parsed in well under a second; a parser that takes longer than this does not come back."""


class FileToRead(msgspec.Struct, frozen=True, array_like=True):
    path: str
    """POSIX, relative to the root."""
    size: int
    reincluded: bool = False


class HashedFile(msgspec.Struct, frozen=True, array_like=True):
    path: str
    key: str = ""
    size: int = 0
    mtime_ns: int = 0
    error: str = ""


class ReadFile(msgspec.Struct, array_like=True):
    path: str
    mtime_ns: int = 0
    rows: ContentRows | None = None
    """Its facts, ready to be stored. None when the file could not be read; `error` says why."""
    error: str = ""


_hashed = msgspec.msgpack.Decoder(list[HashedFile])
_read = msgspec.msgpack.Decoder(list[ReadFile])


def decode_hashed(body: bytes) -> list[HashedFile]:
    return _hashed.decode(body)


def decode_read(body: bytes) -> list[ReadFile]:
    return _read.decode(body)


def warm_up(languages: Iterable[str]) -> None:
    """Loads what reading these languages needs."""
    for language in languages:
        pack(facts_of(b"\n", language))


def hash_files(root: str, files: list[FileToRead], *, time_limit: bool = True) -> bytes:
    """The content keys of these files. The answer is packed here, so that the service only moves bytes. With
    `time_limit`, only in a child."""
    found: list[HashedFile] = []
    for file in files:
        if time_limit:
            _watch_the_clock()
        try:
            data, mtime_ns = load(Path(root, file.path))
        except OSError as failed:
            found.append(HashedFile(file.path, error=_why(failed)))
            continue
        key = content_key(data, language_of(file.path), file.reincluded)
        found.append(HashedFile(file.path, key, len(data), mtime_ns))
    if time_limit:
        _stop_the_clock()
    return msgspec.msgpack.encode(found)


def read_files(root: str, files: list[FileToRead], *, time_limit: bool = True) -> bytes:
    """The facts of these files. With `time_limit`, only in a child: the process ends when a file takes too
    long."""
    found: list[ReadFile] = []
    for file in files:
        if time_limit:
            _watch_the_clock()
        try:
            data, mtime_ns = load(Path(root, file.path))
            if len(data) > MAX_BYTES and not file.reincluded:
                raise _too_large(MAX_BYTES)
        except OSError as failed:
            found.append(ReadFile(file.path, error=_why(failed)))
            continue
        facts = facts_of(data, language_of(file.path), file.reincluded)
        found.append(ReadFile(file.path, mtime_ns, pack(facts)))
    if time_limit:
        _stop_the_clock()
    return msgspec.msgpack.encode(found)


def load(path: Path) -> tuple[bytes, int]:
    """Bytes of a regular file and its modification time before they were read, so that whatever is written
    meanwhile shows as newer; neither a link nor a pipe that took its place is followed."""
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with os.fdopen(os.open(path, flags), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = file.read(MAX_REINCLUDED_BYTES + 1)
        if len(data) > MAX_REINCLUDED_BYTES:  # it was smaller when it was listed
            raise _too_large(MAX_REINCLUDED_BYTES)
        return data, state.st_mtime_ns


def _too_large(limit: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {limit // 1_000_000} MB")


def _why(failed: OSError) -> str:
    if isinstance(failed, FileNotFoundError):
        return "vanished"
    why = failed.strerror or str(failed)
    return why if failed.errno == errno.EFBIG else f"unreadable: {why}"


def _watch_the_clock() -> None:
    """Ends this process if one file takes too long: nothing else gets a parser out of a loop in C."""
    if hasattr(signal, "alarm"):
        signal.alarm(FILE_TIMEOUT_S)


def _stop_the_clock() -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(0)
