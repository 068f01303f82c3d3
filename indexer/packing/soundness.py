"""Whether text written at a cursor adds a syntax error: asked of the grammar, bounded in size and in time.

The text around a cursor is seldom whole. So it is asked first what would make it whole: nothing, a name, a
statement, the brackets that are still open. Only where one of these leaves no error is what a model wrote judged,
by the same measure; everywhere else nothing is said against it.
"""

from __future__ import annotations

import functools
import re
import time

import msgspec
import tree_sitter

from indexer.packing.lexical import CLOSERS, Around
from indexer.parsing.deadline import Deadline
from indexer.parsing.languages import has_grammar, parser_for

BEFORE_CHARACTERS = 6_000
AFTER_CHARACTERS = 3_000
"""Of the text around the cursor, cut at outermost lines: parsed in 1 to 4 ms; with another text at the cursor in a
tenth of that."""

PARSE_TIMEOUT_S = 0.02
"""Of one parse. Code of that size takes longer only when it is nested hundreds of levels deep."""

JUDGING_LIMIT_S = 0.3
"""Of a processor's time for everything about one completion; afterwards nothing is said against it."""

_FILLERS = ("", "x", "x;", ";", "x: x", "x\n")
_PYTHON_FILLERS = ("", "x", "pass", "\n    pass", ":\n    pass", "x: x")
_WORD_ENDS = {"ruby": "end", "lua": "end"}
_SHELL_ENDS = ("\n:", "\n:\nfi", "\n:\ndone", "\n;;\nesac", " x")
_UNJUDGED = frozenset({"php", "kotlin", "swift", "scala"})
"""Whose grammars need the file's beginning, or find errors in much that compiles."""


class Soundness:
    """Judges what is written at one cursor."""

    def __init__(self, before: str, after: str, language: str | None, around: Around) -> None:
        self._language = language or ""
        self._around = around
        self._before, self._after = _window(before, after)
        self._front, self._back = _encoded(self._before), _encoded(self._after)
        self._spent_s = 0.0
        self._parser = parser_for(self._language) if self._can_judge() else None
        self._known: dict[tuple[str, int], bool | None] = {}
        self._like: _Parsed | None = None
        """A text at the cursor that others there are parsed from."""
        self._judges: bool | None = None

    def _can_judge(self) -> bool:
        return (
            has_grammar(self._language)
            and self._language not in _UNJUDGED
            and not self._around.in_comment
            and (self._around.whole or not self._around.open)
        )

    @property
    def judges(self) -> bool:
        """Whether the text around the cursor can be made whole, so that an error is the new text's."""
        if self._judges is None:
            fillers = _PYTHON_FILLERS if self._language == "python" else _FILLERS
            self._judges = self._parser is not None and any(
                bool(self._parses(filler + self._still_open(filler), 0)) for filler in fillers
            )
        return self._judges

    def adds_error(self, text: str, replaced: int = 0) -> bool:
        """Whether `text` at the cursor, in place of `replaced` characters, cannot be right however it goes on:
        neither as it is nor with what it has begun brought to an end. False where that cannot be told."""
        if not self.judges:
            return False
        return not any(self._parses(text + end, replaced) is not False for end in self._ends(text))

    def is_whole(self, text: str, replaced: int = 0) -> bool:
        """Whether `text` at the cursor leaves nothing open and adds no error. False where that cannot be told."""
        return self.judges and bool(self._parses(text + self._still_open(text, own=False), replaced))

    def _ends(self, text: str) -> list[str]:
        """What may follow `text` to bring it to an end, the likeliest first."""
        closed = self._still_open(text)
        indent = _indent_of_last_line(self._before + text)
        match self._language:
            case "python":
                tries = _tries(self._before[self._before.rfind("\n") + 1 :] + text)
                return [closed, f" pass{closed}", f"{closed}{tries}", f" pass{closed}{tries}", f" x{closed}",
                        f"{closed}\n{indent}def x(): pass", f"{closed}:\n{indent}    pass",
                        f" else x{closed}", f" in x{closed}"]  # fmt: skip
            case "shellscript":
                return [closed, *(end + closed for end in _SHELL_ENDS)]
            case "ruby" | "lua":
                ends = [f"\n{_WORD_ENDS[self._language]}" * count for count in (1, 2, 3)]
                return [closed, *(end + closed for end in ends), f" x{closed}", *(f" x{end}" for end in ends)]
            case _:
                after_try = closed + " finally {}" if "}" in closed else closed
                return [closed, f" x{closed}", f";{closed}", f" x;{closed}", f" {{}}{closed}", f" x(){{}}{closed}",
                        f" void x(){{}}{closed}", after_try, f" : x{closed}", f"}}{closed}"]  # fmt: skip

    def _still_open(self, text: str, *, own: bool = True) -> str:
        """What closes the brackets that are open after `text` and nothing below closes; with `own` also those
        that `text` has opened itself."""
        found = self._around.scan(text, self._language)
        open_before = list(self._around.unclosed)
        closed_below: list[str] = []
        for closer in found.closed:
            if open_before and CLOSERS[open_before[-1]] == closer.mark:
                open_before.pop()
            else:
                closed_below.append(closer.mark)
        opened = list(open_before)
        for each in found.open if own else ():
            if CLOSERS[each.mark] in closed_below:  # `} else {`: what closed the one now closes the other
                closed_below.remove(CLOSERS[each.mark])
            else:
                opened.append(each.mark)
        begun = own and found.inside is not None and found.inside.offset >= 0 and not found.in_comment
        quote = found.inside.mark if begun and found.inside else ""
        closers = "".join(CLOSERS[mark] for mark in reversed(opened))
        return quote + ("\n" if "}" in closers or found.in_comment else "") + closers

    def _parses(self, text: str, replaced: int) -> bool | None:
        """Whether the document with `text` in it has no error; None when that takes too long."""
        key = (text, replaced)
        if key not in self._known:
            if self._parser is None or self._spent_s > JUDGING_LIMIT_S:
                return None
            began = time.thread_time()
            try:
                self._known[key] = self._is_sound(self._parser, text, replaced)
            except TimeoutError:
                self._known[key] = None
            self._spent_s += time.thread_time() - began
        return self._known[key]

    def _is_sound(self, parser: tree_sitter.Parser, text: str, replaced: int) -> bool:
        """What surrounds the cursor is read once: of any other text there only that is parsed anew. Raises
        TimeoutError."""
        middle = _encoded(text)
        rest = _encoded(self._after[:replaced])
        like = None if self._like is None else self._like.edited(self._front, middle, rest)
        tree = _sound_tree(parser, self._front + middle + self._back[len(rest) :], like)
        if tree is not None and self._like is None:
            self._like = _Parsed(tree, middle, rest)
        return tree is not None


