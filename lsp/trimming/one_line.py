"""Where a completion of one line ends: at the end of its statement.

That is the end of the line, unless the line leaves a bracket open: then it is the line that closes it.
"""

from __future__ import annotations

import re

from lsp.trimming.blocks import indent_width, is_blank
from lsp.trimming.model_noise import Cleaned
from lsp.trimming.overlap import QUOTES, fit
from lsp.trimming.repeats import MAX_LINE_CHARS, circles
from lsp.trimming.site import Decision, Site

MAX_STATEMENT_LINES = 10
"""A statement that is longer is cut after its first line."""

_SEMICOLON_LANGUAGES = frozenset(
    {
        "c",
        "cpp",
        "csharp",
        "java",
        "javascript",
        "typescript",
        "tsx",
        "rust",
        "php",
        "dart",
        "objective-c",
        "zig",
    }
)
_LITERAL_BRACES = frozenset({"python", "ruby", "lua"})
"""Where a `{` at a line's end begins a value, not a block."""

_CONTINUED = re.compile(r"[(\[{,]\s*$")
_ONLY_CLOSERS = re.compile(r"[)\]};,\s]*$|(?:end|fi|done|esac)\s*$")


def line(site: Site, noise: Cleaned) -> Decision:
    """The one line, or statement, at a cursor that is not at a place for a block."""
    first, newline, _ = noise.text.partition("\n")
    ended = bool(newline) or noise.ended
    stop = _stop(site, first)
    if len(first[:stop]) > MAX_LINE_CHARS or circles(first[:stop]):
        return Decision("", True, why="the model repeats itself")
    if stop is not None:
        if is_blank(first[:stop]):
            return Decision("", True, why="the model closes a bracket that is not open")
        return whole(site, first[:stop])
    if not ended:
        return Decision("", False, shown=_fit(site, first)[0])
    if newline and (statement := _statement(site, noise)) is not None:
        return statement
    if (open_quote := _open_quote(site, first)) is not None:
        return Decision("", True, why="the model left a string open") if open_quote else whole(site, first)
    return whole(site, first)


def _fit(site: Site, text: str) -> tuple[str, int]:
    return fit(text, site.line_after, in_word=bool(site.word_after))


def whole(site: Site, text: str) -> Decision:
    """What is shown of a line that is whole, beside what stands around it."""
    text, replaced = _fit(site, text)
    if is_blank(text):
        return Decision("", True, why="the line is complete")
    if _repeats_below(site, text, site.line_after[replaced:]):
        return Decision("", True, why="the model repeats the line below")
    return Decision(text, True, replaced)


def _repeats_below(site: Site, text: str, rest: str) -> bool:
    below, whole = site.near.next_line, site.line_before + text + rest
    if is_blank(below):
        return False
    if _ONLY_CLOSERS.match(below.strip()):
        return whole.strip() == below.strip() and indent_width(whole) == indent_width(below)
    return below.strip() in (whole.strip(), text.strip() if is_blank(rest) else whole.strip())


# ---------------------------------------------------------------- the end within a line


def _stop(site: Site, text: str) -> int | None:
    """Where the statement ends within this line, as soon as that is sure."""
    ends = [end for end in (_semicolon(site, text), _excess(site, text)) if end is not None]
    return min(ends, default=None)


def _semicolon(site: Site, text: str) -> int | None:
    """The end of the first statement, where one of a line's several would be the next."""
    around = site.around
    if site.language not in _SEMICOLON_LANGUAGES or around.inside or "{" in around.line_opens:
        return None
    for found in re.finditer(";", text):
        scanned = around.scan(text[: found.end()], site.language)
        left = len(around.line_opens) - len(scanned.closed)
        if not scanned.open and not scanned.inside and left <= 0:
            return found.end()
    return None


def _excess(site: Site, text: str) -> int | None:
    """The first closing bracket that nothing is open for, or whose bracket is closed after the cursor already."""
    if not site.knows_brackets:
        return None
    around, rest = site.around, site.line_after.strip()
    scanned = around.scan(text, site.language)
    free = list(around.unclosed)
    open_before = list(around.open)
    for closer in scanned.closed:
        if rest.startswith(closer.mark):
            return None  # which of the two stays is the line's matter
        if closer.mark == "}" and is_blank(site.line_before + text[: closer.offset]):
            return None  # it may go on: `} else {`
        if not open_before:
            return closer.offset if around.whole else None
        if _OPENER[closer.mark] != open_before.pop():
            return closer.offset
        if _OPENER[closer.mark] not in free:
            return closer.offset
        free.remove(_OPENER[closer.mark])
    return None


_OPENER = {")": "(", "]": "[", "}": "{"}


def _open_quote(site: Site, text: str) -> bool | None:
    """Whether the line leaves a string open that the model has begun; None where that cannot be told."""
    around = site.around
    if around.inside or site.line_after.strip()[:1] in tuple(QUOTES) or not site.knows_brackets:
        return None
    inside = around.scan(text, site.language).inside
    return inside is not None and inside.mark in ('"', "'") and inside.offset >= 0


# ---------------------------------------------------------------- a statement of several lines


def _statement(site: Site, noise: Cleaned) -> Decision | None:
    """The statement, while its first line leaves a bracket open; None where one line is all there is."""
    if site.line_after.strip() or site.max_lines <= 1 or site.around.inside or not site.knows_brackets:
        return None
    lines = noise.text.split("\n")
    growing = None if noise.ended else lines.pop()
    kept: list[str] = []
    for each in lines:
        if kept and _leaves(site, each):
            return None
        kept.append(each)
        if len(each) > MAX_LINE_CHARS or circles(each) or len(kept) > MAX_STATEMENT_LINES:
            return None
        text = "\n".join(kept)
        if _excess(site, text) is not None:
            return None
        if not _goes_on(site, kept, text):
            return None if len(kept) == 1 else Decision(text.rstrip(), True)
    if growing is None or (kept and growing and _leaves(site, growing)):
        return None
    if len(growing) > MAX_LINE_CHARS or circles(growing):
        return None
    first = kept[0] if not is_blank(kept[0]) else ""
    return Decision(first, False, shown="\n".join([*kept, growing]))


def _leaves(site: Site, line: str) -> bool:
    """Whether a line stands further out than the statement, or is the one below it."""
    if is_blank(line):
        return False
    below = site.near.next_line
    return indent_width(line) < indent_width(site.line_before) or line.rstrip() == below.rstrip()


def _goes_on(site: Site, kept: list[str], text: str) -> bool:
    scanned = site.around.scan(text, site.language)
    literal = site.language in _LITERAL_BRACES
    if scanned.inside is not None:
        return scanned.inside.mark in ('"""', "'''", "`")
    if scanned.open:
        closed_below = site.around.surplus[: len(scanned.open)]
        if [_OPENER[closer] for closer in closed_below] == [each.mark for each in reversed(scanned.open)]:
            return False
        return all(each.mark != "{" or literal for each in scanned.open)
    left = site.around.line_opens[: len(site.around.line_opens) - len(scanned.closed)]
    unclosed = site.around.unclosed[-len(left) :] if left else ()
    if not unclosed or any(mark == "{" and not literal for mark in left):
        return False
    last = kept[-1] if not is_blank(kept[-1]) else ""
    said = last or (site.line_before if len(kept) == 1 else "")
    return bool(_CONTINUED.search(said))
