"""The words of code and of questions about it, so that both meet in full-text search."""

from __future__ import annotations

import re

_IDENTIFIER = re.compile(r"[^\W_]+(?:_+[^\W_]+)*", re.UNICODE)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")

_LONGEST_WORD = 40
"""Characters; what is longer is data (hashes, encoded blobs), not a word that somebody searches for."""


def words(text: str) -> list[str]:
    """Lower-case words in order. `getUserName` and `get_user_name` both give `getusername get user name`."""
    found: list[str] = []
    for identifier in _IDENTIFIER.findall(text):
        parts = [part.lower() for part in _PART.findall(identifier)]
        if len(parts) > 1:
            found.append("".join(parts))
        found.extend(parts)
    return [word for word in found if len(word) <= _LONGEST_WORD]


def identifiers(text: str) -> list[str]:
    """Distinct words of a question that may be exact names of definitions, in order."""
    return list(dict.fromkeys(re.findall(r"[^\W\d]\w*", text)))
