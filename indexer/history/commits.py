"""The last commits of a folder's repository: when each was made and which files it touched, in bounded time."""

from __future__ import annotations

from pathlib import Path

import msgspec

from indexer.files import git

MOST_COMMITS = 2_000
"""A year or two of a busy project, read in about a second however long the history is; what is older tells little of
what is edited next."""

READING_S = 10.0
"""Of a repository on a cold network disk; the commits that were told by then are used."""

_COMMIT = b"\x01"
"""Before each commit. In a file's name it would only hide that file."""


class Commit(msgspec.Struct, frozen=True):
    time_s: int
    """Unix time."""
    paths: tuple[str, ...]
    """Below the folder, POSIX and relative to it."""


def head(folder: Path) -> str:
    """The commit that is checked out; empty without a repository or without commits. Blocks."""
    try:
        return git.output(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode("ascii").strip()
    except git.GitRefusal:
        return ""


def read_log(
    folder: Path, start: str, most: int = MOST_COMMITS, timeout_s: float = READING_S
) -> tuple[list[Commit], bool]:
    """The last commits before and with `start`, merges left out, the newest first; and whether git told all of them: it
    may have been stopped, or not have run at all. Blocks. Compares trees by the names in them, so that no file's
    content is looked at and no program of the repository runs."""
    told, whole = git.partly_told(
        folder,
        timeout_s,
        *("log", "-z", f"--max-count={most}", "--no-merges", "--no-renames", "--name-only", "--relative"),
        *("--no-ext-diff", "--no-textconv", "--no-show-signature", "--no-notes", "--no-color"),
        *("--format=tformat:%x01%ct", start, "--"),
    )
    found = (_commit(record) for record in told.split(_COMMIT)[1:])
    return [commit for commit in found if commit is not None], whole


def _commit(record: bytes) -> Commit | None:
    time_s, _, names = record.partition(b"\0")
    if not time_s.isdigit():
        return None
    paths = [_path(name) for name in names.removeprefix(b"\n").split(b"\0")]
    return Commit(int(time_s), tuple(filter(None, paths)))


def _path(name: bytes) -> str:
    """Empty for a name that is no UTF-8: such files are not indexed."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return ""
