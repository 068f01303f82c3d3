"""What a model is asked in `foreword bench edit`: steps of a history, each with an instruction, its files as they were
before, and what they truly became."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from benchmarks.edit.histories import TrueEdit
from benchmarks.edit.hunks import FilePair
from indexer.parsing.errors import tells_errors
from indexer.parsing.languages import language_of

MOST_FILES = 3
MOST_FILE_CHARS = 40_000
MOST_CHANGED_LINES = 60
"""Of a true change: with more of them a message tells too little for anybody."""

NAMES_TOLD = 6
GIT_TIMEOUT_S = 60.0
_NAME = re.compile(r"[A-Za-z_]\w{2,}")


class Asked(msgspec.Struct, frozen=True):
    instruction: str
    pairs: tuple[FilePair, ...]
    language: str


class NoHistory(Exception):
    """The repository's history cannot be read; the message says why."""


def from_steps(steps: Sequence[TrueEdit], most: int) -> list[Asked]:
    """Of release histories, which have no messages: the instruction names what comes and what goes."""
    found = [Asked(_named(step.pairs), step.pairs, step.language) for step in steps if _fits(step.pairs)]
    stride = max(1, len(found) // most) if most else 1
    return found[::stride][:most]


def from_repository(folder: Path, most: int) -> list[Asked]:
    """The last commits that change a few files and have one parent; their messages as they are. Raises NoHistory."""
    found: list[Asked] = []
    for commit in _git(folder, "log", "--no-merges", "--format=%H", f"-n{most * 20}").split():
        pairs = tuple(_pairs(folder, commit))
        if _fits(pairs):
            message = _git(folder, "show", "-s", "--format=%B", commit).strip()
            found.append(Asked(message, pairs, language_of(pairs[0].path) or ""))
        if len(found) == most:
            break
    return found


def changed_lines(pair: FilePair) -> tuple[list[str], list[str]]:
    """The lines that go and those that come."""
    import difflib

    old, new = ((text or "").splitlines() for text in (pair.old, pair.new))
    gone: list[str] = []
    come: list[str] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, start, end, first, last in matcher.get_opcodes():
        if kind != "equal":
            gone += old[start:end]
            come += new[first:last]
    return gone, come


def _fits(pairs: Sequence[FilePair]) -> bool:
    if not 0 < len(pairs) <= MOST_FILES:
        return False
    if any(pair.old is None or pair.new is None or len(pair.old) > MOST_FILE_CHARS for pair in pairs):
        return False
    if not all(tells_errors(language_of(pair.path) or "") for pair in pairs):
        return False
    return 0 < sum(len(side) for pair in pairs for side in changed_lines(pair)) <= MOST_CHANGED_LINES


def _named(pairs: Sequence[FilePair]) -> str:
    told: list[str] = []
    for pair in pairs:
        gone, come = (set(_NAME.findall("\n".join(lines))) for lines in changed_lines(pair))
        new, old = sorted(come - gone)[:NAMES_TOLD], sorted(gone - come)[:NAMES_TOLD]
        what = [f"bring in {', '.join(new)}" if new else "", f"do without {', '.join(old)}" if old else ""]
        kept = f"change what it does with {', '.join(sorted(come & gone)[:NAMES_TOLD])}"
        told.append(f"In {pair.path}: {' and '.join(filter(None, what)) or kept}.")
    return " ".join(told)


def _pairs(folder: Path, commit: str) -> Iterator[FilePair]:
    listed = _git(
        folder, "diff-tree", "-r", "-z", "--name-status", "--no-commit-id", "--no-renames", commit
    ).split("\0")
    for status, path in zip(listed[::2], listed[1::2], strict=False):
        if PurePosixPath(path).suffix and language_of(path):
            sides = [
                _git(folder, "show", f"{commit}{parent}:{path}") if status not in absent else None
                for parent, absent in (("^", "A"), ("", "D"))
            ]
            yield FilePair(path, sides[0], sides[1])


def _git(folder: Path, *arguments: str) -> str:
    """Git's answer; `-c` keeps filters and programs of the repository out of it."""
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as failed:
        raise NoHistory(f"git {arguments[0]} in {folder}: {failed}") from failed
    return done.stdout.decode("utf-8", "replace")
