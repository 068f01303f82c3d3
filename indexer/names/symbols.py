"""Finds definitions by what somebody types of their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import IntEnum

from indexer.messages import Definition, Symbols
from indexer.packing.view import IndexView

_MOST_RANKED = 20_000
"""Names that have the letters of a query in order; only queries of one or two letters find more."""

_WORD_STARTS = re.compile(r"[A-Z](?=[a-z])|(?<![A-Za-z])[A-Za-z]|(?<![A-Z])[A-Z]|(?<!\d)\d")


class Rank(IntEnum):
    """How well a name answers, best first."""

    EXACT = 0
    SAME_LETTERS = 1
    """But for their case."""
    BEGINS = 2
    BEGINS_IN_LETTERS = 3
    WORD_STARTS = 4
    """The letters begin words of it: `gUN`, `gun` or `user` for `getUserName` and `get_user_name`."""
    INSIDE = 5
    IN_ORDER = 6


class QuestionError(ValueError):
    """The question cannot be answered; the message says what to ask."""


def find_symbols(view: IndexView, request: Symbols) -> list[Definition]:
    """Blocks. At most `request.limit`, best first; of equal rank shorter names, then by name, path and line.
    Raises QuestionError when nothing is asked for."""
    if request.name is None and request.path is None and request.query is None:
        raise QuestionError("ask for symbols by name, by path or by query")
    if request.path is not None:
        definitions: Iterable[Definition] = view.definitions_in(request.path)
        if request.name is not None:
            definitions = [one for one in definitions if one.name == request.name]
        if request.query is not None:
            order = {
                name: place
                for place, name in enumerate(ranked({one.name for one in definitions}, request.query))
            }
            definitions = sorted(
                (one for one in definitions if one.name in order), key=lambda one: order[one.name]
            )
        return list(definitions)[: request.limit]
    if request.name is not None:
        found = list(view.definitions_named(request.name))
        if request.query is not None and not ranked([request.name], request.query):
            return []
        return found[: request.limit]
    return list(_matching(view, request.query or "", request.limit))


def _matching(view: IndexView, query: str, limit: int) -> Iterator[Definition]:
    left = limit
    for name in ranked(view.names(), query):
        for definition in view.definitions_named(name):
            if left <= 0:
                return
            left -= 1
            yield definition


def ranked(names: Iterable[str], query: str) -> list[str]:
    """The names that have the letters of `query` in order, whatever their case; best first. An empty query finds
    nothing. Blanks in it count for nothing."""
    query = "".join(query.split())
    if not query:
        return []
    letters = query.lower()
    found = sorted(
        (_rank(name, query, letters), query not in name, len(name), name)
        for name in _with_letters(names, letters)
    )
    return list(dict.fromkeys(name for *_, name in found))


def _with_letters(names: Iterable[str], letters: str) -> Iterator[str]:
    """One search in one text: a loop over 100,000 names takes ten times as long. Each letter is looked for up to its
    first occurrence only, so that nothing is tried twice."""
    every = list(names)
    text = "\n".join(every).lower()
    if text.count("\n") != max(0, len(every) - 1):  # no name of code has a line break
        every = [name for name in every if "\n" not in name]
        text = "\n".join(every).lower()
    pattern = "".join(f"[^{re.escape(letter)}\n]*{re.escape(letter)}" for letter in letters)
    line, counted = 0, 0
    for number, match in enumerate(re.finditer(rf"^{pattern}", text, re.MULTILINE)):
        if number >= _MOST_RANKED:
            yield from (name for name in every if name.lower() == letters)
            return
        line += text.count("\n", counted, match.start())
        counted = match.start()
        yield every[line]


def _rank(name: str, query: str, letters: str) -> Rank:
    if name == query:
        return Rank.EXACT
    lower = name.lower()
    if lower == letters:
        return Rank.SAME_LETTERS
    if name.startswith(query):
        return Rank.BEGINS
    if lower.startswith(letters):
        return Rank.BEGINS_IN_LETTERS
    if _begins_words(name, letters):
        return Rank.WORD_STARTS
    return Rank.INSIDE if letters in lower else Rank.IN_ORDER


def _begins_words(name: str, letters: str) -> bool:
    """Whether the letters are runs, each from the beginning of a word of the name, in order: `getUN` for
    `getUserName`."""
    lower = name.lower()
    starts = [match.start() for match in _WORD_STARTS.finditer(name)]
    reached = {0}  # how many letters are taken, over all ways to take them
    for start in starts:
        for taken in tuple(reached):
            run = 0
            while (
                taken + run < len(letters)
                and start + run < len(lower)
                and lower[start + run] == letters[taken + run]
            ):
                run += 1
                reached.add(taken + run)
        if len(letters) in reached:
            return True
    return False
