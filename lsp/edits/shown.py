"""Which lines of the files that may be changed a model is shown: all where there is room, else those around what the
edit is about; and among which of them its anchors may lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from engine.editing.grammar import Shown
from engine.editing.prompt import EditFile
from engine.prompts import Tokenizer
from lsp.edits.files import SourceFile
from lsp.edits.lines import split
from lsp.edits.task import Focus, Task

LEAST_LINES = 20
"""Of each file, however little room there is."""

AROUND = 3
"""Lines on each side of a focus that is shown by itself."""

LINE_OVERHEAD_TOKENS = 3
"""Of a line that is shown with its number."""


class Target(msgspec.Struct, frozen=True):
    """A file that may be changed."""

    file: SourceFile
    lines: Sequence[str]
    first: int
    last: int
    """The lines that the model is shown, from 1; `first - 1` of an empty file."""
    anchors: tuple[int, int]
    """Those of them in which anchors lie."""

    @property
    def sent(self) -> SourceFile:
        """The file with what was shown of it."""
        return msgspec.structs.replace(self.file, shown=((self.first, self.last),))

    @property
    def in_prompt(self) -> EditFile:
        whole = self.last - self.first + 1 == len(self.lines)
        text = "".join(f"{line}\n" for line in self.lines[self.first - 1 : self.last])
        return EditFile(self.file.path, text, self.first, 0 if whole else len(self.lines))

    @property
    def in_grammar(self) -> Shown:
        return Shown(self.file.path, *self.anchors, self.lines)


def targets(
    task: Task, files: Mapping[str, SourceFile], tokenizer: Tokenizer, room: int, *, narrow: bool = False
) -> list[Target]:
    """For each path of the task that is among the files; together about `room` tokens. `narrow`: of a confined task
    anchors lie within the lines of its diagnostics. Takes as long as counting tokens does."""
    found: list[Target] = []
    paths = [path for path in dict.fromkeys(task.paths) if path in files]
    for at, path in enumerate(paths):
        focus = task.focus_in(path)
        share = 0 if task.alone and focus is not None else room // (len(paths) - at)
        target, taken = _shown(files[path], focus, tokenizer, share)
        kept = _diagnosed(task, path) if narrow and task.diagnostics else focus
        if task.confined and kept is not None:
            last = min(kept.last, target.last)
            target = msgspec.structs.replace(target, anchors=(min(max(kept.first, target.first), last), last))
        found.append(target)
        room = max(0, room - taken)
    return found


def _diagnosed(task: Task, path: str) -> Focus | None:
    lines = [each.line for each in task.diagnostics if each.path == path]
    return Focus(path, min(lines), max(lines)) if lines else None


def _shown(file: SourceFile, focus: Focus | None, tokenizer: Tokenizer, room: int) -> tuple[Target, int]:
    lines = split(file.text).lines
    total = len(lines)
    whole = tokenizer.count(file.text) + total * LINE_OVERHEAD_TOKENS
    if whole <= room or total <= LEAST_LINES:
        return Target(file, lines, 1, total, (1, total)), whole
    first, last = (focus.first, focus.last) if focus is not None else (1, 1)
    meant = last - first + 1 + 2 * AROUND if room == 0 else 0
    count = max(LEAST_LINES, meant, total * room // whole)
    spare = count - (last - first + 1)
    if spare > 0:
        first -= spare // 3  # most of what is to spare goes behind: below a line stands what it begins
    first = max(1, min(first, total - count + 1))
    last = min(total, first + count - 1)
    return Target(file, lines, first, last, (first, last)), whole * count // total
