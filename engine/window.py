"""Cuts the text around a cursor: a window before it whose start moves in steps, and a short suffix after it.

A window that began a fixed number of tokens before the cursor would begin elsewhere after every keystroke,
and nothing of it could be served from the prefix cache. So it begins at a line whose number is a multiple of
a step, and stays there until it is over its limit: typing recomputes what was typed, and about once in half a
window the window.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

TOKENS_PER_LINE = 10
"""Of ordinary source text under the tokenizers that we know (8 to 12); it only sizes steps, never limits."""

MAX_STEP_LINES = 1024
"""Half a window of 20,000 tokens; a larger one that moves this much keeps nearly all of itself."""

CHARACTER_STEP = 256
"""Where a single line is over the limit (generated or minified code), cuts inside it move by this many
characters."""

MAX_CHARACTERS_PER_TOKEN = 16
"""Text with more than this is not tokenized to find out that it is too long; real text has 2 to 5, runs of
blanks more. A line of a megabyte would else take a second at every keystroke."""

Count = Callable[[str], int]


class Window(msgspec.Struct, frozen=True):
    """`text` begins at a non-blank line unless it is blank as a whole; `taken_off` stood between it and the
    cursor."""

    text: str
    start_line: int
    taken_off: str


def cut_window(before: str, count: Count, max_tokens: int) -> Window:
    """The end of `before` that fits in `max_tokens`, without the blanks right before the cursor."""
    count = _bounded(count, max_tokens)
    kept = before.rstrip(" \t")
    taken_off = before[len(kept) :]
    lines = _split_at_newlines(kept)
    step = step_lines(max_tokens)
    while True:
        start, fits = _anchor(lines, count, max_tokens, step)
        if fits or step == 1:
            break
        step = max(1, step // 4)
    text = "".join(lines[start:])
    if not fits:
        text = _tail_of_line(text, count, max_tokens)
    return Window(text, start, taken_off)


def cut_suffix(after: str, count: Count, max_tokens: int) -> str:
    """Whole lines of the beginning of `after` that fit in `max_tokens`, without blank lines at the end.
    The rest of the cursor's own line is cut inside when even that does not fit."""
    if max_tokens <= 0:
        return ""
    near = after[: max_tokens * MAX_CHARACTERS_PER_TOKEN]
    lines = _split_at_newlines(near)
    if len(near) < len(after) and len(lines) > 1:
        lines.pop()
    taken = len(lines)
    while taken > 1 and count("".join(lines[:taken])) > max_tokens:
        taken = min(taken - 1, max(1, taken * 3 // 4))
    text = "".join(lines[:taken])
    while count(text) > max_tokens:
        text = text[: len(text) * 3 // 4]
    return text.rstrip("\n") + "\n" if text.endswith("\n") else text


def _bounded(count: Count, max_tokens: int) -> Count:
    """Counts exactly where that can matter, else says that it is too many."""
    limit = max_tokens * MAX_CHARACTERS_PER_TOKEN
    return lambda text: count(text) if len(text) <= limit else limit + 1


def step_lines(max_tokens: int) -> int:
    """How many lines a window's start moves at a time: the power of two nearest below half a window."""
    half = max_tokens // (2 * TOKENS_PER_LINE)
    step = 1
    while step * 2 <= min(half, MAX_STEP_LINES):
        step *= 2
    return step


def _anchor(lines: list[str], count: Count, max_tokens: int, step: int) -> tuple[int, bool]:
    """The first non-blank line at or after the lowest multiple of `step` from which all fits, and whether it
    does.

    Walks back from the cursor block by block, so that only about one window is ever tokenized, and then looks
    whether the whole holds what the sum of its blocks promised.
    """
    last = max(0, len(lines) - 1)
    starts = [_non_blank(lines, last // step * step)]
    total = count("".join(lines[starts[0] :]))
    if total > max_tokens:
        return starts[0], False
    for block in range(last // step * step - step, -1, -step):
        start = _non_blank(lines, block)
        total += count("".join(lines[start : starts[-1]]))
        if total > max_tokens:
            break
        starts.append(start)
    while len(starts) > 1 and count("".join(lines[starts[-1] :])) > max_tokens:
        starts.pop()
    return starts[-1], True


def _non_blank(lines: list[str], start: int) -> int:
    """Cutting before a blank line would split a token: the line break before it and it are one."""
    while start < len(lines) - 1 and not lines[start].strip():
        start += 1
    return start


def _tail_of_line(text: str, count: Count, max_tokens: int) -> str:
    """The end of one line, its start moving in steps of characters."""
    surplus = max(0, len(text) - max_tokens * MAX_CHARACTERS_PER_TOKEN)
    start = -(-surplus // CHARACTER_STEP) * CHARACTER_STEP
    while start < len(text) and count(text[start:]) > max_tokens:
        left = len(text) - start
        start += max(CHARACTER_STEP, left // 4 // CHARACTER_STEP * CHARACTER_STEP)
    return text[start:]


def _split_at_newlines(text: str) -> list[str]:
    """Like `splitlines(keepends=True)`, at `\\n` alone: `str.splitlines` also splits at form feeds and
    others."""
    parts = text.split("\n")
    lines = [part + "\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines
