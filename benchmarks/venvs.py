"""Baselines in venvs of their own: made once from pinned, hashed requirements, and kept in the user's cache."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.targets import Say, TargetError, end
from engine.paths import cache_folder
from engine.tied import tied

BUILT = "built"
"""A file that appears in the venv when it is whole; an interrupted one is made anew."""
LOG_LINES = 12


class PinnedVenv(msgspec.Struct, frozen=True):
    """What a baseline is installed from."""

    name: str
    """Of the baseline, for a person."""
    version: str
    requirements: Path
    ready_variable: str
    """An environment variable that names a venv which holds it already."""
    leave_out: str
    """How the benchmark is told to do without it."""


async def ensure_venv(venv: PinnedVenv, say: Say) -> Path:
    """The Python of the venv; installs what is missing. Raises TargetError."""
    ready = os.environ.get(venv.ready_variable)
    if ready:
        python = Path(ready).expanduser() / "bin" / "python"
        if not python.exists():
            raise TargetError(f"{venv.name}: {venv.ready_variable} names {ready}, which has no bin/python")
        return python
    folder = cache_folder() / "bench" / f"{venv.name}-{venv.version}-py{platform.python_version()}"
    python, built = folder / "bin" / "python", folder / BUILT
    if built.exists():
        return python
    log = folder.with_name(f"{folder.name}.log")
    say(f"installing {venv.name} {venv.version} into a venv of its own, once; log in {log}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    await run_logged([sys.executable, "-m", "venv", str(folder)], log, venv.name, venv.leave_out)
    install = [*(str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-deps")]
    install += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(venv.requirements)]
    await run_logged(install, log, venv.name, venv.leave_out)
    built.write_text(f"{venv.version}\n", encoding="utf-8")
    return python


async def run_logged(
    argv: list[str], log: Path, name: str, leave_out: str, environment: Mapping[str, str] | None = None
) -> None:
    """Run a step of an installation for no longer than this process lives. Raises TargetError with its last words."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *tied(argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            code = await process.wait()
        finally:
            await end(process)
    if code != 0:
        last = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        raise TargetError(
            f"{name}: it could not be built (code {code}). Mend what the end of {log} says, or leave it out with "
            f"{leave_out}.\n" + "\n".join(last)
        )
