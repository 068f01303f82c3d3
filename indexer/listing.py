"""The files of a root that may be indexed, and why others may not. Links are never followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

import msgspec

from indexer import git
from indexer.exclusions import Exclusions
from indexer.walk import WalkLimit, walk


class ListedFile(msgspec.Struct, frozen=True):
    """A regular file at the time of listing."""

    path: str
    """POSIX, relative to the root."""
    size: int
    mtime_ns: int
    reincluded: bool = False
    """`.forewordignore` takes it back in by name: pass this on to `why_content_excluded`."""


class Listing(msgspec.Struct):
    """What `list_files` found."""

    files: list[ListedFile]
    """In the order of their paths."""
    skipped: list[tuple[str, str]]
    """(path, reason)"""
    how: Literal["git", "walk"]
    note: str = ""
    """For a person: why a repository's git was not asked, what was cut short."""


MAX_FILES = 300_000
"""Larger than any repository that one person edits; a home folder opened by mistake stops here."""


def list_files(root: Path) -> Listing:
    """Git's list of `root` where git gives one, else a walk that reads the `.gitignore` files itself.

    Raises NotADirectoryError or another OSError when the root itself cannot be read."""
    root = root.resolve(strict=True)
    with os.scandir(root):  # a root that cannot be read must not look like an empty one
        pass
    exclusions = Exclusions.load(root)
    listing = Listing([], [], "git")
    try:
        paths = _from_git(root, listing)
    except git.GitRefusal as refusal:
        listing = Listing([], [], "walk", _explain(refusal, root))
        paths = _from_walk(root, exclusions, listing)
    folders = _Folders(root)
    for path in sorted(paths):
        _add(path, root, folders, exclusions, listing)
        if len(listing.files) >= MAX_FILES:
            listing.note = _join(listing.note, f"only the first {MAX_FILES:,} files are indexed")
            break
    return listing


def _from_git(root: Path, listing: Listing) -> list[str]:
    paths: list[str] = []
    answer = git.list_folder(root)
    for folder, why in answer.unreadable:
        listing.skipped.append((folder.decode("utf-8", "replace"), f"unreadable: {why}"))
    for entry in answer.entries:
        path = _decoded(entry.path, listing)
        if path is None:
            continue
        if entry.mode == git.GITLINK or path.endswith("/"):
            listing.skipped.append(
                (path.rstrip("/"), "another git repository; open it as a folder of its own")
            )
            continue
        paths.append(path)
    return paths


def _from_walk(root: Path, exclusions: Exclusions, listing: Listing) -> list[str]:
    paths: list[str] = []
    try:
        for path, reason in walk(root, exclusions, MAX_FILES):
            name = _decoded(os.fsencode(path), listing)
            if name is None:
                continue
            if reason:
                listing.skipped.append((name, reason))
            else:
                paths.append(name)
    except WalkLimit as limit:
        listing.note = _join(listing.note, str(limit))
    return paths


def _decoded(path: bytes, listing: Listing) -> str | None:
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        listing.skipped.append((path.decode("utf-8", "replace"), "its name is not UTF-8"))
        return None


def _add(path: str, root: Path, folders: _Folders, exclusions: Exclusions, listing: Listing) -> None:
    reason: str | None = "behind a symbolic link" if folders.behind_link(path) else None
    if reason is None:
        try:
            state = os.lstat(f"{root}/{path}")
        except FileNotFoundError:  # tracked, but deleted: not there to be indexed
            return
        except OSError as failed:
            reason = f"unreadable: {failed.strerror}"
        else:
            reason = _why_not_a_file(state) or exclusions.why_excluded(path, state.st_size)
            if reason is None:
                reincluded = exclusions.reincludes(path)
                listing.files.append(ListedFile(path, state.st_size, state.st_mtime_ns, reincluded))
                return
    listing.skipped.append((path, reason))


def _why_not_a_file(state: os.stat_result) -> str | None:
    if stat.S_ISLNK(state.st_mode):
        return "symbolic link"
    return None if stat.S_ISREG(state.st_mode) else "not a regular file"


class _Folders:
    """Remembers which folders are reached without a link: git lists `a/b` even after `a` became a link
    elsewhere."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, bool] = {"": False}

    def behind_link(self, path: str) -> bool:
        folder = path.rpartition("/")[0]
        unknown: list[str] = []
        while folder not in self._known:
            unknown.append(folder)
            folder = folder.rpartition("/")[0]
        for folder in reversed(unknown):
            above = self._known[folder.rpartition("/")[0]]
            self._known[folder] = above or (self._root / folder).is_symlink()
        return self._known[path.rpartition("/")[0]]


def _explain(refusal: git.GitRefusal, root: Path) -> str:
    if str(refusal) == git.NO_REPOSITORY:
        return ""  # nothing that one would have to be told of
    if "dubious ownership" in str(refusal):
        return (
            "git refuses this folder because it belongs to another user, so Foreword reads the .gitignore "
            f"files itself; to let git answer: git config --global --add safe.directory '{root}'"
        )
    why = f"git gave no list ({refusal})" if refusal.why == "refused" else str(refusal)
    return f"{why}; Foreword reads the .gitignore files itself"


def _join(*notes: str) -> str:
    return "; ".join(filter(None, notes))
