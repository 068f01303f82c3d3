"""The table of what models write and what is kept of it: files of `trim_cases`, to be extended by pasting.

    === name of the case | line
    x = ▮
    --- writes
    1✂
    y = 2
    --- keeps
    1

The document has its cursor at `▮`. The place is one for a `line` or a `block`; `given` after it says so against
what the syntax says there. Other words after the bar: `crlf`, `cut` (a limit ended the stream), `replaces=N`,
`max_lines=N`, a `language` if it is not the file's name. `✂` stands where the stream is ended, once everything
before it has come; without one the model ends by itself. What a model writes ends with a line break, or with `∎`
where it ends without. `␠` is a blank at a line's end, `⏎` a line break at a text's end. `--- nothing: why` instead
of `--- keeps` says what the reason for no text has to say (`|` between alternatives).
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from lsp.completion import place_at
from lsp.documents import Snapshot
from lsp.trimming.site import Place

CURSOR, STOP, END, BLANK, BREAK = "▮", "✂", "∎", "␠", "⏎"
FOLDER = Path(__file__).parent / "trim_cases"


class Case(msgspec.Struct, frozen=True):
    name: str
    language: str
    document: str
    writes: str
    keeps: str
    why: str
    block: bool
    given: bool
    cut: bool
    stop: int | None
    replaces: int
    max_lines: int

    @property
    def place(self) -> Place:
        before, after = self.document.split(CURSOR)
        return Place(before, after, self.block, self.language, self.max_lines)

    @property
    def decided(self) -> Place:
        """The place as the syntax at the cursor decides it."""
        before, after = self.document.split(CURSOR)
        snapshot = Snapshot("untitled:1", None, self.language, 1, before + after)
        return place_at(snapshot, len(before), self.max_lines)


def cases() -> list[Case]:
    return [
        _case(part, file.stem)
        for file in sorted(FOLDER.glob("*.txt"))
        for part in re.split(r"^=== ", file.read_text("utf-8"), flags=re.MULTILINE)[1:]
    ]


def _case(text: str, language: str) -> Case:
    header, _, rest = text.partition("\n")
    name, _, said = header.partition(" | ")
    words = said.split()
    document, _, rest = rest.partition("--- writes\n")
    writes, outcome, kept = re.split(r"^--- (keeps|nothing:.*)\n", rest, maxsplit=1, flags=re.MULTILINE)
    numbers = {key: int(value) for key, _, value in (word.partition("=") for word in words) if value}
    plain = {"line", "block", "given", "cut", "crlf"}
    other = [word for word in words if word not in plain and "=" not in word]
    assert len(other) <= 1 and {"line", "block"} & {*words}, f"{language}: {header}"
    written = _text(writes, "\n").removesuffix(END + "\n")
    whole = _text(document, "\n")
    return Case(
        name=f"{language}: {name}",
        language=other[0] if other else language,
        document=whole.replace("\n", "\r\n") if "crlf" in words else whole,
        writes=written.replace(STOP, ""),
        keeps=_text(kept, "") if outcome == "keeps" else "",
        why=outcome.removeprefix("nothing:").strip() if outcome != "keeps" else "",
        block="block" in words,
        given="given" in words,
        cut="cut" in words,
        stop=written.index(STOP) if STOP in written else None,
        replaces=numbers.get("replaces", 0),
        max_lines=numbers.get("max_lines", 40),
    )


def _text(section: str, end: str) -> str:
    return (section.rstrip("\n") + end).replace(BLANK, " ").replace(BREAK + "\n", "\n").replace(BREAK, "\n")
