"""Token healing: an identifier that was begun before the cursor is taken off the prompt, and the answer begins with it.

A text that is cut within an identifier ends in a token that a model seldom saw there: `self.st` and `yle` are other
tokens than `self` and `.style`. So the prompt ends before the identifier and the blanks in front of it, and a grammar
holds the answer to what was typed. All keystrokes of one identifier then share one prompt, which is cached.
"""

from __future__ import annotations

import re

import msgspec

from engine.endpoints.endpoint import Chunk

MAX_BEGUN_CHARS = 64
"""Nobody types a longer identifier; a generated one is not worth a grammar."""

_IDENTIFIER = re.compile(r"(?<!\w)[A-Za-z_]\w*\Z")


class NotBegun(Exception):
    """An answer does not begin as it has to: the server keeps to no grammar."""


class Healed(msgspec.Struct, frozen=True):
    """The same prompt for an engine that takes token ids and grammars."""

    ids: list[int]
    begun: str
    """What every answer begins with: blanks and the part of an identifier that stand before the cursor."""

    @property
    def regex(self) -> str:
        """A grammar in SGLang's terms: `begun` holds nothing but blanks and what identifiers are made of."""
        return self.begun.replace("\t", r"\t") + r"[\s\S]*"

    def rest_of(self, chunk: Chunk) -> Chunk | None:
        """What continues the text before the cursor; None where nothing does yet. Raises NotBegun."""
        text = chunk.text
        short = len(text) <= len(self.begun)
        if not (self.begun.startswith(text) if short else text.startswith(self.begun)):
            raise NotBegun
        if chunk.finished is not None and len(text) < len(self.begun):
            raise NotBegun
        if short and chunk.finished is None:
            return None
        rest, before = text[len(self.begun) :], len(text) - len(chunk.delta) - len(self.begun)
        return msgspec.structs.replace(chunk, text=rest, delta=rest[max(0, before) :])


def begun_in(window: str) -> str:
    """The blanks and the part of an identifier in which a text ends; empty where it ends otherwise."""
    found = _IDENTIFIER.search(window, max(0, len(window) - MAX_BEGUN_CHARS - 1))
    if found is None or len(found.group()) > MAX_BEGUN_CHARS or not found.group().isascii():
        return ""
    before = window[: found.start()]
    return window[len(before.rstrip(" \t")) :]
