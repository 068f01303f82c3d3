"""Whether a path that need not exist yet would be left out by `.gitignore` files."""

from __future__ import annotations

from pathlib import Path

from indexer.files import git, walk

CHECK_TIMEOUT_S = 10.0
"""Of a question that takes milliseconds on a disk of one's own."""


def is_ignored(root: Path, path: str) -> bool:
    """`path` is POSIX, relative to `root`. Git answers where it can, which never ignores what it tracks; elsewhere the
    files are read here."""
    try:
        git.output(root, "rev-parse", "--git-dir")
    except git.GitRefusal:
        return walk.is_ignored(root, path)
    return bool(git.told_within(root, CHECK_TIMEOUT_S, "check-ignore", "--", f"./{path}"))
