"""Where a completion of a block ends: where its text leaves the block, repeats what is there already, or runs in
circles."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from lsp.trimming.blocks import Body, indent_width, is_blank, opens_block
from lsp.trimming.model_noise import Cleaned
from lsp.trimming.overlap import fit
from lsp.trimming.repeats import ECHO_LINES, MAX_LINE_CHARS, circles, echoes, loop_start
from lsp.trimming.site import Decision, Site

PATIENCE_LINES = 4
"""So many whole lines running that add a syntax error are no code any more. A single one may be half of a
statement: a decorator, a `try` without its `except`."""


def block(
    site: Site, noise: Cleaned, body_for: Callable[[str], Body], adds_error: Callable[[str], bool]
) -> Decision:
    """The block at a cursor, as far as it is written. `adds_error` says whether a text there cannot be right."""
    lines = noise.text.split("\n")
    growing = None if noise.ended else lines.pop()
    body = body_for((lines or [growing or ""])[0])
    kept: list[str] = []
    wrong = 0
    for index, line in enumerate(lines):
        why = _end_before(site, body, kept, index, line)
        if why is None:
            kept.append(line)
            why = _end_after(site, body, kept, index)
        if why is None and not is_blank(line):
            wrong = wrong + 1 if adds_error("\n".join(kept)) else 0
            why = "what the model wrote is no code here" if wrong >= PATIENCE_LINES else None
        if why is not None:
            return _ended(site, body, kept, why)
    if growing is not None and kept and _growing_leaves(body, growing):
        return _ended(site, body, kept, "the model would end this block here")
    if growing is not None and (len(growing) > MAX_LINE_CHARS or circles(growing)):
        return _ended(site, body, kept, "the model repeats itself")
    decision = _finished(site, body, kept, done=noise.ended)
    belongs = growing and not is_blank(growing) and not (kept and body.left_by(growing, False))
    shown = "\n".join([*kept, growing]) if growing and belongs else decision.text
    return msgspec.structs.replace(decision, shown=shown)


def _growing_leaves(body: Body, growing: str) -> bool:
    return body.left_by(growing, False) and (body.closed_below or not body.may_close(growing))


def _is_first(site: Site, index: int) -> bool:
    """Whether this line stands on the cursor's own line, behind code: it has no indentation of its own."""
    return index == 0 and bool(site.line_before.strip())


def _end_before(site: Site, body: Body, kept: list[str], index: int, line: str) -> str | None:
    """Why the completion ends before `line`; None when it goes on."""
    if len(line) > MAX_LINE_CHARS or circles(line):
        return "the model repeats itself"
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
    whole = [site.line_before + kept[0], *kept[1:]]
    if len(kept) <= ECHO_LINES and not site.line_before.strip() and echoes(whole, site.near.above):
        kept.clear()
        return "the model repeats the text above"
    left = loop_start(whole)
    if left is not None:
        del kept[left:]
        return "the model repeats itself"
    if len(kept) >= site.max_lines:
        return "the block is longer than allowed"
    return None


def _is_below(site: Site, whole: str) -> bool:
    """Whether the line is the next one after the cursor, at the same depth."""
    below = site.near.next_line
    return whole.strip() == below.strip() != "" and indent_width(whole) == indent_width(below)


def _ended(site: Site, body: Body, kept: list[str], why: str) -> Decision:
    decision = _finished(site, body, kept, done=True)
    return decision if decision.text else msgspec.structs.replace(decision, why=why)


def _finished(site: Site, body: Body, kept: list[str], *, done: bool) -> Decision:
    kept = _without_openers(kept)
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


def _without_openers(kept: list[str]) -> list[str]:
    """Without blank lines at the end, and lines there that open a block which nothing of has been written."""
    while kept and (is_blank(kept[-1]) or (len(kept) > 1 and opens_block(kept[-1]))):
        kept = kept[:-1]
    return kept
