"""The words of code and of questions about it, so that both meet in full-text search."""

from __future__ import annotations

import re

_IDENTIFIER = re.compile(r"[^\W_]+(?:_+[^\W_]+)*", re.UNICODE)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")

_LONGEST_WORD = 40
"""Characters; what is longer is data (hashes, encoded blobs), not a word that somebody searches for."""


def words(text: str) -> list[str]:
    """Lower-case words in order. `getUserName` and `get_user_name` both give `getusername get user name`."""
    return joined_words(text).split()


def parts(text: str) -> list[str]:
    """The single words only: both names give `get user name`."""
    return [part.lower() for identifier in _IDENTIFIER.findall(text) for part in _PART.findall(identifier)]


def joined_words(text: str) -> str:
    """The same with blanks between them: what full text search reads."""
    if len(_known) > _REMEMBERED:
        _known.clear()
    identifiers = text.encode("utf-8", "replace").translate(_BLANKED).split()
    return " ".join(filter(None, map(_known.__getitem__, identifiers)))


_BLANKED = bytes(
    code if code >= 0x80 or chr(code).isalnum() or code == ord("_") else 0x20 for code in range(0x100)
)
"""Takes out what separates identifiers, as far as one byte tells. Ten times as fast as an expression."""


class _Words(dict[bytes, str]):
    """Run of letters, digits and `_` → its words joined by blanks. A text of code has few different ones, each many
    times."""

    def __missing__(self, run: bytes) -> str:
        found: list[str] = []
        for identifier in _IDENTIFIER.findall(run.decode("utf-8")):
            parts = [part.lower() for part in _PART.findall(identifier)]
            found += ["".join(parts), *parts] if len(parts) > 1 else parts
        self[run] = said = " ".join(word for word in found if len(word) <= _LONGEST_WORD)
        return said


_REMEMBERED = 50_000
"""Runs, at about 200 bytes each. What is remembered is forgotten all at once, between two texts."""

_known = _Words()


def identifiers(text: str) -> list[str]:
    """Distinct words of a question that may be exact names of definitions, in order."""
    return list(dict.fromkeys(re.findall(r"[^\W\d]\w*", text)))
