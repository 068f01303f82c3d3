"""Whether what comes of an edit has syntax errors that were not there before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from lsp.edits.files import SourceFile
from lsp.edits.lines import Edit

PREPROCESSED = frozenset({"c", "cpp"})
"""Macros and conditions make what compiles look wrong to a grammar, elsewhere after each change: of a file that looks
wrong as it is nothing can be said (of true changes of such files in pybind11 a third would be refused)."""


class Verdict(msgspec.Struct, frozen=True):
    error: str | None = None
    """What is wrong with the new text."""
    note: str = ""
    """Why nothing can be said of it."""


def checked(path: str, before: SourceFile | None, after: str | None, edits: Sequence[Edit]) -> Verdict:
    """`edits` lead from the one to the other. Errors that were there already may stay, and go."""
    from indexer.parsing.errors import error_lines, tells_errors
    from indexer.parsing.languages import language_of

    language = language_of(path) or (before.language if before is not None else None)
    if after is None or (before is not None and after == before.text):
        return Verdict()
    if language is None or not tells_errors(language):
        return Verdict(
            note=f"{path}: syntax not checked, for {language or 'its language'} there is no sure grammar"
        )
    old = error_lines(_plain(before.text), language) if before is not None else ()
    new = error_lines(_plain(after), language)
    if old is None or new is None:
        return Verdict(note=f"{path}: syntax not checked, parsing it takes too long")
    if old and language in PREPROCESSED:
        return Verdict(
            note=f"{path}: syntax not checked, its macros keep the grammar from reading it as it is"
        )
    added = _added(old, new, edits)
    if not added:
        return Verdict()
    return Verdict(f"the change adds a syntax error ({language}, line {added[0] + 1} of what comes of it)")


def _added(old: Sequence[int], new: Sequence[int], edits: Sequence[Edit]) -> list[int]:
    """Lines of errors that are new: neither where one was, nor in place of one in the lines that were replaced."""
    moved = [_moved(line, edits) for line in old]
    staying = Counter(line for line in moved if line is not None)
    added: list[int] = []
    for line in new:
        if staying[line]:
            staying[line] -= 1
        else:
            added.append(line)
    if len(added) > moved.count(None) and len(new) >= len(old):
        return added
    return [line for line in added if None in moved and _is_in_sound_edit(line, old, edits)]


def _is_in_sound_edit(line: int, old: Sequence[int], edits: Sequence[Edit]) -> bool:
    """Whether a line of the new text was written where no error was: one that went elsewhere does not pay for it."""
    by = 0
    for edit in edits:
        if edit.start + by <= line < edit.start + by + len(edit.lines):
            return not any(edit.start <= each < edit.end for each in old)
        by += len(edit.lines) - (edit.end - edit.start)
    return False


def _moved(line: int, edits: Sequence[Edit]) -> int | None:
    """Where a line of the old text is in the new one; None where it was replaced."""
    by = 0
    for edit in edits:
        if edit.start <= line < edit.end:
            return None
        if edit.end <= line:
            by += len(edit.lines) - (edit.end - edit.start)
    return line + by


def _plain(text: str) -> str:
    """With the line ends that grammars count by."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
