"""Where a completion goes, what is known about that place, and what is decided there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from lsp.trimming.near import Near, near

if TYPE_CHECKING:
    from indexer.packing.syntax import Around

_WORD_END = re.compile(r"\w+$")
_WORD_START = re.compile(r"\w+")


class Place(msgspec.Struct, frozen=True):
    """Where the completion goes. Texts reach from the file's start to the cursor and from it to the end.

    With `max_lines` of 1 the answer has one line whatever the place."""

    before: str
    after: str
    block: bool
    language: str | None = None
    max_lines: int = 40

    @property
    def line_before(self) -> str:
        return self.before[self.before.rfind("\n") + 1 :]

    @property
    def line_after(self) -> str:
        return self.after.partition("\n")[0]

    @property
    def on_line_below_code(self) -> bool:
        """Whether a block is to begin on a blank line right below code. There the model reads up to that
        code's end and writes the line break itself: cut after the break, Qwen2.5-Coder left the block at once
        in 2 of 8 trials, cut before it in 1."""
        above = self.before[: len(self.before) - len(self.line_before)].removesuffix("\n")
        return self.block and not self.line_before.strip() and bool(above.rpartition("\n")[2].strip())

    @property
    def read_before(self) -> str:
        """What the model reads of `before`."""
        if not self.on_line_below_code:
            return self.before
        return self.before[: len(self.before) - len(self.line_before)].removesuffix("\n").removesuffix("\r")

    @property
    def heals(self) -> bool:
        """Whether an identifier that ends at the cursor was only begun: not where the document has it as a whole
        (what is finished would be made longer), not in the middle of one, and not where the model reads up to the
        line above."""
        found = None if self.on_line_below_code else _WORD_END.search(self.line_before)
        if found is None or _WORD_START.match(self.after):
            return False
        whole = re.compile(rf"(?<!\w){re.escape(found.group())}(?!\w)")
        return not whole.search(self.before[: -len(found.group())]) and not whole.search(self.after)


class Decision(msgspec.Struct, frozen=True):
    """`text` is what may be inserted by now, `done` that nothing further is wanted. `replaced` characters
    right of the cursor are written anew by `text`. `why` says why there is no text, once `done`."""

    text: str
    done: bool
    replaced: int = 0
    why: str = ""
    shown: str = ""
    """`text` and the line under way, for a reader who watches; what is still growing may be taken back."""


class Site(msgspec.Struct, frozen=True):
    """A place as the trimmer looks at it at every token: read from the document once."""

    near: Near
    around: Around
    block: bool
    on_line_below_code: bool
    language: str | None
    max_lines: int

    @property
    def line_before(self) -> str:
        return self.near.line_before

    @property
    def line_after(self) -> str:
        return self.near.line_after

    @property
    def word_before(self) -> str:
        """The part of a word that ends at the cursor."""
        found = _WORD_END.search(self.line_before)
        return found.group() if found else ""

    @property
    def word_after(self) -> str:
        """The rest of a word that the cursor stands in."""
        found = _WORD_START.match(self.line_after) if self.word_before else None
        return found.group() if found else ""

    @property
    def knows_brackets(self) -> bool:
        """Whether an unmatched bracket says anything here."""
        from indexer.packing.syntax import UNKNOWN_BRACKETS

        return self.language not in UNKNOWN_BRACKETS and not self.around.in_comment


def site_of(place: Place) -> Site:
    from indexer.packing.syntax import around  # parsers: only where something is completed

    before, after = place.before.replace("\r\n", "\n"), place.after.replace("\r\n", "\n")
    return Site(
        near(before, after),
        around(before, after, place.language),
        place.block,
        place.on_line_below_code,
        place.language,
        place.max_lines,
    )
