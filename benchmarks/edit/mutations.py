"""Anchors as they should not be: each kind of fault, made in replacements that are known to be right."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from benchmarks.edit.histories import TrueEdit
from benchmarks.edit.hunks import FilePair, Uncut, by_number, by_search, hunks
from engine.editing.blocks import Lines, Replace, Search
from lsp.edits.lines import bare, split
from lsp.edits.rebase import LEAST_CONTEXT_LINES

Kind = Literal["white space", "one token", "two places", "stale", "wrong numbers"]
KINDS: tuple[Kind, ...] = ("white space", "one token", "two places", "stale", "wrong numbers")

_WORD = re.compile(r"[A-Za-z_]\w{2,}|\d+")
_LONGEST_SHIFT = 3


class Mutant(msgspec.Struct, frozen=True):
    kind: Kind
    language: str
    name: str
    path: str
    sent: str
    block: Replace
    """What the model answers to `sent`."""
    wanted: str
    """What comes of the block as it was before."""
    place: tuple[int, int]
    """The lines of `sent` that it is about, from 0, without the last."""
    now: str | None = None
    """The file as it is when the answer arrives; None where that is as it was sent."""


def mutants(edits: Sequence[TrueEdit], kind: Kind, draw: random.Random) -> Iterator[Mutant]:
    """One for each replacement of a text in files of more than a few lines, where it can be made."""
    for edit in edits:
        for pair in edit.pairs:
            if pair.old is None or pair.new is None or "\r" in pair.old:
                continue
            try:
                blocks = by_number(pair, copied=True) if kind == "wrong numbers" else by_search(pair)
            except Uncut:
                continue
            for block in blocks:
                if (
                    isinstance(block, Replace)
                    and (made := _mutant(edit, pair, block, kind, draw)) is not None
                ):
                    yield made


def _mutant(edit: TrueEdit, pair: FilePair, block: Replace, kind: Kind, draw: random.Random) -> Mutant | None:
    sent = pair.old or ""
    old, new = split(block.anchor.text).lines, split(block.replacement).lines
    if not any(bare(line) for line in old) or not block.anchor.text.endswith("\n"):
        return None
    start = block.anchor.first - 1 if isinstance(block.anchor, Lines) else _start(split(sent).lines, old)
    lines = split(sent).lines
    after = "".join(f"{line}\n" for line in (*lines[:start], *new, *lines[start + len(old) :]))
    wanted = after if sent.endswith("\n") else after[:-1]
    made = Mutant(kind, edit.language, edit.name, pair.path, sent, block, wanted, (start, start + len(old)))
    match kind:
        case "white space":
            return _white_space(made, old, new, draw)
        case "one token":
            return _one_token(made, old, new, draw)
        case "two places":
            return _two_places(made, old, draw)
        case "stale":
            return _stale(made, old, new, draw)
        case "wrong numbers":
            return _wrong_numbers(made, block.anchor, draw)


def _start(lines: Sequence[str], wanted: Sequence[str]) -> int:
    wanted = tuple(wanted)
    return next(at for at in range(len(lines)) if tuple(lines[at : at + len(wanted)]) == wanted)


def _searching(made: Mutant, old: Sequence[str], new: Sequence[str]) -> Mutant | None:
    block = Replace(
        made.path, Search("".join(f"{line}\n" for line in old)), "".join(f"{line}\n" for line in new)
    )
    return msgspec.structs.replace(made, block=block) if block.anchor != made.block.anchor else None


def _white_space(made: Mutant, old: Sequence[str], new: Sequence[str], draw: random.Random) -> Mutant | None:
    def everywhere(change: re.Pattern[str], to: str) -> Mutant | None:
        return _searching(
            made, [change.sub(to, line) for line in old], [change.sub(to, line) for line in new]
        )

    match draw.randrange(6):
        case 0:  # all of it further out
            return everywhere(re.compile("^(?: {2,4}|\t)"), "")
        case 1:
            return everywhere(re.compile("^(?=.)"), "    ")
        case 2:
            return everywhere(re.compile(" {4}"), "\t")
        case 3:
            at = draw.randrange(len(old))
            return _searching(made, [*old[:at], old[at].lstrip(), *old[at + 1 :]], new)
        case 4:
            at = draw.randrange(len(old))
            return _searching(
                made, [*old[:at], re.sub(r"(?<=\S) (?=\S)", "  ", old[at]), *old[at + 1 :]], new
            )
        case _:
            at = draw.randrange(len(old))
            return _searching(made, [*old[:at], f"{old[at]}  ", *old[at + 1 :]], new)


def _one_token(made: Mutant, old: Sequence[str], new: Sequence[str], draw: random.Random) -> Mutant | None:
    """Another word of the same file instead of one: in the lines that are to stand there too, where they stay."""
    at = draw.choice([number for number, line in enumerate(old) if line.strip()])
    words = list(_WORD.finditer(old[at]))
    others = sorted({word for word in _WORD.findall(made.sent)})
    if not words or len(others) < 2:
        return None
    word = draw.choice(words)
    other = draw.choice([each for each in others if each != word.group()])
    changed = old[at][: word.start()] + other + old[at][word.end() :]
    kept = [changed if line == old[at] and draw.random() < 0.5 else line for line in new]
    return _searching(made, [*old[:at], changed, *old[at + 1 :]], kept)


def _two_places(made: Mutant, old: Sequence[str], draw: random.Random) -> Mutant | None:
    """The lines stand in the file a second time, as they are or with other white space."""
    lines = list(split(made.sent).lines)
    start, end = made.place
    free = [at for at in range(len(lines) + 1) if at <= start or at >= end]
    at = draw.choice(free)
    copy = [f"  {line}" for line in old] if draw.random() < 0.3 else list(old)
    lines[at:at] = copy
    by = len(copy) if at <= start else 0
    new = split(made.block.replacement).lines
    after = [*lines[: start + by], *new, *lines[end + by :]]
    return msgspec.structs.replace(
        made,
        sent="".join(f"{line}\n" for line in lines),
        wanted="".join(f"{line}\n" for line in after),
        place=(start + by, end + by),
    )


def _stale(made: Mutant, old: Sequence[str], new: Sequence[str], draw: random.Random) -> Mutant | None:
    """Meanwhile the lines that change were changed, or have gone with those around, or stand elsewhere, changed."""
    lines = list(split(made.sent).lines)
    start, end = made.place
    changed = hunks(split("\n".join(old)), split("\n".join(new)))
    touched = [start + at for hunk in changed for at in range(hunk.start, max(hunk.end, hunk.start + 1))]
    at = draw.choice([line for line in touched if line < end] or [end - 1])
    first, last = max(0, start - LEAST_CONTEXT_LINES), end + LEAST_CONTEXT_LINES
    kind = draw.randrange(3)
    lines[at] += "changed" if kind != 1 else ""
    region = lines[first:last]
    if kind:
        del lines[first:last]
    if kind == 2:
        there = draw.randrange(len(lines) + 1)
        lines[there:there] = region
    return msgspec.structs.replace(made, now="".join(f"{line}\n" for line in lines))


def _wrong_numbers(made: Mutant, anchor: Lines | Search, draw: random.Random) -> Mutant | None:
    if not isinstance(anchor, Lines) or anchor.last < anchor.first:
        return None
    shift = draw.choice([each for each in range(-_LONGEST_SHIFT, _LONGEST_SHIFT + 1) if each])
    shifted = Lines(anchor.first + shift, anchor.last + shift, anchor.text)
    lines = split(made.sent).lines
    if shifted.first < 1 or lines[shifted.first - 1 : shifted.last] == lines[anchor.first - 1 : anchor.last]:
        return None
    return msgspec.structs.replace(made, block=msgspec.structs.replace(made.block, anchor=shifted))


def is_another_place(made: Mutant) -> bool:
    """Whether what was made of the anchor is just what stands elsewhere: then it is that place's, and no fault."""
    lines, wanted = split(made.sent).lines, split(made.block.anchor.text).lines
    return made.kind in ("white space", "one token") and any(
        lines[at : at + len(wanted)] == wanted for at in range(len(lines)) if at != made.place[0]
    )


def bare_text(text: str) -> list[str]:
    """Without white space, line by line: what two results have in common that are indented otherwise."""
    return [bare(line) for line in split(text).lines if line.strip()]