class _Parsed(msgspec.Struct, frozen=True):
    """A document with a text at the cursor, without an error."""

    tree: tree_sitter.Tree
    text: bytes
    replaced: bytes
    """What stood behind the cursor and does not."""

    def edited(self, front: bytes, text: bytes, replaced: bytes) -> tree_sitter.Tree:
        """The tree as it stands before the document with `text` is parsed from it; `front` is before the cursor."""
        tree, start, at = self.tree.copy(), len(front), _point(0, 0, front)
        # up to where the two documents are the same again
        behind = max(self.replaced, replaced, key=len)
        old = self.text + behind[len(self.replaced) :]
        new = text + behind[len(replaced) :]
        tree.edit(
            start_byte=start,
            old_end_byte=start + len(old),
            new_end_byte=start + len(new),
            start_point=at,
            old_end_point=_point(*at, old),
            new_end_point=_point(*at, new),
        )
        return tree


def _point(row: int, column: int, text: bytes) -> tree_sitter.Point:
    """Where `text` ends that begins there."""
    breaks = text.count(b"\n")
    return tree_sitter.Point(
        row + breaks, len(text) - text.rfind(b"\n") - 1 if breaks else column + len(text)
    )


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _sound_tree(
    parser: tree_sitter.Parser, source: bytes, like: tree_sitter.Tree | None
) -> tree_sitter.Tree | None:
    """None where there is an error: the parser stops at the first one, for to go on behind it takes it ten times as
    long. Raises TimeoutError."""
    deadline, wrong = Deadline(PARSE_TIMEOUT_S), False

    def read(offset: int, _point: tree_sitter.Point) -> bytes:
        return source[offset:]

    def stop(_offset: int, has_error: bool) -> bool:
        nonlocal wrong
        wrong = has_error
        return has_error or deadline.passed()

    parse = parser.parse if like is None else functools.partial(parser.parse, old_tree=like)
    try:
        tree = parse(read, encoding="utf8", progress_callback=stop)
    except ValueError as stopped:  # what tree-sitter raises for a parse that its callback has stopped
        parser.reset()
        if wrong:
            return None
        raise TimeoutError("this takes too long to parse") from stopped
    return None if tree.root_node.has_error else tree


def _window(before: str, after: str) -> tuple[str, str]:
    """The text around the cursor from an outermost line to another, so that what is cut off leaves no error."""
    if len(before) > BEFORE_CHARACTERS:
        near = before[-BEFORE_CHARACTERS:]
        starts = re.search(r"\n\n(?=[A-Za-z@])", near)
        before = near[starts.end() :] if starts else near.partition("\n")[2]
    if len(after) > AFTER_CHARACTERS:
        near = after[:AFTER_CHARACTERS]
        ends = [found.start() for found in re.finditer(r"\n\n(?=[A-Za-z@#/])", near)]
        after = near[: ends[-1]] if ends else near[: near.rfind("\n") + 1]
    return before, after


def _indent_of_last_line(text: str) -> str:
    line = text[text.rfind("\n") + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _tries(text: str) -> str:
    """Ends for Python's `try:` blocks that have neither `except` nor `finally` yet, the innermost first."""
    open_tries: list[str] = []
    for line in text.split("\n"):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        while open_tries and len(indent) < len(open_tries[-1]):
            open_tries.pop()
        if open_tries and open_tries[-1] == indent and said.startswith(("except", "finally")):
            open_tries.pop()
        if said == "try:":
            open_tries.append(indent)
    return "".join(f"\n{indent}finally:\n{indent}    pass" for indent in reversed(open_tries))
