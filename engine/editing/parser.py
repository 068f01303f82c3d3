"""Reads the text form of blocks while it arrives: whatever stands between blocks is passed over, and what cannot be
used is told with its reason."""

from __future__ import annotations

import re
from typing import Literal, Protocol

from engine.editing.blocks import (
    HEADER,
    MARKER_CHARS,
    Anchor,
    Begun,
    Block,
    Create,
    Delete,
    Event,
    Finished,
    Growing,
    Kind,
    Lines,
    Malformed,
    Parsed,
    Rename,
    Replace,
    Search,
)
from engine.editing.markers import FENCE_LINE, HEADER_LINE, KINDS, OPENER_LINE, marker, paths_of, text_of

MAX_BLOCKS = 1_000
"""Of one answer. A model that writes more runs in circles: each costs it 30 tokens at least."""

MAX_BLOCK_CHARS = 1_000_000
"""Of one block: files that are larger are not edited."""

MAX_ANSWER_CHARS = 8_000_000
"""Of everything that one answer holds."""

NO_BLOCK = "the answer holds no block"

_Part = Literal["outside", "opening", "old", "new", "text", "full"]


class Parser(Protocol):
    """What a parser of either form can do."""

    @property
    def full(self) -> bool:
        """Whether nothing more is read: the answer holds too much, and its stream may be closed."""
        ...

    def feed(self, chunk: str) -> list[Event]: ...

    def end(self, cut: str = "") -> list[Event]:
        """What the last line tells. `cut` says why the answer was ended before its own end; empty where it was not."""
        ...


