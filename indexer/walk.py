"""Lists a folder without git, by the rules of its `.gitignore` files, nested ones included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pathspec

from indexer.exclusions import Exclusions


class WalkLimit(Exception):
    """The folder holds more than may be listed."""


class _Rules(msgspec.Struct, frozen=True):
    """One `.gitignore`: its patterns hold for paths below `base` (POSIX, ends in `/` unless empty)."""

    base: str
    spec: pathspec.GitIgnoreSpec


def walk(root: Path, exclusions: Exclusions, max_files: int) -> Iterator[tuple[str, str | None]]:
    """(POSIX path relative to `root`, None or the reason why it is skipped), a folder at a time.

    What `.gitignore` names is left out without a word, as git does. Links are given, never followed, so that
    there are no loops. Raises WalkLimit after `max_files`."""
    pending: list[tuple[str, tuple[_Rules, ...]]] = [("", _rules_of(root / ".git" / "info" / "exclude", ""))]
    given = 0
    while pending:
        base, rules = pending.pop()
        folder = root / base
        try:
            with os.scandir(folder) as scan:
                children = list(scan)
        except OSError as failed:
            yield base.rstrip("/"), f"unreadable: {(failed.strerror or str(failed)).lower()}"
            continue
        rules += _rules_of(folder / ".gitignore", base)
        for child in children:
            path = base + child.name
            if child.is_dir(follow_symlinks=False):
                reason = exclusions.why_folder_excluded(path)
                if reason and child.name != ".git":
                    yield path, reason
                elif not reason and not _ignored(path + "/", rules):
                    pending.append((path + "/", rules))
            elif not _ignored(path, rules):
                given += 1
                if given > max_files:
                    raise WalkLimit(f"only the first {max_files:,} files are indexed")
                yield path, None


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
