"""What git says about the files of a folder, asked so that nothing in the folder gets to run a program.

A repository can name programs in its settings and attributes: filters, hooks, file-system monitors, helpers
that fetch what a partial clone lacks. Git is only asked for names out of its index and for what is ignored,
which reads no file through a filter and writes nothing; monitor and fetching are switched off."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

GIT_TIMEOUT_S = 60.0
"""25,000 files take 25 ms; a cold network disk takes its time."""

NO_REPOSITORY = "not a git repository"

GITLINK = "160000"
"""The mode of a submodule in git's index."""

_MODE_DIGITS = 6

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


_UNREADABLE = re.compile(rb"^warning: could not open directory '(.*?)(?:/?': (.*))?$", re.MULTILINE)
"""Git cuts a message after 4,096 bytes; only a path that is too long makes one of that length."""


def list_folder(folder: Path, only: Sequence[str] = ()) -> GitList:
    """Tracked files and those that are neither tracked nor ignored, of all or of `only` these files and folders;
    may name files that are gone from the disk. Raises GitRefusal."""
    prefix = output(folder, "rev-parse", "--show-prefix").rstrip(b"\n")
    if prefix and _run(folder, "check-ignore", "--quiet", "--", ".").returncode == 0:
        raise GitRefusal("outside", "the repository around this folder ignores it")
    found = {entry.path: entry for entry in tracked(folder, only)}
    arguments = ("ls-files", "-z", "--others", "--exclude-standard", "--", *only)
    untracked = _checked(folder, *arguments)
    for path in filter(None, untracked.stdout.split(b"\0")):
        found.setdefault(path, GitEntry(path))
    unreadable = [
        (path, why.decode("utf-8", "replace").lower() or "file name too long")
        for path, why in _UNREADABLE.findall(untracked.stderr)
    ]
    return GitList(list(found.values()), unreadable)


def tracked(folder: Path, only: Sequence[str] = ()) -> list[GitEntry]:
    """What git's index holds of this folder, each path once. Raises GitRefusal."""
    found: dict[bytes, GitEntry] = {}
    listed = output(folder, "ls-files", "-z", "--stage", "--", *only)
    for record in filter(None, listed.split(b"\0")):
        head, _, path = record.partition(b"\t")
        found[path] = GitEntry(path, head[:_MODE_DIGITS].decode("ascii"))
    return list(found.values())


def ignored_folders(folder: Path, only: Sequence[str] = ()) -> set[str]:
    """Folders in which nothing can come that is not ignored, relative to `folder`, none within another. Raises
    GitRefusal."""
    listed = output(
        folder, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory", "--", *only
    )
    # among them are folders that just happen to hold nothing but ignored files
    folders = b"".join(name + b"\0" for name in listed.split(b"\0") if name.endswith(b"/"))
    if not folders:
        return set()
    named = _run(folder, "check-ignore", "-z", "--stdin", stdin=folders).stdout
    return {os.fsdecode(name.rstrip(b"/")) for name in filter(None, named.split(b"\0"))}


def user_excludes() -> Path:
    """The file with what this user never wants tracked in any repository, whether it exists or not."""
    try:
        # asked outside of every repository: nothing but the user's own settings is read
        named = output(Path(os.sep), "config", "--path", "--get", "core.excludesFile")
        return Path(os.fsdecode(named.rstrip(b"\n")))
    except GitRefusal:  # not set, or no git
        settings = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
        return Path(settings, "git", "ignore")


def output(folder: Path, *arguments: str) -> bytes:
    """What one git command prints. Raises GitRefusal. Only for commands that compare no file with what is
    stored of it: that would run the repository's filters."""
    return _checked(folder, *arguments).stdout


def told_within(folder: Path, timeout_s: float, *arguments: str) -> bytes:
    """The same for what may take long: all that the command has printed when it ends or its time is over, nothing
    where git cannot tell."""
    return partly_told(folder, timeout_s, *arguments)[0]


def partly_told(folder: Path, timeout_s: float, *arguments: str) -> tuple[bytes, bool]:
    """The same, and whether that is all: git came to its end, and without a fault."""
    try:
        done = subprocess.run(
            ["git", *_SETTINGS, *arguments],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return late.stdout or b"", False
    except OSError:
        return b"", False
    return done.stdout, done.returncode == 0


def _environment() -> dict[str, str]:
    """Ours without what a hook or another git may have set, and with no way to ask, to lock or to fetch."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    for name in ("GIT_CEILING_DIRECTORIES", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"):
        if name in os.environ:
            kept[name] = os.environ[name]
    return kept | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",  # the same for git before 2.44, which fetches unless it may not
        "LC_ALL": "C",
    }


def _run(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    # what is listed are names, whatever is in them; for `check-ignore` that would be another question
    literal = ["--literal-pathspecs"] if arguments[0] == "ls-files" else []
    try:
        return subprocess.run(
            ["git", *_SETTINGS, *literal, *arguments],
            cwd=folder,
            env=_environment(),
            input=stdin,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as absent:
        raise GitRefusal("missing", "git is not installed") from absent
    except (subprocess.TimeoutExpired, OSError) as failed:
        raise GitRefusal("refused", f"git {arguments[0]} did not work: {failed}") from failed


def _checked(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    result = _run(folder, *arguments)
    if result.returncode == 0:
        return result
    words = result.stderr.decode("utf-8", "replace").strip()
    if NO_REPOSITORY in words:
        raise GitRefusal("outside", NO_REPOSITORY)
    raise GitRefusal("refused", words.splitlines()[0] if words else f"git ended with {result.returncode}")
