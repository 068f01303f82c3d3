"""The files that an instruction may be about: those that are named or that search finds, and those that the index knows
to refer to the definitions that the instruction names: callers, tests, re-exports."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.editing.plan import Candidate, listing
from lsp.edits.files import SourceFile
from lsp.edits.lines import split
from lsp.edits.named import LEAST_CHARS, MAX_CHARS, words_of
from lsp.edits.reading import Reads
from lsp.edits.searching import files_about
from lsp.edits.task import Task, Use

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from indexer.parsing.tags import Tag

MAX_CANDIDATES = 32
"""With more of them a plan is a list that nobody reads, and the model chooses badly."""

MAX_NAMES = 4
"""Definitions of an instruction whose references are asked for."""

MAX_REFERENCES = 200
"""Of each."""

DETAILS = ((24, 4), (12, 2), (6, 1), (0, 0))
"""Definitions and lines of each file in a plan's prompt, from the fullest."""


class Place(msgspec.Struct, frozen=True):
    """A definition of a file. Lines from 1, both ends included."""

    name: str
    first: int
    last: int


class Possible(msgspec.Struct, frozen=True):
    """A file that may change."""

    file: SourceFile
    definitions: tuple[Place, ...] = ()
    uses: tuple[Use, ...] = ()

    def candidate(self, symbols: int, uses: int) -> Candidate:
        """As a prompt shows it, with so many definitions, those first that are used or use something, and lines."""
        lines = split(self.file.text).lines
        shown = [(each.line, lines[each.line - 1]) for each in self.uses if each.line <= len(lines)]
        touched = {place.name for use in self.uses if (place := self.around(use.line)) is not None}
        names = list(dict.fromkeys(each.name for each in self.definitions))
        names.sort(key=lambda name: name not in touched)
        return Candidate(self.file.path, tuple(names[:symbols]), tuple(shown[:uses]))

    def around(self, line: int) -> Place | None:
        """The smallest definition that holds this line."""
        holding = [each for each in self.definitions if each.first <= line <= each.last]
        return min(holding, key=lambda each: each.last - each.first, default=None)


class Candidates(msgspec.Struct, frozen=True):
    files: Sequence[Possible]
    """The most important first."""
    notes: tuple[str, ...] = ()

    @property
    def by_path(self) -> dict[str, Possible]:
        return {each.file.path: each for each in self.files}


async def candidates(task: Task, place: Reads, index: IndexClient | None) -> Candidates:
    """All files that the task may be about, read as they are now. Raises IndexServiceError."""
    root, paths = str(place.root), list(task.paths)
    if not paths and index is not None:
        paths = list(await files_about(task.instruction, root, index))
    found, notes = await _read(paths, place)
    uses = list(task.uses)
    if index is not None and task.plan != "known":
        uses += await _uses(task.instruction, found, root, index)
        counted = Counter(use.path for use in uses if use.path not in paths)
        others = [path for path, _ in counted.most_common()]
        room = max(0, MAX_CANDIDATES - len(found))
        if len(others) > room:
            told = (
                f"{len(others) - room} more files refer to what the instruction names, and are not looked at"
            )
            notes.append(told)
        more, left_out = await _read(others[:room], place)
        found += more
        notes += left_out
    return Candidates([_with_uses(each, uses) for each in found], tuple(dict.fromkeys(notes)))


async def _read(paths: Sequence[str], place: Reads) -> tuple[list[Possible], list[str]]:
    found: list[Possible] = []
    notes: list[str] = []
    for path in dict.fromkeys(paths):
        file = await place.read(path)
        if isinstance(file, str):
            notes.append(file)
        else:
            found.append(Possible(file, await asyncio.to_thread(_definitions, file)))
    return found, notes


async def _uses(instruction: str, found: Sequence[Possible], root: str, index: IndexClient) -> list[Use]:
    """Who refers to the definitions of these files that the instruction names."""
    uses: list[Use] = []
    for path, line, name in await asyncio.to_thread(lambda: list(_meant(instruction, found))):
        answer = await index.references(root, name, MAX_REFERENCES, path=path, line=line)
        uses += [
            Use(each.path, each.line + 1, each.name)
            for each in answer.references
            if (each.path, each.line) != (path, line)
        ]
    return uses


def _meant(instruction: str, found: Sequence[Possible]) -> Iterator[tuple[str, int, str]]:
    """Path, line from 0 and name of the definitions that an instruction names, MAX_NAMES of them."""
    words = words_of(instruction)
    named = 0
    for each in found:
        for tag in _tags(each.file):
            if tag.name in words and len(tag.name) >= LEAST_CHARS and named < MAX_NAMES:
                named += 1
                yield each.file.path, tag.name_line, tag.name


def _with_uses(possible: Possible, uses: Sequence[Use]) -> Possible:
    """The file with the lines that still say what the index read there."""
    lines = split(possible.file.text).lines
    mine = sorted(
        {
            use
            for use in uses
            if use.path == possible.file.path and use.line <= len(lines) and use.name in lines[use.line - 1]
        },
        key=lambda use: use.line,
    )
    return msgspec.structs.replace(possible, uses=tuple(mine))


def _definitions(file: SourceFile) -> tuple[Place, ...]:
    return tuple(Place(tag.name, tag.start_line + 1, tag.end_line) for tag in _tags(file) if tag.name)


def _tags(file: SourceFile) -> Sequence[Tag]:
    from indexer.parsing.languages import language_of
    from indexer.parsing.tags import tags

    if len(file.text) > MAX_CHARS:
        return ()
    return tags(file.text, file.language or language_of(file.path)).definitions


def listed(files: Sequence[Possible], characters: int) -> list[Candidate]:
    """The files as a plan's prompt shows them, in as many characters: with fewer definitions and lines of each where
    they are many, and then fewer of them."""
    shown: list[Candidate] = []
    for symbols, uses in DETAILS:
        shown = [each.candidate(symbols, uses) for each in files]
        if len(listing(shown)) <= characters:
            return shown
    while len(shown) > 1 and len(listing(shown)) > characters:
        shown.pop()
    return shown
