"""From blocks to the files that come of them: all of them, or none and why.

A pure function of the files as they were sent. Nothing is read, and nothing written."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec

from engine.editing.blocks import Block, Create, Delete, Rename, Replace
from lsp.edits.anchors import as_written, place
from lsp.edits.files import SourceFile
from lsp.edits.lines import Edit, Text, edited, joined, split
from lsp.edits.paths import folded
from lsp.edits.placed import How, Misfit, Nearest, Placed
from lsp.edits.soundness import checked

MOST_SEARCHED_CHARS = 10_000_000
"""Of files looked through for all anchors of one answer that do not stand in them as written: some ten seconds."""

NOTHING_CHANGES = "nothing in the files would change"

_NO_TEXT = re.compile("[\0\ud800-\udfff]")

PathRule = Callable[[Block], str | None]
"""Why a block may not name what it names; None where it may (`paths.Guard.why_not`)."""


class Refusal(msgspec.Struct, frozen=True):
    """One reason why nothing is changed."""

    path: str
    reason: str
    blocks: tuple[int, ...] = ()
    """Whose fault it is, numbered from 0 in the order of the answer."""
    nearest: tuple[Nearest, ...] = ()
    """Of an anchor that did not fit: what a further turn of the model is shown."""


class Placement(msgspec.Struct, frozen=True):
    """Where a replacement was put: lines from 1, both ends included, of the text that was sent."""

    block: int
    path: str
    first: int
    last: int
    how: How


class FileChange(msgspec.Struct, frozen=True):
    """What becomes of one file. Created: no `before`; deleted: no `after`; renamed: another `new_path`."""

    path: str
    new_path: str
    before: SourceFile | None
    after: str | None
    edits: tuple[Edit, ...] = ()
    """From `before` to `after`, in lines, in order."""
    guessed: tuple[int, ...] = ()
    """Lines, from 1, of places that were found because nothing is nearer to what the model wrote: it may have meant
    others, which are gone or look alike."""


class Applied(msgspec.Struct, frozen=True):
    changes: tuple[FileChange, ...]
    """By path; files that stay as they are left out."""
    placements: tuple[Placement, ...]
    notes: tuple[str, ...] = ()
    """What could not be checked."""


class Refused(msgspec.Struct, frozen=True):
    refusals: tuple[Refusal, ...]


def apply(
    blocks: Sequence[Block], files: Mapping[str, SourceFile], why_not: PathRule = lambda block: None
) -> Applied | Refused:
    """`files` are those that were sent, by path. Takes as long as parsing them does: not for an event loop."""
    blocks = [_tidied(block) for block in blocks]
    work = _Work(files)
    for number, block in enumerate(blocks):
        reason = why_not(block) or _why_no_text(block)
        if reason is not None:
            work.refuse(block.path, reason, number)
        else:
            work.take(number, block)
    changes = work.changes()
    if not work.refusals and not changes:
        work.refuse("", NOTHING_CHANGES, *range(len(blocks)))
    notes: list[str] = []
    for change in changes if not work.refusals else ():
        verdict = checked(change.new_path, change.before, change.after, change.edits)
        if verdict.error is not None:
            work.refuse(change.path, verdict.error, *work.blocks_of(change.path))
        elif verdict.note:
            notes.append(verdict.note)
        if change.guessed:
            lines = ", ".join(map(str, change.guessed))
            notes.append(
                f"{change.path}: what is replaced at line {lines} is near to what the model wrote, not the same"
            )
    if work.refusals:
        return Refused(tuple(work.refusals))
    return Applied(changes, tuple(work.placements), tuple(dict.fromkeys(notes)))


class _Work:
    """One answer's blocks by file, and what is wrong with them."""

    def __init__(self, files: Mapping[str, SourceFile]) -> None:
        self._files = files
        self._texts: dict[str, Text] = {}
        self.refusals: list[Refusal] = []
        self.placements: list[Placement] = []
        self._placed: dict[str, list[tuple[int, Placed]]] = defaultdict(list)
        self._made: dict[str, tuple[int, Create]] = {}
        self._gone: dict[str, int] = {}
        self._renamed: dict[str, tuple[int, str]] = {}
        self._replaced: list[tuple[int, Replace]] = []
        self._searched = 0

    def refuse(self, path: str, reason: str, *blocks: int, nearest: tuple[Nearest, ...] = ()) -> None:
        self.refusals.append(Refusal(path, reason, tuple(blocks), nearest))

    def take(self, number: int, block: Block) -> None:
        match block:
            case Replace():
                self._replaced.append((number, block))
            case Create():
                self._create(number, block)
            case Delete():
                self._move(number, block.path, None)
            case Rename():
                self._move(number, block.path, block.new_path)

    def _create(self, number: int, block: Create) -> None:
        if block.path in self._made:
            self.refuse(block.path, "is created twice", self._made[block.path][0], number)
        elif block.path in self._files:
            self.refuse(block.path, "is to be created, and is there already", number)
        else:
            self._made[block.path] = (number, block)

    def _move(self, number: int, path: str, new_path: str | None) -> None:
        other = self._renamed[path][0] if path in self._renamed else self._gone.get(path)
        if path not in self._files:
            self.refuse(path, "is not among the files that were sent", number)
        elif other is not None:
            self.refuse(path, "is deleted or renamed twice", other, number)
        elif new_path is None:
            self._gone[path] = number
        else:
            self._renamed[path] = (number, new_path)

    def changes(self) -> tuple[FileChange, ...]:
        self._check_targets()
        for number, block in self._replaced:
            self._place(number, block)
        found: list[FileChange] = []
        for path in sorted({*self._placed, *self._made, *self._gone, *self._renamed}):
            found += self._change(path)
        return tuple(found)

    def blocks_of(self, path: str) -> list[int]:
        numbers = [number for number, _ in self._placed.get(path, ())]
        numbers += [self._made[path][0]] if path in self._made else []
        return numbers + ([self._renamed[path][0]] if path in self._renamed else [])

    def _check_targets(self) -> None:
        """No two blocks may leave something at one path, or at two that some system takes for one."""
        taken: dict[str, int] = {}
        made = [(path, number) for path, (number, _) in self._made.items()]
        for path, (number, new_path) in self._renamed.items():
            if new_path in self._files:
                self.refuse(new_path, f"is there already, and {path} cannot take its place", number)
            made.append((new_path, number))
        for path, number in made:
            other = taken.setdefault(folded(path), number)
            if other != number:
                self.refuse(path, "is what two files are to be", other, number)
        for path, number in made:
            above = folded(path)
            while "/" in above:
                above = above.rpartition("/")[0]
                if above in taken:
                    self.refuse(path, "is to be a file and a folder", taken[above], number)

    def _place(self, number: int, block: Replace) -> None:
        old_paths = {new_path: path for path, (_, new_path) in self._renamed.items()}
        path = old_paths.get(block.path, block.path)
        file = self._files.get(path)
        if path in self._made or path in self._gone:
            other = self._made[path][0] if path in self._made else self._gone[path]
            self.refuse(path, "is created or deleted, and changed besides", other, number)
            return
        if file is None:
            self.refuse(path, "is not among the files that were sent", number)
            return
        text = self._text(path)
        if not as_written(text, block):
            self._searched += len(file.text)
            if self._searched > MOST_SEARCHED_CHARS:
                reason = (
                    "is not looked through again: too many blocks name lines that do not stand in their files"
                )
                self.refuse(path, reason, number)
                return
        placed = place(text, block, file.shown)
        if isinstance(placed, Misfit):
            self.refuse(path, placed.reason, number, nearest=placed.nearest)
            return
        for other, there in self._placed[path]:
            if clash := _clash(there, placed):
                self.refuse(path, f"{clash} by two blocks, at line {placed.start + 1}", other, number)
                return
        self._placed[path].append((number, placed))
        self.placements.append(Placement(number, path, placed.start + 1, placed.end, placed.how))

    def _text(self, path: str) -> Text:
        if path not in self._texts:
            self._texts[path] = split(self._files[path].text)
        return self._texts[path]

    def _change(self, path: str) -> list[FileChange]:
        if path in self._made:
            return [FileChange(path, path, None, self._made[path][1].text)]
        file = self._files[path]
        if path in self._gone:
            return [FileChange(path, path, file, None)]
        new_path = self._renamed[path][1] if path in self._renamed else path
        placed = [each for _, each in self._placed.get(path, ())]
        edits = sorted(
            (edit for each in placed for edit in each.edits), key=lambda edit: (edit.start, edit.end)
        )
        final = next((each.final_newline for each in placed if each.final_newline is not None), None)
        after = joined(edited(self._text(path), edits, final))
        if after == file.text and new_path == path:
            return []
        guessed = sorted(each.start + 1 for each in placed if each.how == "similar")
        return [FileChange(path, new_path, file, after, tuple(edits), tuple(guessed))]


def _clash(one: Placed, other: Placed) -> str:
    """What two replacements do to the same lines; empty where they keep apart."""
    if (one.start, one.end, one.edits) == (other.start, other.end, other.edits):
        return "the same is changed"
    for mine in one.edits:
        for yours in other.edits:
            both_insert = mine.start == mine.end == yours.start == yours.end
            if both_insert or (mine.start < yours.end and yours.start < mine.end):
                return "the same lines are changed"
    return ""


def _why_no_text(block: Block) -> str | None:
    """JSON can carry what no file of text can hold."""
    text = (
        block.replacement if isinstance(block, Replace) else block.text if isinstance(block, Create) else ""
    )
    if _NO_TEXT.search(text) is None:
        return None
    return "is to hold a NUL or half of a character, which no text holds"


def _tidied(block: Block) -> Block:
    """With paths as files have them."""
    paths = {
        name: getattr(block, name).removeprefix("./") for name in ("path", "new_path") if hasattr(block, name)
    }
    return msgspec.structs.replace(block, **paths)
