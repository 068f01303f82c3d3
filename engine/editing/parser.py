"""Reads the text form of blocks while it arrives: whatever stands between blocks is passed over, and what cannot be
used is told with its reason."""

from __future__ import annotations

import json
import re
from typing import Literal, Protocol

from engine.editing.blocks import (
    HEADER,
    MARKER_CHARS,
    NO_NEWLINE,
    RENAMED,
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

MAX_BLOCKS = 1_000
"""Of one answer. A model that writes more runs in circles: each costs it 30 tokens at least."""

MAX_BLOCK_CHARS = 1_000_000
"""Of one block: files that are larger are not edited."""

MAX_ANSWER_CHARS = 8_000_000
"""Of everything that one answer holds."""

NO_BLOCK = "the answer holds no block"

_HEADER = re.compile(rf"^\s*{HEADER} +(?P<kind>[a-z]+) +(?P<rest>\S.*?)\s*$")
_OPENER = re.compile(
    rf"^(?P<marks><{{{MARKER_CHARS},}}) (?P<word>SEARCH|TEXT|LINES (?P<first>\d{{1,9}})(?: ?- ?(?P<last>\d{{1,9}}))?"
    r"|AFTER (?P<after>\d{1,9}))\s*$"
)
_END = rf"(?P<cut>{re.escape(NO_NEWLINE)})?\s*$"
_FENCE = re.compile(r"^\s*(```|~~~)")
_KINDS: dict[str, Kind] = {"replace": "replace", "create": "create", "delete": "delete", "rename": "rename"}

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
        self._count(len(chunk), events)
        for part in others:
            self._read("".join(self._rest), events)
            self._rest = [part]
        if self._part in ("outside", "full") and sum(map(len, self._rest)) > MAX_BLOCK_CHARS:
            self._rest = [" "]  # prose without an end: no header can be the rest of it
        if self._inside and self._lines != self._told_lines:
            self._told_lines = self._lines
            events.append(Growing(self._number, self._lines))
        return events

    def end(self, cut: str = "") -> list[Event]:
        events: list[Event] = []
        last = "".join(self._rest)
        self._rest = []
        header = _HEADER.match(last) if self._part == "outside" else None
        if cut and header is not None and header["kind"] in _KINDS:
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

    def _count(self, chars: int, events: list[Event]) -> None:
        if not self._inside:
            return
        self._chars += chars
        self._all_chars += chars
        if self._all_chars > MAX_ANSWER_CHARS:
            self._fail(f"the answer holds more than {MAX_ANSWER_CHARS:,} characters", events)
            self._part = "full"
        elif self._chars > MAX_BLOCK_CHARS:
            self._fail(f"the block holds more than {MAX_BLOCK_CHARS:,} characters", events)

    def _read(self, line: str, events: list[Event]) -> None:
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
        if (header := _HEADER.match(line)) is not None:
            self._begin(header["kind"], header["rest"], events)
        elif (opener := _OPENER.match(line)) is not None:
            self._again(line, opener, events)

    def _begin(self, kind: str, rest: str, events: list[Event]) -> None:
        if self._too_many(events):
            return
        self._path = ""
        if kind not in _KINDS:
            self._fail(f"{HEADER} {kind} is no kind of block: {', '.join(_KINDS)} are", events)
            return
        self._kind = _KINDS[kind]
        found = _paths(rest, 2 if kind == "rename" else 1)
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
        if not line.strip() or _FENCE.match(line):
            return
        opener = _OPENER.match(line)
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
        mark = line[:1]
        if mark and mark in "<=>" and line.startswith(mark * self._length):
            marker = self._marker(line)
            if marker is not None:
                self._at_marker(mark, line, marker["cut"] is not None, events)
                return
        (self._old if self._part == "old" else self._new).append(line)

    def _marker(self, line: str) -> re.Match[str] | None:
        """Of this block: of just its length."""
        said = {
            "<": " (?:SEARCH|TEXT|LINES [0-9 -]+|AFTER [0-9]+)",
            "=": "",
            ">": "(?: (?:REPLACE|TEXT|END))?",
        }
        return re.match(f"^{line[0]}{{{self._length}}}{said[line[0]]}{_END}", line)

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
            self._finish(Create(self._path, _text(self._new, cut)), events)
        else:
            old = _text(self._old, self._old_cut)
            anchor = self._anchor
            anchor = Search(old) if isinstance(anchor, Search) else Lines(anchor.first, anchor.last, old)
            self._finish(Replace(self._path, anchor, _text(self._new, cut)), events)

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


def _text(lines: list[str], cut: bool) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return text[:-1] if cut else text


def _paths(rest: str, count: int) -> list[str] | str:
    """The paths that a header names, or what is wrong with them."""
    found: list[str] = []
    while rest and len(found) < count:
        wants_another = len(found) + 1 < count
        if rest.startswith('"'):
            try:
                path, length = json.JSONDecoder().raw_decode(rest)
            except ValueError:
                return f"the path {rest[:80]} is no JSON string"
            rest = rest[length:].removeprefix(RENAMED) if wants_another else rest[length:].strip()
        else:
            path, _, rest = rest.partition(RENAMED) if wants_another else (rest, "", "")
            path = path.strip().strip("`").removesuffix(":").strip("`")
        found.append(str(path))
    if rest or len(found) < count or not all(found):
        return f"the header is to name {'a path, an arrow (->) and a path' if count > 1 else 'one path'}"
    return found
