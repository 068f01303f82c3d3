"""`foreword doctor`: what is wrong with this machine or set-up, and the remedy. It starts and downloads nothing."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from engine.hosting.launcher import list_engines
from engine.paths import EnginePathError, models_folder, runtime_folder
from engine.profiles import ProfileError
from indexer.paths import store_folder
from lsp.links.engines import choose_profile
from lsp.terminal import EXIT_FAILED, out, print_json, run

DISK_NEEDED_BYTES = 4 * 1024**3
"""The default model as downloaded (0.5 GB), converted (1.0 GB), and room for the index and logs."""
WATCHES_WANTED = 65_536
"""inotify watches, one a folder: below this a large repository falls back to polling."""
GIT_TIMEOUT_S = 10.0


class Finding(msgspec.Struct, frozen=True):
    check: str
    level: Literal["ok", "warning", "error"]
    found: str
    remedy: str = ""


def python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.platform == "win32":
        return Finding(
            "system", "error", found, "the index service needs Unix sockets: use Linux, macOS or WSL for now"
        )
    return Finding("system", "ok", found)


def git() -> Finding:
    path = shutil.which("git")
    if path is None:
        remedy = "install git: ignore rules are then git's own, not an imitation"
        return Finding("git", "warning", "not found", remedy)
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        remedy = "mend or reinstall git: until then ignore rules are an imitation of its own"
        return Finding("git", "warning", f"{path} does not work: {error}", remedy)
    return Finding("git", "ok", done.stdout.strip())


def disk() -> Finding:
    folder = models_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1024**3:.1f} GiB free for {folder}"
    if free < DISK_NEEDED_BYTES:
        remedy = f"free {DISK_NEEDED_BYTES / 1024**3:.0f} GiB, or point FOREWORD_MODELS at a larger disk"
        return Finding("disk", "error", found, remedy)
    return Finding("disk", "ok", found)


def index() -> Finding:
    """Whether the store can be where it has to be."""
    folder = store_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        found = f"{folder} cannot be made or written: {error.strerror}: {existing}"
        return Finding("index", "error", found, "set XDG_CACHE_HOME to a folder that may be written")
    return Finding("index", "ok", f"the store is in {folder}")


def runtime() -> Finding:
    try:
        return Finding("runtime folder", "ok", str(runtime_folder()))
    except EnginePathError as error:
        return Finding(
            "runtime folder", "error", str(error), "set XDG_RUNTIME_DIR to a folder that is yours alone"
        )


def loopback() -> Finding:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
    except OSError as error:
        return Finding(
            "loopback port", "error", str(error), "the engine host needs one free port on 127.0.0.1"
        )
    return Finding("loopback port", "ok", "free ports on 127.0.0.1")


def watches() -> Finding:
    limit = Path("/proc/sys/fs/inotify/max_user_watches")
    if not limit.exists():
        return Finding("file watching", "ok", "not inotify: no limit to check")
    value = int(limit.read_text())
    if value < WATCHES_WANTED:
        remedy = (
            f"sysctl fs.inotify.max_user_watches={WATCHES_WANTED}; until then large repositories are polled"
        )
        return Finding("file watching", "warning", f"{value:,} inotify watches", remedy)
    return Finding("file watching", "ok", f"{value:,} inotify watches")


def embedder() -> Finding:
    if all(map(find_spec, ("onnxruntime", "onnx", "safetensors"))):
        return Finding("vectors", "ok", "ONNX Runtime is installed")
    remedy = "pip install 'foreword[embed]' adds search by meaning"
    if find_spec("sentence_transformers") is None:
        return Finding(
            "vectors", "warning", "neither ONNX Runtime nor sentence-transformers is installed", remedy
        )
    remedy = "pip install 'foreword[embed]' makes vectors several times as fast"
    return Finding("vectors", "warning", "ONNX Runtime is not installed; sentence-transformers is", remedy)


def model() -> Finding:
    try:
        choice = choose_profile("auto")
    except EnginePathError as error:
        return Finding("model", "warning", f"not looked at: {error}")
    except ProfileError as error:
        return Finding(
            "model", "error", str(error), "configure engine.url to use a server on another machine"
        )
    if find_spec("sglang") is None:
        remedy = "pip install 'foreword[engine]' (Linux), or configure engine.url to use a server"
        return Finding(
            "model", "warning", f"the engine is not installed; it would run {choice.profile.name}", remedy
        )
    return Finding("model", "ok", choice.reason)


def engines() -> Finding:
    try:
        running = list_engines()
    except EnginePathError:
        return Finding(
            "engine host", "error", "cannot be looked for", "mend the runtime folder first, see above"
        )
    failed = [engine for engine in running if engine.state == "failed"]
    if failed:
        return Finding("engine host", "error", failed[0].reason, "mend it, then: foreword engine start")
    if not running:
        return Finding("engine host", "ok", "none is running; the first completion starts it")
    return Finding("engine host", "ok", ", ".join(f"{engine.model}: {engine.state}" for engine in running))


CHECKS: tuple[Callable[[], Finding], ...] = (
    python,
    git,
    disk,
    index,
    runtime,
    loopback,
    watches,
    embedder,
    model,
    engines,
)


def endpoints(file: Path) -> list[Finding]:
    """Of every endpoint that a file of settings names."""
    from lsp.commands.endpoints import look, reached, settings_of, to_be_started

    settings, complaints = settings_of(file)
    findings = [Finding("settings", "warning", complaint, f"mend {file}") for complaint in complaints]
    for looked in run(look(settings), ()):
        for status in looked.endpoints:
            check = f"{looked.role} endpoint"
            if to_be_started(status):
                findings.append(Finding(check, "ok", status.last_error))
                continue
            if not reached(status):
                error = status.last_error or f"{status.endpoint} does not answer"
                findings.append(Finding(check, "error", error, "until then the next one configured answers"))
                continue
            found = f"{status.endpoint} is reachable, window {status.context_tokens:,} tokens"
            limits = "; ".join(status.limits)
            findings.append(Finding(check, "ok", f"{found}. Its limits: {limits}" if limits else found))
    return findings


def run_doctor(settings: Path | None, *, as_json: bool) -> None:
    findings = [check() for check in CHECKS]
    if settings is not None:
        findings += endpoints(settings)
    if as_json:
        print_json(findings)
    else:
        table = Table(box=None, show_header=False, pad_edge=False)
        colour = {"ok": "green", "warning": "yellow", "error": "bold red"}
        for finding in findings:
            table.add_row(
                f"[{colour[finding.level]}]{finding.level}[/]", finding.check, escape(finding.found)
            )
            if finding.remedy:
                table.add_row("", "", f"[dim]→ {escape(finding.remedy)}[/]")
        out.print(table)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(EXIT_FAILED)
