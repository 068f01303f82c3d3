"""The folders of a root that are worth watching (all but those ignored as a whole), and what git calls it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from indexer import paths
from indexer.exclusions import Exclusions

_GIT_TIMEOUT_S = 20.0


def folders_to_watch(root: Path, exclusions: Exclusions) -> set[str]:
    """POSIX paths relative to `root`, "" for the root itself; folders without any file yet are among them."""
    ignored = _ignored_by_git(root)
    our_own = paths.cache_folder()  # watching where we write would never come to rest
    found = {""}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(root / folder))
        except OSError:
            continue  # vanished or closed to us: there is nothing to be seen in it
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False) or entry.name == ".git":
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if path in ignored or exclusions.why_folder_excluded(path) or root / path == our_own:
                continue
            found.add(path)
            waiting.append(path)
    return found


def git_folder(root: Path) -> Path | None:
    """Where this work tree's HEAD and index are, also of a linked work tree; None without git."""
    marker = root / ".git"
    if marker.is_dir():
        return marker
    try:
        pointer = marker.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if not pointer.startswith("gitdir:"):
        return None
    folder = (root / pointer.removeprefix("gitdir:").strip()).resolve()
    return folder if folder.is_dir() else None


def repository_name(root: Path) -> str:
    """The name that everybody's clone has: of the remote `origin`, else of the folder."""
    url = _git(root, "config", "--get", "remote.origin.url").decode("utf-8", "replace").strip()
    name = url.replace("\\", "/").rstrip("/").removesuffix(".git").rpartition("/")[2].rpartition(":")[2]
    return name or root.name


def _ignored_by_git(root: Path) -> set[str]:
    listed = _git(root, "ls-files", "-z", "-o", "-i", "--exclude-standard", "--directory")
    names = listed.decode("utf-8", "surrogateescape").split("\0")
    return {name.rstrip("/") for name in names if name.endswith("/")}


def _git(root: Path, *arguments: str) -> bytes:
    """What git prints; nothing where it cannot say, which costs watches or a nicer name, never
    correctness."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "-C", str(root), *arguments],
            env=environment | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
