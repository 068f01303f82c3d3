"""What the benchmark reads: source code of pinned packages, as the token ids of one long repository.

The same ids go to every target. The packages are dependencies of Foreword at the versions of its locks, and the
bytes are held by a hash, so that two machines read the same text.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from itertools import count
from pathlib import Path

import msgspec

from engine.profiles import Profile
from engine.prompts import path_line
from engine.tokens import ModelTokenizer

MARKS_FROM = 1000
"""Ids from here on begin cold prompts, each one once: no cache can have a prompt whose first token is new."""
FRONT = "benchmark"


class TextsError(Exception):
    """The pinned text is not on this machine; the message says which package and what to do."""


class Package(msgspec.Struct, frozen=True):
    name: str
    version: str
    sha256: str
    """Of its Python files' text, concatenated in the order of their paths."""


PACKAGES = (
    Package("httpx", "0.28.1", "3652b2975057"),
    Package("pygls", "2.1.1", "aa2426ab827d"),
    Package("typer", "0.29.2", "0603318d9534"),
)


class Texts:
    """One repository's ids, and prompts cut from it. Every cut is made once and handed to all targets."""

    def __init__(self, profile: Profile, tokenizer: ModelTokenizer) -> None:
        self._profile = profile
        self._tokenizer = tokenizer
        self._marks = count(MARKS_FROM)
        self.stream = self._stream()

    def _stream(self) -> list[int]:
        """The packages' files one after another, laid out as `engine.prompts` lays out context."""
        profile, encode = self._profile, self._tokenizer.encode
        ids: list[int] = []
        if profile.repo_name_id is not None:
            ids += [profile.repo_name_id, *encode(path_line(FRONT))]
        for package in PACKAGES:
            for path, text in files(package):
                ids += self._file_front(path) + encode(text)
        return ids

    def _file_front(self, path: str) -> list[int]:
        mark = self._profile.file_sep_id
        return [*([] if mark is None else [mark]), *self._tokenizer.encode(path_line(path))]

    def cold(self, tokens: int, at: int) -> list[int]:
        """A prompt that nothing has read before, of the text at place `at` (any number: places wrap around)."""
        start = at * tokens % (len(self.stream) - tokens)
        return [next(self._marks), *self.stream[start : start + tokens - 1]]

    def base(self, tokens: int) -> list[int]:
        """The beginning of the repository: what the warm rows have cached."""
        return self.stream[:tokens]

    def fresh(self, tokens: int, at: int) -> list[int]:
        """The `at`-th run of text from the repository's end: never part of a base."""
        end = len(self.stream) - at * tokens
        return self.stream[end - tokens : end]

    def keystrokes(
        self, cached: int, suffix: int, window: int, count: int
    ) -> tuple[list[int], list[list[int]]]:
        """What is cached, and the prompts of keys typed one after another, as the product lays them out.

        Each prompt has one token more before the cursor than the one before it; behind the cursor stand
        `suffix` tokens, which are read anew every time, since they come after what changed.
        """
        fim = self._profile.fim
        opened = self._file_front("opened.py")
        prefix = [] if fim is None else [fim.prefix]
        front = self.stream[: cached - window - len(opened) - len(prefix)]
        source = self.fresh(window + count + suffix, 0)
        held = [*front, *opened, *prefix, *source[:window]]
        behind = source[-suffix:]
        after = behind if fim is None else [fim.suffix, *behind, fim.middle]
        return held, [[*held, *source[window : window + typed], *after] for typed in range(1, count + 1)]

    def edits(self, tokens: int, before_end: int, count: int) -> list[list[int]]:
        """The base with one token changed `before_end` tokens before its end, another one each time."""
        base = self.base(tokens)
        return [
            [*base[:-before_end], next(self._marks), *base[len(base) - before_end + 1 :]]
            for _ in range(count)
        ]

    def windows(self, tokens: int, count: int) -> list[list[int]]:
        """Windows of plain text spread evenly over the repository, for perplexity."""
        step = (len(self.stream) - tokens) // count
        return [self.stream[at * step : at * step + tokens] for at in range(count)]


def files(package: Package) -> list[tuple[str, str]]:
    """(path, text) of the installed package's Python files. Raises TextsError unless they are the pinned ones."""
    try:
        installed: Distribution = distribution(package.name)
    except PackageNotFoundError as error:
        raise TextsError(f"{package.name} is not installed; the benchmark reads its sources.") from error
    paths = sorted(str(file) for file in installed.files or () if str(file).endswith(".py"))
    found = [(path, Path(str(installed.locate_file(path))).read_text(encoding="utf-8")) for path in paths]
    digest = hashlib.sha256("".join(text for _, text in found).encode()).hexdigest()
    if not digest.startswith(package.sha256):
        raise TextsError(
            f"{package.name} {installed.version} does not have the pinned text of {package.version} "
            f"({digest[: len(package.sha256)]}, not {package.sha256}). Install what the lock names (make setup), "
            "or pin the new text in benchmarks/engine/texts.py: figures of different texts do not compare."
        )
    return found
