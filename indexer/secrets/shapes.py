"""What a value looks like: words, an example, digits of a hash, or random characters. Pure functions."""

from __future__ import annotations

import re
import string
from itertools import pairwise

_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_VOWEL = re.compile(r"[aeiouy]")
_CONSONANTS_IN_A_ROW = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}")
"""English has at most four ("length" is five with its h; what is scrambled has more)."""

_WORD_LETTERS = 3
WORDY = 0.6
"""Share of the letters that stand in words: of random ones about a third do."""

CERTAINLY_WORDY = 0.85
"""Random ones reach it once in hundreds."""

_DIGITS_TO_LETTERS = 0.5
"""More digits than that, and it is no name for anything."""

_CHANGES_SHARE = 0.25
"""Changes between small, capital and digit for each character: about 0.65 in base64, 0.45 in hexadecimal digits,
below 0.2 in names like `someCamelCaseName2`."""

_DISTINCT = 6
"""Different characters; `xxxxxxxx` and `1234-1234` have fewer."""

_SEQUENCE_SHARE = 0.5
"""Neighbours of which each is the same as or next to the one before: `abcdefgh`, `0123456789`, `aaaaaa`."""

_HEX = re.compile(r"[0-9a-f]{16,}|[0-9A-F]{16,}")
_TEMPLATE = re.compile(
    r"\$\{|\$\(|^\$\w+$|\{\{|\{[A-Za-z_][\w.]*[}!:\[(]|\{\}|<[A-Za-z][\w -]*>|%\(\w+\)|%s\b|\.\.\.|…"
    r"|\[[^\]]*-[^\]]*\][*+?{]?|\\[dwsSbxu]"
)
"""Holds a place for something, is cut, or is a pattern."""

_EXAMPLE = re.compile(
    r"example|change.?me|placeholder|your|dummy|redacted|sample|replace|x{4}|\*{3}", re.IGNORECASE
)


def kinds_of_characters(value: str) -> int:
    """How many of: small letters, capitals, digits, symbols (what joins words is none)."""
    return sum(
        (
            any(map(str.islower, value)),
            any(map(str.isupper, value)),
            any(map(str.isdigit, value)),
            any(not it.isalnum() and it not in "_-./: " for it in value),
        )
    )


def reads_like_words(value: str, share: float = WORDY) -> bool:
    """Whether most of it can be pronounced: identifiers, paths, sentences, addresses."""
    pieces = [piece.lower() for piece in _PIECE.findall(value)]
    letters = sum(len(piece) for piece in pieces if not piece.isdigit())
    digits = sum(map(len, pieces)) - letters
    words = sum(len(piece) for piece in pieces if _is_word(piece))
    return letters > 0 and digits <= _DIGITS_TO_LETTERS * letters and words / letters >= share


def _is_word(piece: str) -> bool:
    return (
        len(piece) >= _WORD_LETTERS
        and _VOWEL.search(piece) is not None
        and _CONSONANTS_IN_A_ROW.search(piece) is None
    )


def is_hex(value: str) -> bool:
    return _HEX.fullmatch(value) is not None


def is_scrambled(value: str) -> bool:
    """Whether small letters, capitals and digits change places as they do by chance."""
    classes = ["a" if it.islower() else "A" if it.isupper() else "0" if it.isdigit() else "" for it in value]
    changes = sum(one != other for one, other in pairwise(filter(None, classes)))
    return changes >= _CHANGES_SHARE * len(value)


def is_placeholder(value: str) -> bool:
    """Whether it holds the place of a value, or is an alphabet or a row of the same: no secret either way."""
    if len(set(value)) < _DISTINCT or is_template(value):
        return True
    steps = sum(ord(other) - ord(one) in (0, 1) for one, other in pairwise(value))
    return steps >= _SEQUENCE_SHARE * len(value)


def is_template(value: str) -> bool:
    return _TEMPLATE.search(value) is not None


def is_example(value: str) -> bool:
    """Whether words in it say that it is none."""
    return _EXAMPLE.search(value) is not None


BASE64 = frozenset(string.ascii_letters + string.digits + "+/=_-")
