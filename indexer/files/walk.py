"""Lists a folder without git, by the rules of its `.gitignore` files, nested ones included."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pathspec

from indexer.files import git
from indexer.files.exclusions import Exclusions


class WalkLimit(Exception):
    """The folder holds more than may be listed."""


class _Rules(msgspec.Struct, frozen=True):
    """One `.gitignore`: its patterns hold for paths below `base` (POSIX, ends in `/` unless empty)."""

    base: str
    spec: pathspec.GitIgnoreSpec


_Folder = tuple[str, tuple[_Rules, ...]]
"""A folder (POSIX, ends in `/` unless empty) and the rules of those above it."""


def walk(
    root: Path, exclusions: Exclusions, max_files: int, only: Sequence[str] = ()
) -> Iterator[tuple[str, str | None]]:
    """(POSIX path relative to `root`, None or the reason why it is skipped), a folder at a time; with `only`, of
    these files and folders.

    What `.gitignore` names is left out without a word, as git does. Links are given, never followed, so that
    there are no loops. Raises WalkLimit after `max_files`."""
    rules = _rules_of(git.user_excludes(), "") + _rules_of(root / ".git" / "info" / "exclude", "")
    pending: list[_Folder] = []
    if not only:
        pending.append(("", rules))
    for path in only:
        yield from _begin(root, exclusions, path, rules, pending)
    given = 0
    while pending:
        for path, reason in _open(root, exclusions, pending.pop(), pending):
            given += reason is None
            if given > max_files:
                raise WalkLimit(f"only the first {max_files:,} files are indexed")
            yield path, reason


def is_ignored(root: Path, path: str) -> bool:
    """Whether a file with this path, there or not, is left out by `.gitignore` files of the folders above it."""
    *folders, _ = path.split("/")
    rules = _rules_of(git.user_excludes(), "") + _rules_of(root / ".git" / "info" / "exclude", "")
    base = ""
    for folder in folders:
        rules += _rules_of(root / base / ".gitignore", base)
        base += f"{folder}/"
        if _ignored(base, rules):
            return True
    return _ignored(path, rules + _rules_of(root / base / ".gitignore", base))


def _begin(
    root: Path, exclusions: Exclusions, path: str, rules: tuple[_Rules, ...], pending: list[_Folder]
) -> Iterator[tuple[str, str | None]]:
    """Gives `path` if it is a file that is not ignored; puts it into `pending` if it is such a folder."""
    *folders, name = path.split("/")
    base = ""
    for folder in folders:
        rules += _rules_of(root / base / ".gitignore", base)
        if exclusions.why_folder_excluded(base + folder) or _ignored(f"{base}{folder}/", rules):
            return
        base += f"{folder}/"
    rules += _rules_of(root / base / ".gitignore", base)
    try:
        is_folder = stat.S_ISDIR((root / path).lstat().st_mode)
    except OSError:
        return  # gone again
    if not is_folder:
        if not _ignored(path, rules):
            yield path, None
    elif reason := exclusions.why_folder_excluded(path):
        if name != ".git":
            yield path, reason
    elif not _ignored(f"{path}/", rules):
        pending.append((f"{path}/", rules))


def _open(
    root: Path, exclusions: Exclusions, folder: _Folder, pending: list[_Folder]
) -> Iterator[tuple[str, str | None]]:
    """Gives the files of one folder, puts the folders in it into `pending`."""
    base, rules = folder
    try:
        with os.scandir(root / base) as scan:
            children = list(scan)
    except OSError as failed:
        yield base.rstrip("/"), f"unreadable: {(failed.strerror or str(failed)).lower()}"
        return
    if any(child.name == ".gitignore" for child in children):
        rules += _rules_of(root / base / ".gitignore", base)
    for child in children:
        path = base + child.name
        if not child.is_dir(follow_symlinks=False):
            if not _ignored(path, rules):
                yield path, None
        elif reason := exclusions.why_folder_excluded(path):
            if child.name != ".git":
                yield path, reason
        elif not _ignored(f"{path}/", rules):
            pending.append((f"{path}/", rules))


def _rules_of(file: Path, base: str) -> tuple[_Rules, ...]:
    if not file.is_file():  # most folders have none, and reading a pipe would never end
        return ()
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:  # one that cannot be read cannot be obeyed either
        return ()
    return (_Rules(base, pathspec.GitIgnoreSpec.from_lines(lines)),)


def _ignored(path: str, rules: tuple[_Rules, ...]) -> bool:
    """The rules nearest to the path that say anything decide."""
    for rule in reversed(rules):
        verdict = rule.spec.check_file(path.removeprefix(rule.base)).include
        if verdict is not None:
            return verdict
    return False
