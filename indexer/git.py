"""What git says about the files of a folder, asked so that nothing in the folder gets to run a program."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Literal

import msgspec

GIT_TIMEOUT_S = 60.0
"""25,000 files take 25 ms; a cold network disk takes its time."""

SHA1_HEX = 40

GITLINK = "160000"
"""The mode of a submodule in git's index."""

_SETTINGS = (
    "-c", "core.fsmonitor=false",  # may name a program to run
    "-c", "core.untrackedCache=false",  # would write to the index
    "-c", "core.quotePath=false",
)  # fmt: skip


class GitEntry(msgspec.Struct, frozen=True):
    """A path, POSIX and relative to the folder that was asked about, in the bytes that git gave."""

    path: bytes
    mode: str = ""
    """Octal, of tracked files."""
    blob: str | None = None
    """SHA-1 of the bytes on disk, only if that is certain."""


class GitList(msgspec.Struct):
    """Git's answer about one folder."""

    entries: list[GitEntry]
    unreadable: list[tuple[bytes, str]]
    """Folders that git could not open, with the reason."""


class GitRefusal(Exception):
    """Git gives no list. `why`: `missing` (no git on this machine), `outside` (no repository here, or one
    that ignores this folder) or `refused`, with git's own words in the message."""

    def __init__(self, why: Literal["missing", "outside", "refused"], message: str) -> None:
        super().__init__(message)
        self.why = why


_UNREADABLE = re.compile(rb"^warning: could not open directory '(.*?)/?': (.*)$", re.MULTILINE)


def list_folder(folder: Path) -> GitList:
    """Tracked files and those that are neither tracked nor ignored; may name files that are gone from the
    disk. Raises GitRefusal."""
    prefix = _git(folder, "rev-parse", "--show-prefix").stdout.rstrip(b"\n")
    if prefix and _succeeds(folder, "check-ignore", "--quiet", "--", "."):
        raise GitRefusal("outside", "the repository around this folder ignores it")
    tracked = _git(folder, "ls-files", "-z", "--stage", "-v").stdout
    untracked = _git(folder, "ls-files", "-z", "--others", "--exclude-standard")
    others = untracked.stdout
    certain = not _may_be_filtered(folder, tracked, others)
    modified = _git(folder, "ls-files", "-z", "--modified").stdout if certain else b""
    changed = set(modified.split(b"\0"))
    found: dict[bytes, GitEntry] = {}
    for record in filter(None, tracked.split(b"\0")):
        head, _, path = record.partition(b"\t")
        letter, mode, blob, stage = head.decode("ascii").split(" ")
        # `H`: neither assumed unchanged nor left out of a sparse checkout, so that --modified looked at it.
        looked_at = certain and letter == "H" and stage == "0"
        as_on_disk = looked_at and path not in changed and len(blob) == SHA1_HEX
        found[path] = GitEntry(path, mode, blob if as_on_disk else None)
    for path in filter(None, others.split(b"\0")):
        found.setdefault(path, GitEntry(path))
    unreadable = [
        (path, why.decode("utf-8", "replace").lower()) for path, why in _UNREADABLE.findall(untracked.stderr)
    ]
    return GitList(list(found.values()), unreadable)


_ATTRIBUTES = re.compile(rb"(?:^|[\t/\0])\.gitattributes(?:\0|$)")


def _may_be_filtered(folder: Path, tracked: bytes, others: bytes) -> bool:
    """Whether bytes on disk may differ from those in git (line ends, filters such as LFS). Then git is not
    asked what has changed either, since it would run those filters."""
    if _ATTRIBUTES.search(tracked) or _ATTRIBUTES.search(others):
        return True
    if _succeeds(folder, "config", "--get-regexp", r"^core\.(autocrlf|eol|attributesfile)$"):
        return True
    if _git(folder, "rev-parse", "--show-prefix").stdout.strip():  # attributes may stand above this folder
        return True
    attributes = (
        _git(folder, "rev-parse", "--git-path", "info/attributes").stdout.decode("utf-8", "replace").strip()
    )
    everyones = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "git" / "attributes"
    return (folder / attributes).exists() or everyones.exists()


def _environment() -> dict[str, str]:
    """Ours without what a hook or another git may have set, and with no way to ask or to lock."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    for name in ("GIT_CEILING_DIRECTORIES", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"):
        if name in os.environ:
            kept[name] = os.environ[name]
    return kept | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "LC_ALL": "C"}


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *_SETTINGS, *arguments],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as absent:
        raise GitRefusal("missing", "git is not installed") from absent
    except (subprocess.TimeoutExpired, OSError) as failed:
        raise GitRefusal("refused", f"git {arguments[0]} did not work: {failed}") from failed


def _succeeds(folder: Path, *arguments: str) -> bool:
    return _run(folder, *arguments).returncode == 0


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    result = _run(folder, *arguments)
    if result.returncode == 0:
        return result
    words = result.stderr.decode("utf-8", "replace").strip()
    if "not a git repository" in words:
        raise GitRefusal("outside", "not a git repository")
    raise GitRefusal("refused", words.splitlines()[0] if words else f"git ended with {result.returncode}")
