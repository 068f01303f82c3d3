"""Repositories in which every line that is asked for has been cut away before anything of them is indexed.

A round has at most one case of a file; each round is a folder of its own, so that no index of it ever held the line.
Two planted words prove that: one in each line that is cut away, one in the rest of its file."""

from __future__ import annotations

import shutil
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.context.case import Case
from benchmarks.targets import TargetError

_COMMENTS = {".go": "//", ".ts": "//", ".tsx": "//"}


class Placed(msgspec.Struct, frozen=True):
    """A case in the folder of its round."""

    case: Case
    root: Path
    text: str
    """The document, its planted word included."""
    planted: str
    """Stands in the case's file, and may be in no pack for it."""

    @property
    def path(self) -> Path:
        return self.root / self.case.path


def rounds(repository: Path, cases: Sequence[Case], scratch: Path) -> Iterator[list[Placed]]:
    """One round after another; its folder is there until the next is asked for."""
    waiting: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        waiting[case.path].append(case)
    number = 0
    while any(waiting.values()):
        number += 1
        root = scratch / f"round{number}"
        shutil.copytree(repository, root, ignore=shutil.ignore_patterns(".git"), symlinks=True)
        try:
            yield [_place(each.pop(), root) for each in waiting.values() if each]
        finally:
            shutil.rmtree(root)


def _place(case: Case, root: Path) -> Placed:
    comment = _COMMENTS.get(Path(case.path).suffix, "#")
    planted = f"planted{zlib.crc32(case.name.encode()):08x}"
    text = f"{case.text.rstrip()}\n{comment} {planted}\n"
    (root / case.path).write_text(text, "utf-8")
    if case.text.splitlines()[case.line].strip():
        raise TargetError(f"{case.name}: the line was not cut away")
    return Placed(case, root, text, planted)
