"""Where the index keeps its things: the store, the logs, and the socket of the service."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import warnings
from pathlib import Path

import platformdirs

# Its fall-back is a folder below the temporary one; below it is refused unless it is ours alone.
warnings.filterwarnings("ignore", category=platformdirs.RuntimeDirWarning)

SOCKET_PATH_BYTES = 107
"""Linux gives a Unix socket's path 108 bytes with the closing NUL (unix(7)); macOS gives 104, so see
below."""

SOCKET_PATH_BYTES_MACOS = 103


class UnsafeFolderError(Exception):
    """A folder that must be ours alone is not; the message says which and what to do."""


def cache_folder() -> Path:
    """All that can be made anew: the store, logs, models."""
    return platformdirs.user_cache_path("foreword")


def store_folder() -> Path:
    """The store of the index, one for all roots of this user."""
    return cache_folder() / "index"


def log_folder() -> Path:
    """Logs of the service and the engine."""
    return cache_folder() / "logs"


def runtime_folder() -> Path:
    """Where sockets and locks live; made if missing. Raises UnsafeFolderError when it is not ours alone."""
    return _ours(platformdirs.user_runtime_path("foreword"))


def socket_path() -> Path:
    """The socket of the index service, in a folder that exists and is ours alone.

    A path too long for a Unix socket is replaced by one in a short folder under the temporary folder, named
    after a hash of the long one, so that every process of this user arrives at the same place. Raises
    UnsafeFolderError."""
    folder = runtime_folder()
    path = folder / "index.sock"
    if _fits(path):
        return path
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"foreword-{digest}" / "index.sock"
    if not _fits(short):  # TMPDIR itself may be the long one
        short = Path("/tmp") / f"foreword-{digest}" / "index.sock"
    _ours(short.parent)
    return short


def _fits(path: Path) -> bool:
    limit = SOCKET_PATH_BYTES_MACOS if sys.platform == "darwin" else SOCKET_PATH_BYTES
    return len(os.fsencode(path)) <= limit


def _ours(folder: Path) -> Path:
    """Make the folder if missing and see that nobody else can reach into it."""
    try:
        # The folder above as well: platformdirs passes over an XDG_RUNTIME_DIR that others can reach.
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError as failed:
        raise UnsafeFolderError(
            f"The folder {folder} for sockets and locks cannot be made or read: {failed.strerror}. "
            "Set XDG_RUNTIME_DIR to a folder of your own."
        ) from failed
    if not stat.S_ISDIR(state.st_mode):
        raise UnsafeFolderError(
            f"{folder} must be a folder (and no link to one): move it away and try again."
        )
    if sys.platform == "win32":  # no owners and modes there; the folder lies in the user's profile
        return folder
    if state.st_uid != os.getuid():
        raise UnsafeFolderError(
            f"{folder} belongs to another user (uid {state.st_uid}). "
            "Set XDG_RUNTIME_DIR to a folder of your own, or ask that user to remove it."
        )
    if stat.S_IMODE(state.st_mode) & 0o077:
        raise UnsafeFolderError(
            f"{folder} can be reached by other users (mode {stat.S_IMODE(state.st_mode):o}). "
            f"See that nothing strange is in it, then: chmod 700 '{folder}'"
        )
    return folder
