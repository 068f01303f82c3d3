"""Where the models stand on disk: which folders are whole, who is at work on one, and whether there is room.

<models>/gguf/FILE                   the model file, checked
<models>/SHORT-HASH/                 the Hugging Face folder made of it, with `.complete` in it
<models>/.partial-SHORT-HASH/        what is being fetched or converted; kept after a failure to go on from
<models>/.SHORT.lock                 held by the one process that is at it
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from engine.paths import models_folder
from engine.profiles import GgufWeights, Profile
from engine.weights.sources import folder_bytes

OnProgress = Callable[[str, int, int], None]
"""Stage ("waiting", "downloading", "checking", "converting"), bytes done, bytes in all."""

MARKER = ".complete"
CONVERSION = 1
"""Raised when engine.weights.convert writes something else for the same file: older folders are made again."""
DISK_SLACK_BYTES = 256 * 1024**2
"""For one package in flight (90 MB), the tokenizer, and not filling a disk to the last byte."""
WAIT_POLL_S = 1.0


class WeightsError(Exception):
    """The weights are not to be had; the message says what happened, to what, and what to do."""


def quiet(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def folder_of(profile: Profile, weights: GgufWeights) -> Path:
    """Where the converted model stands, or would stand."""
    return models_folder() / f"{profile.short}-{weights.sha256[:12]}"


def is_finished(folder: Path, weights: GgufWeights) -> bool:
    """Whether the folder holds this very model, whole, in the form that is written today."""
    written = folder / MARKER
    return written.is_file() and written.read_text(encoding="utf-8").split() == marker(weights).split()


def marker(weights: GgufWeights) -> str:
    return f"{weights.sha256} conversion {CONVERSION}\n"


def partial_folder(profile: Profile, weights: GgufWeights) -> Path:
    return models_folder() / f".partial-{profile.short}-{weights.sha256[:12]}"


@contextmanager
def only_one(what: str, on_wait: Callable[[], None]) -> Generator[None]:
    """Hold the lock of one piece of work; `on_wait` is called now and then while another process holds it."""
    models_folder().mkdir(parents=True, exist_ok=True)
    lock = FileLock(models_folder() / f".{what}.lock")
    while True:
        try:
            lock.acquire(timeout=WAIT_POLL_S)
            break
        except Timeout:
            on_wait()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def disk_errors(profile: Profile, folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = (
                "Free some space there, or point FOREWORD_MODELS at a larger disk; finished parts are kept."
            )
            raise WeightsError(
                f"The disk is full: {profile.name} does not fit into {folder}. {remedy}"
            ) from error
        raise WeightsError(
            f"{profile.name} cannot be stored in {folder}: {error}. Set FOREWORD_MODELS to a folder of yours."
        ) from error


def check_disk(profile: Profile, weights: GgufWeights) -> None:
    have = (models_folder() / "gguf" / weights.file).exists()
    fetching = 0 if have else 2 * weights.size_bytes  # the parts and the file joined from them, side by side
    converting = (0 if have else weights.size_bytes) + profile.weights_bytes
    parts = folder_bytes(partial_folder(profile, weights))
    need = max(fetching, converting) + DISK_SLACK_BYTES - parts
    free = shutil.disk_usage(models_folder()).free
    if free < need:
        raise WeightsError(
            f"{profile.name} needs {need / 1e9:.1f} GB of disk in {models_folder()}, and {free / 1e9:.1f} GB "
            "are free. Free some space there, or point FOREWORD_MODELS at a larger disk."
        )
