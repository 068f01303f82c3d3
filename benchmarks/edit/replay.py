"""True changes of histories, written as blocks, read again and applied: to the files as they were, and to files in
which something else has changed meanwhile."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

import msgspec

from benchmarks.edit.histories import TrueEdit
from benchmarks.edit.hunks import FilePair, Uncut, by_number, by_search, hunks
from engine.editing.blocks import Block, write_all
from engine.editing.parser import BlockParser, Finished, Malformed
from lsp.edits.applying import Applied, FileChange, apply
from lsp.edits.files import SourceFile
from lsp.edits.lines import Edit, edited, joined, split
from lsp.edits.rebase import rebased

CHUNK_CHARS = 37
"""How an answer arrives: some tokens at a time, across line ends."""

MOST_UNRELATED = 3
APART_LINES = 2
"""What is changed meanwhile is so many lines away from all that the edit changes: else it is not elsewhere."""

Anchored = Literal["search", "lines", "copied lines"]
ANCHORS: tuple[Anchored, ...] = ("search", "lines", "copied lines")


class Replayed(msgspec.Struct, frozen=True):
    language: str
    name: str
    anchors: Anchored
    crlf: bool
    unrelated: int
    """Changes elsewhere in each file."""
    why: str = ""
    """Why what came of it is not what is true; empty where it is."""


def replay(
    edit: TrueEdit, anchors: Anchored, *, crlf: bool, unrelated: int, seed: int = 0
) -> Replayed | None:
    """None where the change cannot be told in blocks."""
    try:
        blocks = [block for pair in edit.pairs for block in _blocks(pair, anchors)]
    except Uncut:
        return None
    pairs = [_with_crlf(pair) if crlf else pair for pair in edit.pairs]
    why = _why_wrong(blocks, pairs, unrelated, seed)
    return Replayed(edit.language, edit.name, anchors, crlf, unrelated, why)


def _blocks(pair: FilePair, anchors: Anchored) -> list[Block]:
    return by_search(pair) if anchors == "search" else by_number(pair, copied=anchors == "copied lines")


def _with_crlf(pair: FilePair) -> FilePair:
    if pair.old is None:
        return pair
    old, new = (None if text is None else text.replace("\n", "\r\n") for text in (pair.old, pair.new))
    return FilePair(pair.path, old, new)


def _why_wrong(blocks: Sequence[Block], pairs: Sequence[FilePair], unrelated: int, seed: int) -> str:
    read = read_again(blocks)
    if read != list(blocks):
        return "what was written is not what was read"
    result = apply(
        read, {pair.path: SourceFile(pair.path, pair.old) for pair in pairs if pair.old is not None}
    )
    if not isinstance(result, Applied):
        return "; ".join(f"{each.path}: {each.reason}" for each in result.refusals)
    changes = {change.path: change for change in result.changes}
    for pair in pairs:
        why = _why_other(changes.get(pair.path), pair, unrelated, seed)
        if why:
            return f"{pair.path}: {why}"
    return ""


def _why_other(change: FileChange | None, pair: FilePair, unrelated: int, seed: int) -> str:
    if change is None:
        return "" if pair.old == pair.new else "not changed"
    if pair.old is None or pair.new is None or not unrelated:
        return "" if change.after == pair.new else "another text"
    now, wanted = meanwhile(pair, unrelated, seed)
    moved = rebased(change, SourceFile(pair.path, now))
    if isinstance(moved, str):
        return moved
    return "" if moved.after == wanted else "another text after what changed meanwhile"


def read_again(blocks: Sequence[Block]) -> list[Block]:
    text, parser = write_all(blocks), BlockParser()
    events = [
        event for at in range(0, len(text), CHUNK_CHARS) for event in parser.feed(text[at : at + CHUNK_CHARS])
    ]
    events += parser.end()
    if any(isinstance(event, Malformed) for event in events):
        return []
    return [event.block for event in events if isinstance(event, Finished)]


def meanwhile(pair: FilePair, count: int, seed: int) -> tuple[str, str]:
    """The file with other changes elsewhere, and what the edit makes of that."""
    old, new = split(pair.old or ""), split(pair.new or "")
    wanted = hunks(old, new)
    draw = random.Random(f"{seed} {pair.path}")
    mark = "#" if pair.path.endswith(".py") else "//"
    free = [
        at
        for at in range(len(old.lines) + 1)
        if all(at < hunk.start - APART_LINES or at > hunk.end + APART_LINES for hunk in wanted)
        and not (at and old.lines[at - 1].endswith("\\"))
    ]
    others: list[Edit] = []
    for number, at in enumerate(sorted(draw.sample(free, min(count, len(free))))):
        gone = number % 2 == 1 and at < len(old.lines) and not old.lines[at].strip() and at + 1 in free
        lines = () if gone else (f"{mark} changed meanwhile, {number}",) * draw.randint(1, 3)
        others.append(Edit(at, at + 1 if gone else at, lines))
    final = None if old.ends_itself == new.ends_itself else new.ends_itself
    return joined(edited(old, others)), joined(edited(old, [*wanted, *others], final))
