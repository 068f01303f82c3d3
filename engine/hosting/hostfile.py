"""What a host tells about itself: its lock, held for life, and `engine-….json` beside it, readable by its
user alone.

Both are keyed by model and Foreword version, so that a new version starts beside the old one that drains.
The lock is the truth: a file whose lock nobody holds was left by a host that is gone.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import IO, Literal

import msgspec

from engine.paths import runtime_folder

State = Literal["downloading", "loading", "ready", "draining", "failed"]

_LOCK_ATTEMPTS = 10
_LOCK_RETRY_S = 0.05
"""A reader holds the lock for microseconds to see whether a host does; a host tries for longer than that."""


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One host, as its `engine-….json` describes it."""

    url: str
    """`http://127.0.0.1:PORT`, where every request needs `Authorization: Bearer <key>`."""
    key: str
    pid: int
    started_at: float
    """Unix time, seconds."""
    version: str
    """Foreword's version."""
    model: str
    """The profile's short name."""
    model_hash: str
    device: str
    context_tokens: int = 0
    """The window that this host serves; 0 until it is ready."""
    state: State
    reason: str = ""
    """Why the state is `failed`, for people; empty otherwise."""
    stage: str = ""
    """What goes on while `downloading` or `loading`."""
    done: int = 0
    total: int = 0
    """Progress of the stage in its own unit; 0 where it is not known."""


class LockHeldError(Exception):
    """Another host of this model and version runs already."""


def foreword_version() -> str:
    return version("foreword")


def version_key(of_version: str) -> tuple[int, ...]:
    """Orders versions by their numbers: `0.10.1` is after `0.9`."""
    return tuple(int(part) for part in re.findall(r"\d+", of_version))


def stem(model: str, of_version: str) -> str:
    return f"engine-{model}-{of_version}"


def json_path(model: str, of_version: str) -> Path:
    return runtime_folder() / f"{stem(model, of_version)}.json"


def lock_path(model: str, of_version: str) -> Path:
    return runtime_folder() / f"{stem(model, of_version)}.lock"


def take_lock(model: str, of_version: str) -> IO[bytes]:
    """Hold the host's lock until the returned file is closed, that is until this process ends.

    Raises LockHeldError where another host holds it.
    """
    file = lock_path(model, of_version).open("ab")
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_RETRY_S)
        else:
            return file
    file.close()
    raise LockHeldError(f"Another engine host for {model} holds {lock_path(model, of_version)}.")


def still_in_place(lock: IO[bytes], path: Path) -> bool:
    """Whether `path` is the very file that `lock` holds.

    A login session's runtime folder goes with the session and is made anew; a host that lives on would then
    hold a lock that nobody sees, beside a second host.
    """
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except OSError:  # gone, or not to be reached: either way nobody finds the host there
        return False


def is_held(lock: Path) -> bool:
    """Whether a living host holds this lock."""
    try:
        file = lock.open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def write_info(info: EngineInfo, target: Path) -> None:
    """Replace the host's file at once: a reader sees the old one or the new one, whole."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")  # made with mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(info))
    Path(name).replace(target)


def read_file(path: Path) -> EngineInfo | None:
    """What a host wrote, whether or not it still lives; None where there is no whole file of a form we
    know."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=EngineInfo)
    except (FileNotFoundError, msgspec.DecodeError):
        return None  # another version may write another form: it is not ours to read


def living_infos() -> list[EngineInfo]:
    """All hosts of this user that live, of any model and version."""
    found: list[EngineInfo] = []
    for lock in sorted(runtime_folder().glob("engine-*.lock")):
        info = read_file(lock.with_suffix(".json"))
        if info is not None and is_held(lock):
            found.append(info)
    return found
