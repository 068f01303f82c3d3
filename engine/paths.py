"""The folders of the engine: models, logs, and a runtime folder that belongs to this user alone."""

from __future__ import annotations

import os
import stat
import tempfile
import warnings
from pathlib import Path

from platformdirs import RuntimeDirWarning, user_cache_path, user_runtime_path

# Its fall-back is a folder below the temporary one; below it is refused unless it is ours alone.
warnings.filterwarnings("ignore", category=RuntimeDirWarning)

APP = "foreword"
PRIVATE = 0o700
"""Read, write and enter for the owner, nothing for anybody else: the folder holds the engine's key."""


class EnginePathError(Exception):
    """A folder cannot be used; the message says which, why and what to do."""


def cache_folder() -> Path:
    """What may be deleted at any time at the cost of making it again. Neutral: no workspace lies in it."""
    return _made(user_cache_path(APP))


def logs_folder() -> Path:
    """Where the engine host writes its log."""
    return _made(user_cache_path(APP) / "logs")


def models_folder() -> Path:
    """Where weights live: `FOREWORD_MODELS`, else a folder of the cache. May not exist yet."""
    named = os.environ.get("FOREWORD_MODELS")
    return Path(named).expanduser().absolute() if named else user_cache_path(APP) / "models"


def kernels_folder() -> Path:
    """Where compiled kernels are kept: `FOREWORD_KERNELS`, else a folder of the cache. What lies there is run."""
    named = os.environ.get("FOREWORD_KERNELS")
    return Path(named).expanduser().absolute() if named else cache_folder() / "kernels"


def runtime_folder() -> Path:
    """The private folder of `engine.json` and its lock. Raises EnginePathError where it is not ours alone."""
    folder = user_runtime_path(APP)
    try:
        folder.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE, exist_ok=True)
    except OSError as error:
        raise EnginePathError(
            f"The runtime folder {folder} cannot be made: {error.strerror}. "
            "Set XDG_RUNTIME_DIR to a folder of yours."
        ) from error
    if os.name == "posix":
        _refuse_unless_ours(folder)
    return folder


def _refuse_unless_ours(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        problem = "is not a folder of this user"
    elif stat.S_IMODE(found.st_mode) & ~PRIVATE:
        problem = (
            f"can be entered by others (mode {stat.S_IMODE(found.st_mode):o}); chmod 700 makes it private"
        )
    elif _replaceable_by_others(folder.parent.stat()):
        problem = f"stands in {folder.parent}, where others could replace it"
    else:
        return
    raise EnginePathError(
        f"The runtime folder {folder} {problem}. The engine's key would not be safe there: "
        f"mend that, or set XDG_RUNTIME_DIR to a folder that is yours alone (not {tempfile.gettempdir()})."
    )


def _replaceable_by_others(parent: os.stat_result) -> bool:
    """Whoever owns a folder, or may write to it without the sticky bit, can swap what stands in it."""
    open_to_all = bool(parent.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) and not parent.st_mode & stat.S_ISVTX
    return parent.st_uid not in (0, os.getuid()) or open_to_all


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnginePathError(
            f"The folder {folder} cannot be made: {error.strerror}. Set XDG_CACHE_HOME to a folder of yours."
        ) from error
    return folder
