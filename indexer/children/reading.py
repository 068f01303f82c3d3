"""What reading processes do: hash files and take the facts out of them. Runs in niced children."""

from __future__ import annotations

import errno
import os
import signal
import stat
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from indexer.files.exclusions import MAX_BYTES, MAX_REINCLUDED_BYTES
from indexer.files.times import changed_ns
from indexer.parsing.facts import content_key, facts_of
from indexer.parsing.languages import language_of
from indexer.store.rows import ContentRows, pack

FILE_TIMEOUT_S = 20.0
"""Of a processor's time: on a busy machine a niced child waits for most of what the clock says. A megabyte is parsed in
well under a second; a parser that takes longer than this does not come back."""

_STUCK_S = 120
"""By the clock: what takes so long for one file waits for a disk that does not answer."""

_RACY_NS = 20_000_000
"""A file that was changed so shortly before it was read may have been changed again within the same tick of the
file system's clock (4 ms and more), with nothing to tell it by."""

_PASSING = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN, errno.EINTR, errno.EBUSY}
    | {errno.ESTALE, errno.ETIMEDOUT, errno.ENOBUFS, errno.ENOLCK, errno.ECONNRESET, errno.EHOSTDOWN}
)
"""Errors that say nothing about a file: too many are open, a disk or mount hiccups."""

Fault = Literal["", "file", "content", "moment"]
"""Where an error lies: in the file (gone, closed to us, too large), in what is in it (trying again changes nothing),
or in the moment (trying again may help)."""


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
    """As `load` gives it."""
    error: str = ""
    fault: Fault = ""


class ReadFile(msgspec.Struct, array_like=True):
    path: str
    mtime_ns: int = 0
    rows: ContentRows | None = None
    """Its facts, ready to be stored. None when the file could not be read; `error` says why."""
    error: str = ""
    fault: Fault = ""


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
            found.append(HashedFile(file.path, error=_why(failed), fault=_fault(failed)))
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
            found.append(ReadFile(file.path, error=_why(failed), fault=_fault(failed)))
            continue
        try:
            rows = pack(facts_of(data, language_of(file.path), file.reincluded))
        except Exception as failed:  # noqa: BLE001 - a fault of ours in one language costs no file but this one
            found.append(ReadFile(file.path, error=_where(failed), fault="content"))
            continue
        found.append(ReadFile(file.path, mtime_ns, rows))
    if time_limit:
        _stop_the_clock()
    return msgspec.msgpack.encode(found)


def load(path: Path) -> tuple[bytes, int]:
    """Bytes of a regular file and its modification time before they were read, so that whatever is written
    meanwhile shows as newer; 0, which no file has, when it was changed so shortly before that it may not show. Neither
    a link nor a pipe that took its place is followed."""
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with os.fdopen(os.open(path, flags), "rb") as file:
        state = os.fstat(file.fileno())
        now_ns = time.time_ns()
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = file.read(MAX_REINCLUDED_BYTES + 1)
        if len(data) > MAX_REINCLUDED_BYTES:  # it was smaller when it was listed
            raise _too_large(MAX_REINCLUDED_BYTES)
        changed = changed_ns(state)
        return data, 0 if is_racy(changed, now_ns) else changed


def is_racy(mtime_ns: int, read_ns: int) -> bool:
    """Whether a file that had this time when it was read, at `read_ns`, may have been changed since and have it
    still."""
    return 0 <= read_ns - mtime_ns < _RACY_NS


def _too_large(limit: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {limit // 1_000_000} MB")


def _why(failed: OSError) -> str:
    if isinstance(failed, FileNotFoundError):
        return "vanished"
    why = failed.strerror or str(failed)
    return why if failed.errno == errno.EFBIG else f"unreadable: {why}"


def _fault(failed: OSError) -> Fault:
    return "moment" if failed.errno in _PASSING else "file"


def _where(failed: Exception) -> str:
    """Without what it says itself, which may be a piece of the file."""
    place = traceback.extract_tb(failed.__traceback__, limit=-1)[0]
    return f"its parser failed: {type(failed).__name__} in {Path(place.filename).name}:{place.lineno}"


def _watch_the_clock() -> None:
    """Ends this process if one file takes too long: nothing else gets a parser out of a loop in C."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, FILE_TIMEOUT_S)
        signal.alarm(_STUCK_S)


def _stop_the_clock() -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
