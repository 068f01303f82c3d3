"""The files of a root that may be indexed, and why others may not. Links are never followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from indexer.files import git
from indexer.files.exclusions import Exclusions
from indexer.files.times import changed_ns
from indexer.files.walk import WalkLimit, walk


class ListedFile(msgspec.Struct, frozen=True):
    """A regular file at the time of listing."""

    path: str
    """POSIX, relative to the root."""
    size: int
    mtime_ns: int
    """As `times.changed_ns` has it."""
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
    submodules: list[str] = []
    """Paths of those that are here; their files are listed like all others."""
    tracked: set[str] = msgspec.field(default_factory=set[str])
    """What git tracks of it."""


MAX_FILES = 300_000
"""Larger than any repository that one person edits; a home folder opened by mistake stops here."""

_DEEPEST_SUBMODULE = 8
"""Submodules of submodules. Git sets no limit, people stop at three."""


def list_files(root: Path, only: Sequence[str] = (), submodules: Sequence[str] = ()) -> Listing:
    """Git's list of `root` where git gives one, else a walk that reads the `.gitignore` files itself.

    With `only`, of these files and folders alone (POSIX paths relative to `root`); then the submodules of an
    earlier listing have to be named. Raises NotADirectoryError or another OSError when the root itself cannot be
    read."""
    root = root.resolve(strict=True)
    with os.scandir(root):  # a root that cannot be read must not look like an empty one
        pass
    exclusions = Exclusions.load(root)
    listing = Listing([], [], "git")
    try:
        paths = _from_git(root, listing, only, submodules)
    except git.GitRefusal as refusal:
        listing = Listing([], [], "walk", _explain(refusal, root))
        paths = _from_walk(root, exclusions, listing, only)
    folders = Folders(root)
    for path in sorted(paths):
        _add(path, root, folders, exclusions, listing)
        if len(listing.files) >= MAX_FILES:
            listing.note = _join(listing.note, f"only the first {MAX_FILES:,} files are indexed")
            break
    return listing


def tracked_by_git(root: Path, submodules: Sequence[str]) -> frozenset[str]:
    """What git tracks here, submodules included; empty where git cannot say."""
    found: set[str] = set()
    for folder in ("", *submodules):
        try:
            entries = git.tracked(root / folder)
        except git.GitRefusal:
            continue
        prefix = os.fsencode(f"{folder}/") if folder else b""
        found.update(os.fsdecode(prefix + it.path) for it in entries if it.mode != git.GITLINK)
    return frozenset(found)


def _from_git(root: Path, listing: Listing, only: Sequence[str], submodules: Sequence[str]) -> list[str]:
    if not only:
        return _of_repository(root, "", (), listing, _DEEPEST_SUBMODULE)
    paths: list[str] = []
    asked: dict[str, list[str]] = {}
    for path in only:  # git answers for a submodule only within it
        inside = [it for it in submodules if path == it or path.startswith(f"{it}/")]
        asked.setdefault(max(inside, key=len, default=""), []).append(path)
    for prefix, some in asked.items():
        below = [path[len(prefix) + 1 :] or "." for path in some] if prefix else some
        paths += _of_repository(root, prefix, below, listing, _DEEPEST_SUBMODULE)
    return paths


def _of_repository(root: Path, prefix: str, only: Sequence[str], listing: Listing, deeper: int) -> list[str]:
    """The files of the repository at `prefix` (empty: the root itself) and of the submodules in it."""
    paths: list[str] = []
    lead = os.fsencode(f"{prefix}/") if prefix else b""
    answer = git.list_folder(root / prefix, only)
    for folder, why in answer.unreadable:
        listing.skipped.append(((lead + folder).decode("utf-8", "replace"), f"unreadable: {why}"))
    for entry in answer.entries:
        path = _decoded(lead + entry.path, listing)
        if path is None:
            continue
        if entry.mode == git.GITLINK and deeper and _is_here(root, path):
            listing.submodules.append(path)
            paths += _of_submodule(root, path, listing, deeper - 1)
        elif entry.mode == git.GITLINK or path.endswith("/"):
            listing.skipped.append(
                (path.rstrip("/"), "another git repository; open it as a folder of its own")
            )
        else:
            paths.append(path)
            if entry.mode:
                listing.tracked.add(path)
    return paths


def _is_here(root: Path, submodule: str) -> bool:
    """Whether it is checked out, at its place and not behind a link."""
    folder = root / submodule
    return not folder.is_symlink() and (folder / ".git").exists()


def _of_submodule(root: Path, path: str, listing: Listing, deeper: int) -> list[str]:
    try:
        return _of_repository(root, path, (), listing, deeper)
    except git.GitRefusal as refusal:
        listing.skipped.append((path, f"submodule: {refusal}"))
        return []


def _from_walk(root: Path, exclusions: Exclusions, listing: Listing, only: Sequence[str]) -> list[str]:
    paths: list[str] = []
    try:
        for path, reason in walk(root, exclusions, MAX_FILES, only):
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


def _add(path: str, root: Path, folders: Folders, exclusions: Exclusions, listing: Listing) -> None:
    reason: str | None = "behind a symbolic link" if folders.behind_link(path) else None
    if reason is None:
        try:
            state = os.lstat(f"{root}/{path}")
        except FileNotFoundError:  # tracked, but deleted: not there to be indexed
            return
        except OSError:
            found = unseen(path, exclusions)
        else:
            found = why_not_a_file(state) or exclusions.why_excluded(path, state.st_size)
            if found is None:
                found = ListedFile(path, state.st_size, changed_ns(state), exclusions.reincludes(path))
        if isinstance(found, ListedFile):
            listing.files.append(found)
            return
        reason = found
    listing.skipped.append((path, reason))


def unseen(path: str, exclusions: Exclusions) -> ListedFile | str:
    """What the disk refuses to tell of: by its name a file, or why that is not read. Whoever reads it finds out whether
    the error lies in the file or may pass; till then nothing that is known of it is forgotten."""
    return exclusions.why_excluded(path) or ListedFile(path, 0, 0, exclusions.reincludes(path))


def why_not_a_file(state: os.stat_result) -> str | None:
    """Of what `lstat` says: only regular files are read."""
    if stat.S_ISLNK(state.st_mode):
        return "symbolic link"
    return None if stat.S_ISREG(state.st_mode) else "not a regular file"


class Folders:
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
