"""What a handful of changes on disk amounts to: files to be read, paths that are gone, and why others are not read."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from indexer.files.batcher import Changes
from indexer.files.exclusions import Exclusions
from indexer.files.listing import Folders, ListedFile, list_files, unseen, why_not_a_file
from indexer.files.times import changed_ns

MOST_ASKED = 64
"""New files and folders about which git is asked by name; for more the whole listing is quicker."""


class Followed(msgspec.Struct):
    """What is to be done about some changes."""

    files: list[ListedFile] = []
    gone: list[str] = []
    skipped: dict[str, str] = {}
    """Path → why it is not indexed."""
    ignored: list[str] = []
    """New paths that no listing names: git, or a `.gitignore`, ignores them."""


def follow(
    root: Path,
    manifest: Collection[str],
    exclusions: Exclusions,
    changes: Changes,
    ignored: Container[str] = (),
    submodules: Sequence[str] = (),
    untracked: Collection[str] = (),
) -> Followed | None:
    """Looks at what `changes` names; `ignored` paths are known not to be listed, of `untracked` ones git has just let
    go. None when only the whole listing can tell. Blocks on the disk, and on git for what is new."""
    folders = topmost(changes.folders)
    paths = changes.paths | set(_below(folders, manifest))
    seen = Followed()
    links = Folders(root)
    new = [it for it in folders if _is_folder(root, it) and not exclusions.why_folder_excluded(it)]
    for path in sorted(paths):
        if path in manifest and path not in untracked:
            _look_at_known(root, path, links, exclusions, seen)
        elif not _is_there(root, path):
            if path in manifest:
                seen.gone.append(path)
        elif path not in ignored:
            reason = exclusions.why_excluded(path)
            if reason:
                seen.skipped[path] = reason
            else:
                new.append(path)
    if len(new) > MOST_ASKED:
        return None
    if new:
        listing = list_files(root, new, submodules)
        if listing.submodules or listing.note:
            return None
        known = {file.path for file in seen.files}
        seen.files += [file for file in listing.files if file.path not in known]
        seen.skipped.update(listing.skipped)
        listed = {file.path for file in listing.files} | seen.skipped.keys()
        seen.ignored = [path for path in new if path not in listed and path not in folders]
        seen.gone += [path for path in seen.ignored if path in manifest]
    _drop_renamed(root, seen)
    return seen


def topmost(folders: Iterable[str]) -> list[str]:
    """Those that lie in none of the others."""
    found: list[str] = []
    for folder in sorted(folders, key=lambda it: it.split("/")):
        if not found or not folder.startswith(f"{found[-1]}/"):
            found.append(folder)
    return found


def _below(folders: Sequence[str], paths: Iterable[str]) -> Iterator[str]:
    starts = tuple(f"{folder}/" for folder in folders)
    return (path for path in paths if path.startswith(starts)) if starts else iter(())


def _look_at_known(root: Path, path: str, links: Folders, exclusions: Exclusions, seen: Followed) -> None:
    try:
        state = os.lstat(f"{root}/{path}")
    except (FileNotFoundError, NotADirectoryError):
        seen.gone.append(path)
        return
    except OSError:
        found = unseen(path, exclusions)
        if isinstance(found, ListedFile):
            seen.files.append(found)
            return
        reason = found
    else:
        reason = why_not_a_file(state) or ("behind a symbolic link" if links.behind_link(path) else "")
        reason = reason or exclusions.why_excluded(path, state.st_size) or ""
        if not reason:
            reincluded = exclusions.reincludes(path)
            seen.files.append(ListedFile(path, state.st_size, changed_ns(state), reincluded))
            return
    seen.gone.append(path)
    seen.skipped[path] = reason


def _drop_renamed(root: Path, seen: Followed) -> None:
    """Where case does not count, the old name of a file whose case was changed still leads to it."""
    names = Counter(file.path.casefold() for file in seen.files)
    for file in [file for file in seen.files if names[file.path.casefold()] > 1]:
        folder, _, name = file.path.rpartition("/")
        if name not in os.listdir(root / folder):  # noqa: PTH208 - names as they are written on the disk
            seen.files.remove(file)
            seen.gone.append(file.path)


def _is_there(root: Path, path: str) -> bool:
    try:
        return not stat.S_ISDIR(os.lstat(f"{root}/{path}").st_mode)
    except OSError:
        return False


def _is_folder(root: Path, path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(f"{root}/{path}").st_mode)
    except OSError:
        return False
