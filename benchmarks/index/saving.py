"""A save as editors do it, and how long until the index answers with what it brought."""

from __future__ import annotations

import asyncio
import os
import string
import time
from pathlib import Path

import msgspec

from benchmarks.index.service import Service
from benchmarks.targets import TargetError

POLL_S = 0.001
"""Between two looks; what a look itself takes is told with the figure."""
SEEN_TIMEOUT_S = 60.0
LETTERS = string.ascii_lowercase
WORD_LENGTH = 6


class Seen(msgspec.Struct, frozen=True):
    """After one save."""

    seconds: float
    look_s: float
    """What the last look took: nothing is known more exactly than this."""


def word(number: int) -> str:
    """A word of its own for each number, of letters only, so that nothing cuts it in two."""
    letters: list[str] = []
    for _ in range(WORD_LENGTH):
        number, at = divmod(number, len(LETTERS))
        letters.append(LETTERS[at])
    return "z" + "".join(letters) + "q"


def text_with(original: str, number: int) -> str:
    """`original` with one more function in its middle, whose name and docstring are new."""
    lines = original.splitlines(keepends=True)
    middle = len(lines) // 2
    at = next(
        (i for i in range(middle, len(lines)) if lines[i].startswith(("def ", "class ", "@"))), len(lines)
    )
    added = f'\n\ndef saved_{word(number)}():\n    """Says {word(number)}doc."""\n    return {number}\n\n\n'
    return "".join([*lines[:at], added, *lines[at:]])


def save(path: Path, text: str) -> float:
    """Writes a file beside it and renames that over it. The moment at which the rename returned."""
    beside = path.with_name(f".{path.name}.{os.getpid()}~")
    beside.write_text(text, "utf-8")
    beside.replace(path)
    return time.perf_counter()


async def seen(
    service: Service, root: Path, relative: str, number: int, since: float, *, full_text: bool = True
) -> Seen:
    """Until the symbol query has the new function and, with `full_text`, search the new word. Raises TargetError."""
    name, told = f"saved_{word(number)}", f"{word(number)}doc"
    symbol_seen = False
    while time.perf_counter() - since < SEEN_TIMEOUT_S:
        began = time.perf_counter()
        if not symbol_seen:
            found = await service.client.symbols(str(root), name=name)
            symbol_seen = any(each.path == relative for each in found.definitions)
        if symbol_seen and (not full_text or await searched(service, root, told, relative)):
            now = time.perf_counter()
            return Seen(now - since, now - began)
        await asyncio.sleep(POLL_S)
    missing = f"search for {told}" if symbol_seen else f"symbol query for {name}"
    raise TargetError(f"{relative} was saved, and after {SEEN_TIMEOUT_S:.0f} s the {missing} found nothing")


async def searched(service: Service, root: Path, told: str, relative: str | None = None) -> bool:
    """Whether a search for the word finds text (of this file) that has it."""
    hits = (await service.client.search(str(root), told)).hits
    return any(relative in (None, hit.path) and told in hit.text for hit in hits)