class BlockParser:
    """Of one answer."""

    def __init__(self) -> None:
        self._rest: list[str] = []
        """Of a line whose end has not arrived."""
        self._rest_chars = 0
        self._part: _Part = "outside"
        self._number = 0
        self._kind: Kind = "replace"
        self._path = ""
        self._anchor: Anchor = Search("")
        self._length = MARKER_CHARS
        self._old: list[str] = []
        self._new: list[str] = []
        self._old_cut = False
        self._divided_again = False
        self._lines = 0
        self._told_lines = 0
        self._chars = 0
        self._all_chars = 0

    @property
    def full(self) -> bool:
        return self._part == "full"

    def feed(self, chunk: str) -> list[Event]:
        events: list[Event] = []
        first, *others = chunk.split("\n")
        self._rest.append(first)
        self._rest_chars += len(first)
        for part in others:
            line = "".join(self._rest)
            self._rest, self._rest_chars = [part], len(part)
            self._read(line, events)
        if self._inside:
            self._check(self._rest_chars, events)
        if not self._inside and self._rest_chars > MAX_BLOCK_CHARS:
            self._rest, self._rest_chars = ["-"], 1  # a line without an end: no header can be the rest of it
        if self._inside and self._lines != self._told_lines:
            self._told_lines = self._lines
            events.append(Growing(self._number, self._lines))
        return events

    def end(self, cut: str = "") -> list[Event]:
        events: list[Event] = []
        last = "".join(self._rest)
        self._rest = []
        header = HEADER_LINE.match(last) if self._part == "outside" else None
        if cut and header is not None and header["kind"] in KINDS:
            self._path = ""  # who knows how it would have gone on
            self._fail(f"the answer ends in the middle of a block's header: {cut}", events)
        elif last and not cut:
            self._read(last, events)
        if self._inside:
            self._fail(
                f"the answer ends in the middle of this block: {cut or 'its last marker is missing'}", events
            )
        return events

    @property
    def _inside(self) -> bool:
        return self._part not in ("outside", "full")

    def _check(self, more: int, events: list[Event]) -> None:
        """Whether the block may have so many more characters."""
        if self._all_chars + more > MAX_ANSWER_CHARS:
            self._fail(f"the answer holds more than {MAX_ANSWER_CHARS:,} characters", events)
            self._part = "full"
        elif self._chars + more > MAX_BLOCK_CHARS:
            self._fail(f"the block holds more than {MAX_BLOCK_CHARS:,} characters", events)

    def _read(self, line: str, events: list[Event]) -> None:
        if self._inside:
            self._check(len(line) + 1, events)
            self._chars += len(line) + 1
            self._all_chars += len(line) + 1
        match self._part:
            case "full":
                return
            case "outside":
                self._outside(line, events)
            case "opening":
                self._opening(line, events)
            case "old" | "new" | "text":
                self._lines += 1
                self._body(line, events)

    # ------------------------------------------------------------ between blocks

    def _outside(self, line: str, events: list[Event]) -> None:
        if (header := HEADER_LINE.match(line)) is not None:
            self._begin(header["kind"], header["rest"], events)
        elif (opener := OPENER_LINE.match(line)) is not None:
            self._again(line, opener, events)

    def _begin(self, kind: str, rest: str, events: list[Event]) -> None:
        if self._too_many(events):
            return
        self._path = ""
        if kind not in KINDS:
            self._fail(f"{HEADER} {kind} is no kind of block: {', '.join(KINDS)} are", events)
            return
        self._kind = KINDS[kind]
        found = paths_of(rest, 2 if kind == "rename" else 1)
        if isinstance(found, str):
            self._fail(found, events)
            return
        self._path = found[0]
        events.append(Begun(self._number, self._kind, self._path))
        self._clear()
        match self._kind:
            case "delete":
                self._finish(Delete(self._path), events)
            case "rename":
                self._finish(Rename(*found), events)
            case _:
                self._part = "opening"

    def _again(self, line: str, opener: re.Match[str], events: list[Event]) -> None:
        """A further replacement below one header: of the file that it names."""
        if self._too_many(events):
            return
        if not self._path or self._kind != "replace" or opener["word"] == "TEXT":
            self._fail(f"{line.strip()!r} stands below no header that names a file", events)
            return
        self._clear()
        events.append(Begun(self._number, self._kind, self._path))
        self._part = "opening"
        self._opening(line, events)

    def _too_many(self, events: list[Event]) -> bool:
        if self._number < MAX_BLOCKS:
            return False
        events.append(Malformed(self._number, "", f"the answer holds more than {MAX_BLOCKS:,} blocks"))
        self._part = "full"
        return True

    # ------------------------------------------------------------ within a block

    def _opening(self, line: str, events: list[Event]) -> None:
        if not line.strip() or FENCE_LINE.match(line):
            return
        opener = OPENER_LINE.match(line)
        wanted = "TEXT" if self._kind == "create" else "SEARCH, LINES or AFTER"
        if opener is None or (opener["word"] == "TEXT") != (self._kind == "create"):
            self._fail(
                f"{'<' * MARKER_CHARS} {wanted} is to stand below the header, not {line.strip()[:80]!r}",
                events,
            )
            self._outside(line, events)
            return
        self._length = len(opener["marks"])
        self._part = "text" if self._kind == "create" else "old"
        self._anchor = Search("")
        if opener["after"] is not None:
            self._anchor = Lines(int(opener["after"]) + 1, int(opener["after"]))
        elif opener["first"] is not None:
            first, last = int(opener["first"]), int(opener["last"] or opener["first"])
            self._anchor = Lines(first, last)
            if not 1 <= first <= last:
                self._fail(f"{opener['word']} names no lines: they count from 1, the first one first", events)

    def _body(self, line: str, events: list[Event]) -> None:
        found = marker(line, self._length)
        if found is not None:
            self._at_marker(line[0], line, found["cut"] is not None, events)
            return
        (self._old if self._part == "old" else self._new).append(line)

    def _at_marker(self, mark: str, line: str, cut: bool, events: list[Event]) -> None:
        if mark == "<":
            self._fail("the block's last marker is missing: another one begins in it", events)
            self._outside(line, events)
        elif mark == "=" and self._part == "old":
            self._part, self._old_cut = "new", cut
        elif mark == "=":
            if self._part == "new":
                self._divided_again = True
            self._new.append(line)
        elif self._part == "old":
            self._fail(f"there is no {'=' * self._length} between what stands there and what is to", events)
        elif self._divided_again:
            self._fail(
                f"{'=' * self._length} stands there twice: markers have to be longer than any such line of the texts",
                events,
            )
        elif self._part == "text":
            self._finish(Create(self._path, text_of(self._new, cut=cut)), events)
        else:
            old = text_of(self._old, cut=self._old_cut)
            anchor = self._anchor
            anchor = Search(old) if isinstance(anchor, Search) else Lines(anchor.first, anchor.last, old)
            self._finish(Replace(self._path, anchor, text_of(self._new, cut=cut)), events)

    def _clear(self) -> None:
        self._old, self._new = [], []
        self._old_cut = self._divided_again = False
        self._lines = self._told_lines = self._chars = 0

    def _finish(self, block: Block, events: list[Event]) -> None:
        events.append(Finished(self._number, block))
        self._number += 1
        self._part = "outside"
        self._clear()

    def _fail(self, reason: str, events: list[Event]) -> None:
        events.append(Malformed(self._number, self._path, reason))
        self._number += 1
        self._part = "outside"
        self._clear()


def parse(text: str, parser: Parser | None = None) -> Parsed:
    """A whole answer, by a parser that has read nothing yet; an answer without a block is a problem too."""
    parser = parser or BlockParser()
    events = [*parser.feed(text), *parser.end()]
    blocks = tuple(event.block for event in events if isinstance(event, Finished))
    problems = tuple(event for event in events if isinstance(event, Malformed))
    if not blocks and not problems:
        problems = (Malformed(0, "", NO_BLOCK),)
    return Parsed(blocks, problems)
