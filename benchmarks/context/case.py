"""One place in a real repository where a line has been cut away, and what it needed of other files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Literal

import msgspec

Kind = Literal["import", "noimport", "member", "random"]
"""`import`: the line uses what an import brings from another file. `noimport`: the same without that import in the
text. `member`: it uses a member of a class of another file, through an object. `random`: any line of code."""

Language = Literal["python", "typescript", "go"]

LANGUAGES: dict[str, Language] = {".py": "python", ".ts": "typescript", ".tsx": "typescript", ".go": "go"}
"""By the ending of a file's name."""

SHORTEST, LONGEST = 12, 120
"""Characters of a line without its indentation."""

MOST_PER_SYMBOL = 3
"""Cases that need the same definition: a repository's favourite would decide the figure otherwise."""


class Needed(msgspec.Struct, frozen=True):
    """The definition that the line uses. A pack shows it if it has the line with the name."""

    path: str
    name: str
    line: int
    """0-based, the one with the name."""
    end_line: int
    """The line after the last one."""
    also: tuple[int, ...] = ()
    """Further lines with the name, where a definition has several heads (overloads): one of them is enough."""

    @property
    def heads(self) -> tuple[int, ...]:
        return (self.line, *self.also)


class Case(msgspec.Struct, frozen=True):
    """Paths are POSIX, relative to the repository; lines and columns count from 0, columns in characters."""

    repository: str
    kind: Kind
    path: str
    line: int
    column: int
    text: str
    """The document as its editor has it: of the target line only the indentation."""
    truth: str
    """The line without its indentation."""
    needed: Needed | None = None

    @property
    def name(self) -> str:
        return f"{self.repository}/{self.path}:{self.line + 1} ({self.kind})"

    @property
    def language(self) -> Language:
        return LANGUAGES[PurePosixPath(self.path).suffix]

    @property
    def before(self) -> str:
        """The document up to the cursor."""
        return self.text[: self._cursor]

    @property
    def after(self) -> str:
        return self.text[self._cursor :]

    @property
    def _cursor(self) -> int:
        return sum(map(len, self.text.splitlines(keepends=True)[: self.line])) + self.column


def is_fit(line: str) -> bool:
    """Whether a line of code is neither trivial nor long."""
    body = line.strip()
    return SHORTEST <= len(body) <= LONGEST and not body.startswith(
        ("#", "//", "/*", "*", "import ", "from ")
    )


def cut(repository: str, kind: Kind, path: str, lines: list[str], line: int, needed: Needed | None) -> Case:
    """`lines` with their ends."""
    whole = lines[line].rstrip("\r\n")
    end = lines[line][len(whole) :]
    column = len(whole) - len(whole.lstrip())
    text = "".join([*lines[:line], whole[:column] + end, *lines[line + 1 :]])
    return Case(repository, kind, path, line, column, text, whole[column:], needed)


def sample(cases: Iterable[Case], count: int, seed: int) -> list[Case]:
    """`count` of them at most, the same for the same seed, in an order that says nothing; of each definition a few."""
    taken: list[Case] = []
    of_symbol: Counter[tuple[str, str, int]] = Counter()
    for case in sorted(cases, key=lambda case: _digest(case, seed)):
        if len(taken) == count:
            break
        if case.needed is not None:
            symbol = (case.needed.path, case.needed.name, case.needed.line)
            of_symbol[symbol] += 1
            if of_symbol[symbol] > MOST_PER_SYMBOL:
                continue
        taken.append(case)
    return taken


def _digest(case: Case, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{case.repository}:{case.path}:{case.line}".encode()).digest()
