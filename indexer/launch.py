"""Where the index service lives and how exactly one is started per user."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

from indexer import paths

_LOG_TAIL_BYTES = 600
"""Enough for the last error of a service that did not come up."""

_LOG_BYTES = 1_000_000
"""A log that is longer starts anew with the next service."""

_started: list[subprocess.Popen[bytes]] = []
"""Kept so that a service that outlives its client's interest is reaped, and never waited for."""


class CannotStart(Exception):
    """The service ended at once; the message says why."""


def own_version() -> str:
    return importlib.metadata.version("foreword")


def version_key(version: str) -> tuple[int, ...]:
    """Orders versions by their numbers: `0.10.1` is after `0.9`."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def socket_path() -> Path:
    return paths.socket_path()


def service_lock_path() -> Path:
    """Held by the one running service for as long as it lives."""
    return paths.runtime_folder() / "index-service.lock"


def log_path() -> Path:
    return paths.log_folder() / "service.log"


def try_lock(path: Path) -> int | None:
    """An open descriptor that holds the lock file exclusively, or None when somebody else does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


class Starter:
    """Starts the service unless it runs or somebody else is just starting it. Call `release` at the end."""

    def __init__(self) -> None:
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ensure(self) -> None:
        """One step; the caller tries to connect between steps. Raises CannotStart."""
        if self._lock is None:
            self._lock = try_lock(paths.runtime_folder() / "index-start.lock")
        if self._lock is None:
            return  # another client starts it
        if self._process is not None and self._process.poll() not in (None, 0):
            raise CannotStart(
                f"the index service ended with code {self._process.returncode} while starting: {_log_tail()}"
            )
        if self._process is not None and self._process.poll() is None:
            return
        alive = try_lock(service_lock_path())
        if alive is None:
            return  # a service runs and is not listening yet, or not any longer
        os.close(alive)
        self._process = _spawn()

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _spawn() -> subprocess.Popen[bytes]:
    log = log_path()
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _started[:] = [process for process in _started if process.poll() is None]
    full = log.exists() and log.stat().st_size > _LOG_BYTES
    with log.open("wb" if full else "ab") as sink:
        process = subprocess.Popen(
            # -I: neither the user's workspace nor PYTHONPATH may shadow this package
            [sys.executable, "-I", "-m", "indexer"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd=paths.cache_folder(),
            start_new_session=True,
        )
    _started.append(process)
    return process


def _log_tail() -> str:
    try:
        with log_path().open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            return log.read().decode("utf-8", "replace").strip()
    except OSError as failed:
        return f"(its log cannot be read: {failed})"
