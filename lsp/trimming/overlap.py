"""What a line that the model wrote shares with the rest of the cursor's line, which is there already."""

from __future__ import annotations

import re

OPENERS = {")": "(", "]": "[", "}": "{"}
CLOSERS = frozenset(OPENERS)
QUOTES = "\"'`"

_PUNCTUATION = frozenset(")]}>\"'`;,:. ")
"""A rest made of these alone is what editors' auto-closing leaves behind the cursor: it may be written
anew."""

MIN_SHARED_CHARS = 3
"""A shorter shared end (`x`, `, `) is more often chance than repetition."""

_FIRST_WORD = re.compile(r"\w+")


def fit(text: str, rest: str, *, in_word: bool = False) -> tuple[str, int]:
    """`text` without what `rest` already holds, and how many characters of `rest` it replaces.

    Closing brackets count as repeated only when they close something that was opened before the cursor:
    `bar()` before `)` stays whole, `x)` loses its bracket. With `in_word` the cursor stands within a word, whose end
    `rest` begins with.
    """
    rest = rest.rstrip()
    fitted, replaced = _fit(text.rstrip(), rest, in_word)
    said = rest.strip()
    if not replaced and len(said) >= MIN_SHARED_CHARS and any(char.isalnum() for char in said):
        while fitted.rstrip().endswith(said):
            fitted = fitted.rstrip()[: -len(said)]
    return fitted, replaced


def _fit(text: str, rest: str, in_word: bool) -> tuple[str, int]:
    if not rest or not text:
        return text, 0
    if in_word:
        return _in_word(text, rest)
    closing = first_unmatched_closer(text)
    if closing is not None and rest.lstrip().startswith(text[closing]):
        return _at_closer(text, closing, rest)
    if rest[0] in QUOTES and text.count(rest[0]) % 2:
        return _at_quote(text, rest)
    shared = _shared_end(text, rest)
    if shared and not _balanced_alone(text, shared):
        shared = 0
    if shared:
        return text[: len(text) - shared].rstrip(), 0
    return _without_rest_within(text, rest)


def _in_word(text: str, rest: str) -> tuple[str, int]:
    """The word's end again is no completion; what goes on after it replaces it."""
    word = _word(rest)
    if not text.startswith(word):
        return fit(text, rest)
    more, replaced = fit(text[len(word) :], rest[len(word) :])
    return (word + more, len(word) + replaced) if more else ("", 0)


def _word(text: str) -> str:
    found = _FIRST_WORD.match(text)
    return found.group() if found else ""


def first_unmatched_closer(text: str) -> int | None:
    """Where the first bracket stands that closes something opened before `text`; brackets in strings do not
    count."""
    open_brackets: list[str] = []
    quote = ""
    for index, char in enumerate(text):
        if quote:
            if char == quote and text[index - 1] != "\\":
                quote = ""
        elif char in QUOTES and char in text[index + 1 :]:
            quote = char
        elif char in OPENERS.values():
            open_brackets.append(char)
        elif char in CLOSERS:
            if not open_brackets or open_brackets[-1] != OPENERS[char]:
                return index
            open_brackets.pop()
    return None


def unclosed(text: str) -> int:
    """How many brackets `text` opens and does not close."""
    depth = 0
    for char in text:
        if char in OPENERS.values():
            depth += 1
        elif char in CLOSERS:
            depth = max(0, depth - 1)
    return depth


def _at_closer(text: str, closing: int, rest: str) -> tuple[str, int]:
    tail, wanted = text[closing:], rest.strip()
    if tail != wanted and tail.startswith(wanted) and set(wanted) <= _PUNCTUATION:
        return text, len(rest)
    return text[:closing].rstrip(), 0


def _at_quote(text: str, rest: str) -> tuple[str, int]:
    """The cursor stands in a string whose closing quote is there already."""
    closing = text.index(rest[0])
    tail = text[closing:]
    if tail != rest and tail.startswith(rest) and set(rest) <= _PUNCTUATION:
        return text, len(rest)
    return text[:closing], 0


def _shared_end(text: str, rest: str) -> int:
    """The most characters that end `text` and begin `rest`, when they are enough to be no chance."""
    for length in range(min(len(text), len(rest)), 0, -1):
        if text.endswith(rest[:length]):
            return length if length >= MIN_SHARED_CHARS or length == len(rest) else 0
    return 0


def _balanced_alone(text: str, shared: int) -> bool:
    """Whether taking the shared end away leaves no bracket or quote of `text` open."""
    kept = text[: len(text) - shared]
    return unclosed(kept) <= unclosed(text) and all(kept.count(q) % 2 == text.count(q) % 2 for q in QUOTES)


def _without_rest_within(text: str, rest: str) -> tuple[str, int]:
    """A model that writes the rest of the line anew and goes on means it to be replaced; one that writes the
    rest's first word, and would glue its own last one to it, has only gone too far."""
    said = rest.strip()
    if len(said) >= MIN_SHARED_CHARS and any(char.isalnum() for char in said) and said in text:
        return text, len(rest)
    word = _word(rest)
    if len(word) >= MIN_SHARED_CHARS and (text[-1].isalnum() or text[-1] in "_)]}"):
        again = re.search(rf"\b{re.escape(word)}\b", text)
        if again is not None and unclosed(text[: again.start()]) <= unclosed(text):
            return text[: again.start()], 0
    return text, 0
