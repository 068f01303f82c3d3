"""Finds, starts and stops engine hosts for a caller that must not block: no torch, no SGLang in its
process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import httpx
import msgspec

from engine.hosting.host import EXIT_LOCK_HELD
from engine.hosting.hostfile import (
    EngineInfo,
    foreword_version,
    is_held,
    json_path,
    living_infos,
    lock_path,
    read_file,
    version_key,
)
from engine.paths import EnginePathError, cache_folder, logs_folder
from engine.profiles import Profile

__all__ = [
    "EngineError",
    "EngineInfo",
    "ensure_engine",
    "list_engines",
    "other_window",
    "read_engine",
    "stop_engine",
    "window_arguments",
]

POLL_S = 0.1
"""How often a waiting caller looks at the host's file: a few system calls, and nobody notices a tenth of a
second."""
START_TIMEOUT_S = 600
"""Without a download a start takes half a minute; with one, as long as half a gigabyte takes on a slow
line."""
DRAIN_CALL_TIMEOUT_S = 5
KILL_WAIT_S = 5
LOG_LINES = 12
OnProgress = Callable[[EngineInfo], None]


class EngineError(Exception):
    """The engine cannot be had; the message says why and what to do."""


class _Child(msgspec.Struct):
    """A host that this process started, and what it said before it opened its log."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]


_children: list[subprocess.Popen[bytes]] = []
"""Hosts outlive their starter; those that end before it are reaped here, so that none is left as a zombie."""


def read_engine(model_short: str) -> EngineInfo | None:
    """The living host of this model and of this very version of Foreword, in whatever state; None if there is
    none."""
    version = foreword_version()
    info = read_file(json_path(model_short, version))
    return info if info is not None and is_held(lock_path(model_short, version)) else None


def list_engines() -> list[EngineInfo]:
    """All living hosts of this user, of any model and version."""
    return living_infos()


async def ensure_engine(
    profile: Profile,
    *,
    on_progress: OnProgress | None = None,
    timeout_s: float = START_TIMEOUT_S,
    host_arguments: tuple[str, ...] = (),
) -> EngineInfo:
    """The ready host of this model: the one that runs, or one that is started now, once for all who ask.

    `on_progress` gets each new state of the host's file. Raises EngineError when the host fails or
    `timeout_s` is over.
    """
    asked_at = time.time()
    deadline = time.monotonic() + timeout_s
    version = foreword_version()
    child: _Child | None = None
    told: EngineInfo | None = None
    await _replace_older_versions(profile.short, version)
    try:
        while time.monotonic() < deadline:
            info = _look(profile.short)
            if info is not None and info != told:
                told = info
                if on_progress is not None:
                    on_progress(info)
            if info is not None and info.state == "ready":
                return info
            if not is_held(lock_path(profile.short, version)):
                child = await _start_again(profile, child, told, asked_at, host_arguments)
            await asyncio.sleep(POLL_S)
    finally:
        if child is not None:
            child.output.close()
    state = f"it is still {told.state} {told.stage}".rstrip() if told else "it never said anything"
    raise EngineError(
        f"The engine for {profile.short} was not ready after {timeout_s:.0f} s: {state}. "
        f"Its log: {_log(profile.short)}"
    )


def window_arguments(window: int) -> tuple[str, ...]:
    """What makes a host serve a window of so many tokens; 0 is the model's own."""
    return ("--window", str(window)) if window else ()


def other_window(info: EngineInfo, window: int) -> str:
    """Says that a host which ran already has another window than the one asked for; empty where it has that one, or
    where none was asked for."""
    if not window or info.context_tokens == window:
        return ""
    return (
        f"the engine host of {info.model} runs with a window of {info.context_tokens:,} tokens and not {window:,}, "
        f"which needs another start: foreword engine stop --model {info.model}"
    )


async def stop_engine(model_short: str, timeout_s: float = 30.0) -> bool:
    """End this model's hosts of every version: let them finish what runs, then insist. False if there was
    none.

    Raises EngineError if one cannot be ended.
    """
    infos = [info for info in living_infos() if info.model == model_short]
    for info in infos:
        if not await _drain(info):
            _signal(info, signal.SIGTERM)
    if not await _all_gone(infos, timeout_s):
        for info in infos:
            _signal(info, signal.SIGKILL)
        if not await _all_gone(infos, KILL_WAIT_S):
            left = ", ".join(str(info.pid) for info in infos)
            raise EngineError(f"An engine host of {model_short} could not be ended. End the process {left}.")
    return bool(infos)


def _look(model_short: str) -> EngineInfo | None:
    try:
        _children[:] = [process for process in _children if process.poll() is None]
        return read_engine(model_short)
    except EnginePathError as error:
        raise EngineError(str(error)) from error


async def _start_again(
    profile: Profile,
    child: _Child | None,
    told: EngineInfo | None,
    asked_at: float,
    host_arguments: tuple[str, ...],
) -> _Child:
    """No host lives: say why if one has just failed, else start one."""
    if child is not None:
        code = child.process.poll()
        if code is None:
            return child  # it has not taken the lock yet
        if code not in (0, EXIT_LOCK_HELD):
            raise EngineError(_why_it_ended(profile.short, child, code))
        child.output.close()
    else:
        failed = read_file(json_path(profile.short, foreword_version()))
        if failed is not None and failed.state == "failed" and _waited_for(failed, told, asked_at):
            raise EngineError(f"The engine for {profile.short} did not start. {failed.reason}")
    return await asyncio.to_thread(_spawn, profile.short, host_arguments)


def _waited_for(failed: EngineInfo, told: EngineInfo | None, asked_at: float) -> bool:
    """Whether this failure answers the caller: he saw this host load, or it began after he asked."""
    return failed.started_at > asked_at or (told is not None and failed.pid == told.pid)


def _spawn(model_short: str, host_arguments: tuple[str, ...]) -> _Child:
    """Start a host in a session of its own and in a neutral folder: it outlives the caller and his
    terminal."""
    output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by ensure_engine
    command = [sys.executable, "-I", "-m", "engine.hosting.host", "--model", model_short, *host_arguments]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cache_folder(),
            start_new_session=True,
        )
    except OSError as error:
        output.close()
        raise EngineError(f"The engine host could not be started: {error}") from error
    _children.append(process)
    return _Child(process, output)


def _why_it_ended(model_short: str, child: _Child, code: int) -> str:
    """The host's own reason; where it gave none, what it said last."""
    first, log = f"The engine for {model_short} did not start.", f"Its log: {_log(model_short)}"
    failed = read_file(json_path(model_short, foreword_version()))
    if failed is not None and failed.pid == child.process.pid and failed.state == "failed":
        return f"{first} {failed.reason}\n{log}"
    end = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    child.output.seek(0)
    said = child.output.read().decode(errors="replace").splitlines()
    lines = said or _last_lines(_log(model_short))
    return "\n".join([f"{first} It {end}.", *lines[-LOG_LINES:], log])


def _log(model_short: str) -> Path:
    return logs_folder() / f"engine-{model_short}.log"


def _last_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


async def _replace_older_versions(model_short: str, version: str) -> None:
    """Ask hosts of older versions to finish and leave, while ours starts. Newer ones stay: if each version
    sent the other away, two editors would load the model in turn."""
    try:
        living = living_infos()
    except EnginePathError as error:
        raise EngineError(str(error)) from error
    ours = version_key(version)
    older = [info for info in living if info.model == model_short and version_key(info.version) < ours]
    for info in older:
        if not await _drain(info):
            _signal(info, signal.SIGTERM)


async def _drain(info: EngineInfo) -> bool:
    """Whether the host took the request to leave; one that still loads takes none."""
    if info.state != "ready":
        return False
    try:
        async with httpx.AsyncClient(timeout=DRAIN_CALL_TIMEOUT_S, trust_env=False) as client:
            answer = await client.post(
                f"{info.url}/foreword/drain", headers={"Authorization": f"Bearer {info.key}"}
            )
    except httpx.HTTPError:
        return False  # the caller sends a signal instead
    return answer.is_success


def _signal(info: EngineInfo, number: signal.Signals) -> None:
    """Signal the host, if it still is the one that holds its lock (its number may belong to somebody else by
    now)."""
    if not is_held(lock_path(info.model, info.version)):
        return
    try:
        os.kill(info.pid, number)
    except ProcessLookupError:
        return  # it went in this very moment


async def _all_gone(infos: list[EngineInfo], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(is_held(lock_path(info.model, info.version)) for info in infos):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    _children[:] = [process for process in _children if process.poll() is None]
    return True
