"""Decides where a completion ends while its tokens arrive: pure functions of the place and the text so far.

At a place for one line the first whole line is the answer. At a place for a block it is every line until the
text leaves the block, repeats what follows the cursor, or runs in circles. Models rarely say that they are
done, so nothing here waits for that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec

from lsp.blocks import Body, body_at, indent_width, is_blank
from lsp.model_noise import Cleaned, cleaned
from lsp.near import Near, near
from lsp.overlap import fit

MAX_LINE_CHARS = 500
"""No line that a person writes is longer; a model that does not break its line by then is in a loop."""

MAX_PERIOD_LINES = 4
REPEATS_OF_A_LOOP = 3
"""The same one to four lines three times running: data tables aside, nobody wants the fourth."""

MIN_LOOP_CHARS = 4
"""Lines shorter than this (`}`, `fi`) repeat in honest code."""

REPEATS_IN_A_LINE = 6
MIN_UNIT_CHARS = 3
MAX_UNIT_CHARS = 60

ECHO_LINES = 2
"""So many lines that are exactly those above the cursor are an echo, not code."""

SHORT_PREFIX_CHARS = 8
"""A line's beginning that is at least this long and comes again from the model is the line written anew."""


class Place(msgspec.Struct, frozen=True):
    """Where the completion goes. Texts reach from the file's start to the cursor and from it to the end."""

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


def site_of(place: Place) -> Site:
    return Site(
        near(place.before.replace("\r\n", "\n"), place.after.replace("\r\n", "\n")),
        place.block,
        place.on_line_below_code,
        place.language,
        place.max_lines,
    )


class Trimmer:
    """Follows one stream of text at one place."""

    def __init__(self, place: Place) -> None:
        self._site = site_of(place)
        self._body = functools.lru_cache(maxsize=1)(functools.partial(body_at, self._site.near))

    def feed(self, written: str) -> Decision:
        """`written` is the whole text so far; its last line may still grow."""
        return self._decide(written, ended=False)

    def finish(self, written: str, *, cut: bool = False) -> Decision:
        """The stream is over; with `cut` it was ended by a limit, so that the last line is not whole."""
        decision = self._decide(written, ended=not cut)
        if decision.text or decision.why:
            return msgspec.structs.replace(decision, done=True, shown="")
        why = "the model wrote no whole line within its limit" if cut else "the model had nothing to add"
        return msgspec.structs.replace(decision, done=True, why=why)

    def _decide(self, written: str, *, ended: bool) -> Decision:
        noise = cleaned(written, self._site.language, ended=ended)
        if noise.waiting:
            return Decision("", False)
        if noise.why:
            return Decision("", True, why=noise.why)
        noise = _joined(self._site, noise)
        if noise.why:
            return Decision("", True, why=noise.why)
        return _block(self._site, noise, self._body) if self._site.block else _line(self._site, noise)


def _joined(site: Site, noise: Cleaned) -> Cleaned:
    """The text as it continues the document: blanks that stand before the cursor already are taken off
    again."""
    text, before = noise.text, site.line_before
    if before.strip():
        text = _without_echoed_prefix(text, before)
        blanks = before[len(before.rstrip(" \t")) :]
        return msgspec.structs.replace(noise, text=text[_common(text, blanks) :])
    if site.on_line_below_code:
        text = _below_first_line(text, site.line_before)
    while "\n" in text and is_blank(text.partition("\n")[0]):
        text = text.partition("\n")[2]
    lead = text[: len(text) - len(text.lstrip(" \t"))]
    if lead == text and not noise.ended:
        return msgspec.structs.replace(noise, text="")
    if lead.startswith(before):
        return msgspec.structs.replace(noise, text=text[len(before) :])
    if before.startswith(lead) and text.strip():
        return Cleaned("", why="the model would end this block here")
    return msgspec.structs.replace(noise, text=text[len(lead) :])


def _below_first_line(text: str, indent: str) -> str:
    """Without what the model added to the line above the cursor, which nobody asked for there. A model that
    writes the block's first line at once, without the break, has its indentation to show for it."""
    first, newline, rest = text.partition("\n")
    if indent and first.startswith(indent) and not is_blank(first):
        return text
    return rest if newline else ""


def _without_echoed_prefix(text: str, before: str) -> str:
    said = before.strip()
    echoes = text.lstrip(" \t").startswith(said)
    return text.lstrip(" \t")[len(said) :] if echoes and len(said) >= SHORT_PREFIX_CHARS else text


def _common(text: str, blanks: str) -> int:
    """How many of `blanks` begin `text`."""
    length = 0
    while length < min(len(text), len(blanks)) and text[length] == blanks[length]:
        length += 1
    return length


# ---------------------------------------------------------------- one line


def _line(site: Site, noise: Cleaned) -> Decision:
    line, newline, _ = noise.text.partition("\n")
    if len(line) > MAX_LINE_CHARS or circles(line):
        return Decision("", True, why="the model repeats itself")
    if not newline and not noise.ended:
        return Decision("", False, shown=fit(line, site.line_after)[0])
    text, replaced = fit(line, site.line_after)
    if is_blank(text):
        return Decision("", True, why="the line is complete")
    following = site.near.next_line
    if not site.line_after.strip() and (site.line_before + text).strip() == following.strip() != "":
        return Decision("", True, why="the model repeats the line below")
    return Decision(text, True, replaced)


