"""The folders of a root that are worth watching (all but those ignored as a whole), and what git calls it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from indexer import paths
from indexer.files import git
from indexer.files.exclusions import Exclusions


def folders_to_watch(root: Path, exclusions: Exclusions, only: Sequence[str] = ()) -> set[str]:
    """POSIX paths relative to `root`, "" for the root itself; folders without any file yet are among them. With
    `only`, these folders and what is below them."""
    try:
        ignored = git.ignored_folders(root, only)
    except git.GitRefusal:  # which costs watches, never correctness
        ignored = set[str]()
    our_own = str(paths.cache_folder())  # watching where we write would never come to rest
    top = str(root)
    waiting = [path for path in only if _is_worth_it(root, path, ignored, exclusions)] if only else [""]
    found = set(waiting)
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(f"{top}/{folder}"))
        except OSError:
            continue  # vanished or closed to us: there is nothing to be seen in it
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False) or entry.name == ".git":
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if path in ignored or exclusions.why_folder_excluded(path) or f"{top}/{path}" == our_own:
                continue
            found.add(path)
            waiting.append(path)
    return found


def _is_worth_it(root: Path, path: str, ignored: set[str], exclusions: Exclusions) -> bool:
    above = path.split("/")
    return not (
        ".git" in above
        or any("/".join(above[:count]) in ignored for count in range(1, len(above) + 1))
        or exclusions.why_folder_excluded(path)
        or (root / path).is_symlink()
        or not (root / path).is_dir()
    )


def git_folders(root: Path, submodules: Sequence[str] = ()) -> list[Path]:
    """Where HEAD and index of the work tree around `root` and of its submodules are, and where `exclude` is; also of
    a linked work tree. Empty without git."""
    found: dict[Path, None] = {}
    around = _work_tree(root)
    for tree in (*((around,) if around is not None else ()), *(root / submodule for submodule in submodules)):
        own = _git_folder(tree)
        if own is None:
            continue
        try:
            common = own / (own / "commondir").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            common = own  # no linked work tree
        found.update(dict.fromkeys([own, common.resolve() / "info"]))
    return list(found)


def rules_above(root: Path) -> list[Path]:
    """`.gitignore` files, there or not, that lie above a root within a work tree and hold for it."""
    around = _work_tree(root)
    if around is None:
        return []
    return [folder / ".gitignore" for folder in root.parents if folder.is_relative_to(around)]


def _work_tree(root: Path) -> Path | None:
    """The root itself or the nearest folder above it that git takes for a work tree."""
    return next((folder for folder in (root, *root.parents) if _git_folder(folder) is not None), None)


def _git_folder(root: Path) -> Path | None:
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
    try:
        url = git.output(root, "config", "--get", "remote.origin.url").decode("utf-8", "replace").strip()
    except git.GitRefusal:
        url = ""
    name = url.replace("\\", "/").rstrip("/").removesuffix(".git").rpartition("/")[2].rpartition(":")[2]
    return name or root.name