def circles(line: str) -> bool:
    """Whether `line` ends in one piece said over and over: `a, b, a, b, a, b, …`. Rules (`-----`) do not
    count."""
    for size in range(MIN_UNIT_CHARS, min(MAX_UNIT_CHARS, len(line) // REPEATS_IN_A_LINE) + 1):
        unit = line[-size:]
        if len(set(unit)) > 1 and any(c.isalpha() for c in unit) and line.endswith(unit * REPEATS_IN_A_LINE):
            return True
    return False


# ---------------------------------------------------------------- a block


def _block(site: Site, noise: Cleaned, body_for: Callable[[str], Body]) -> Decision:
    lines = noise.text.split("\n")
    growing = None if noise.ended else lines.pop()
    body = body_for((lines or [growing or ""])[0])
    kept: list[str] = []
    for index, line in enumerate(lines):
        why = _end_before(site, body, kept, index, line)
        if why is None:
            kept.append(line)
            why = _end_after(site, body, kept, index)
        if why is not None:
            return _decision(site, body, kept, why)
    if len(kept) >= site.max_lines:
        return _decision(site, body, kept, "the block is longer than allowed")
    if growing is not None and kept and body.left_by(growing, False) and not body.may_close(growing):
        return _decision(site, body, kept, "the model would end this block here")
    if growing is not None and (len(growing) > MAX_LINE_CHARS or circles(growing)):
        return _decision(site, body, kept, "the model repeats itself")
    decision = _finished(site, body, kept, done=noise.ended)
    belongs = growing and not is_blank(growing) and not (kept and body.left_by(growing, False))
    shown = "\n".join([*kept, growing]) if growing and belongs else decision.text
    return msgspec.structs.replace(decision, shown=shown)


def _is_first(site: Site, index: int) -> bool:
    """Whether this line stands on the cursor's own line, behind code: it has no indentation of its own."""
    return index == 0 and bool(site.line_before.strip())


def _end_before(site: Site, body: Body, kept: list[str], index: int, line: str) -> str | None:
    """Why the completion ends before `line`; None when it goes on."""
    if _is_first(site, index) or is_blank(line):
        return None
    whole = site.line_before + line if index == 0 else line
    if _is_below(site, whole):
        return "the model repeats the line below"
    if index and body.left_by(whole, False) and not (body.closes(whole) and not body.closed_below):
        return "the model would end this block here"
    if index == 0 and body.left_by(whole, False):
        return "the model would end this block here"
    if body.another_begins(kept, whole):
        return "the next definition begins"
    return None


def _end_after(site: Site, body: Body, kept: list[str], index: int) -> str | None:
    """Why the completion ends with the line just kept, or at an earlier one; shortens `kept` in that case."""
    line = kept[-1]
    if index and body.left_by(line, False) and body.closes(line):
        return "the block is closed"
    if _echoes(site, kept):
        kept.clear()
        return "the model repeats the text above"
    for period in range(1, MAX_PERIOD_LINES + 1):
        if _loops([site.line_before + kept[0], *kept[1:]], period):
            del kept[len(kept) - (REPEATS_OF_A_LOOP - 1) * period :]
            return "the model repeats itself"
    if len(kept) >= site.max_lines:
        return "the block is longer than allowed"
    return None


def _loops(lines: list[str], period: int) -> bool:
    if len(lines) < period * REPEATS_OF_A_LOOP:
        return False
    unit = lines[-period:]
    if sum(len(line.strip()) for line in unit) < MIN_LOOP_CHARS:
        return False
    return lines[-period * REPEATS_OF_A_LOOP :] == unit * REPEATS_OF_A_LOOP


def _echoes(site: Site, kept: list[str]) -> bool:
    if len(kept) != ECHO_LINES or site.line_before.strip() or not all(line.strip() for line in kept):
        return False
    above = site.near.above[:ECHO_LINES]
    return [*reversed(above)] == [site.line_before + kept[0], *kept[1:]]


def _is_below(site: Site, whole: str) -> bool:
    """Whether the line is the next one after the cursor, at the same depth."""
    below = site.near.next_line
    return whole.strip() == below.strip() != "" and indent_width(whole) == indent_width(below)


def _decision(site: Site, body: Body, kept: list[str], why: str) -> Decision:
    decision = _finished(site, body, kept, done=True)
    return decision if decision.text else msgspec.structs.replace(decision, why=why)


def _finished(site: Site, body: Body, kept: list[str], *, done: bool) -> Decision:
    while kept and is_blank(kept[-1]):
        kept = kept[:-1]
    rest = site.line_after.strip()
    if len(kept) == 1 and rest:
        text, replaced = fit(kept[0], site.line_after)
        return Decision(text, done, replaced)
    text = "\n".join(kept).rstrip()
    if not text.strip():
        return Decision("", done)
    if rest:
        text += "\n" + body.outer_indent
    return Decision(text, done)
