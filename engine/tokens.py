"""Counts, encodes and decodes tokens: exactly with a model's own tokenizer, or as an estimate without one."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

BYTES_PER_TOKEN = 3.0
"""Of source code; Qwen's tokenizer reaches more, so that an estimate errs on the side of too many tokens."""

LINES_KEPT = 4_096
"""Whose ids are remembered: ten windows of 4,096 tokens, some 2 MB."""

LONGEST_KEPT_CHARS = 1_000
"""Of a line that is remembered: longer ones are no code that somebody writes."""

_LINE_BREAK = re.compile(r"\n(?=[ \t]*\S)")
"""Behind it a text may be cut: the next line is not blank, so that nothing joins it with the line break."""

_CUT_AT_LINES = (
    ("a\n", "    b"),
    ("a  \n", "\tb"),
    ("a\n\n \n", "  (b"),
    (");\n\n", "1"),
    ("é\n", "'s"),
    (" \n", "_b"),
)
"""Texts by which a tokenizer shows whether it encodes lines each for itself: Qwen's does, GPT-2's joins a line break
with the indentation behind it."""


class TokenizerError(Exception):
    """A tokenizer.json cannot be used; the message says which and why."""


class ModelTokenizer:
    """The tokenizer of one model. Text is only ever text: control tokens come from `special_id` alone."""

    has_ids = True

    def __init__(self, full: Tokenizer, file: Path) -> None:
        self.file = file
        self._full = full
        # The same vocabulary and rules without the added tokens. `encode_special_tokens` would not do: it
        # passes over tokens marked special, and Qwen's own file marks neither fim_middle nor file_sep so.
        self._plain = Tokenizer(full.model)
        if full.normalizer is not None:
            self._plain.normalizer = full.normalizer
        if full.pre_tokenizer is not None:
            self._plain.pre_tokenizer = full.pre_tokenizer
        self._by_lines = all(
            self._encoded(one + other) == self._encoded(one) + self._encoded(other)
            for one, other in _CUT_AT_LINES
        )
        self._known = functools.lru_cache(maxsize=LINES_KEPT)(self._encoded)

    @classmethod
    def from_file(cls, path: Path | str) -> ModelTokenizer:
        """Read a Hugging Face tokenizer.json (0.2 s for Qwen's). Raises TokenizerError."""
        file = Path(path)
        try:
            content = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TokenizerError(f"The tokenizer {file} cannot be read: {error}") from error
        try:
            return cls(Tokenizer.from_str(content), file)
        except Exception as error:
            raise TokenizerError(
                f"The tokenizer {file} is not a tokenizer.json that can be used: {error}"
            ) from error

    def encode(self, text: str) -> list[int]:
        """Token ids of the text alone; nothing is added, and a control token that it spells stays letters. Lines that
        were encoded before cost a look-up: at a keystroke all but the cursor's."""
        ids: list[int] = []
        for line in self._lines(well_formed(text)):
            ids += self._known(line) if len(line) <= LONGEST_KEPT_CHARS else self._encoded(line)
        return ids

    def count(self, text: str) -> int:
        return len(self.encode(text))

    def _lines(self, text: str) -> list[str]:
        """What may be encoded each for itself: lines with the blank ones behind them, or all of it as one."""
        if not self._by_lines:
            return [text]
        *lines, last = _LINE_BREAK.split(text)
        return [*(f"{line}\n" for line in lines), last]

    def _encoded(self, text: str) -> list[int]:
        return self._plain.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, control tokens spelled out."""
        return self._full.decode(list(ids), skip_special_tokens=False)

    def special_id(self, text: str) -> int | None:
        """The id of an added token such as `<|file_sep|>`; None where the model has no such token."""
        token = self._full.token_to_id(text)
        added = self._full.get_added_tokens_decoder()
        return token if token in added else None


class EstimateTokenizer:
    """For servers whose tokenizer is not known: counts bytes, gives no ids."""

    has_ids = False
    file = None

    def __init__(self, bytes_per_token: float = BYTES_PER_TOKEN) -> None:
        self.bytes_per_token = bytes_per_token

    def encode(self, text: str) -> list[int]:
        """No ids: callers look at `has_ids` first. Raises TokenizerError, lest an empty prompt be sent."""
        raise TokenizerError(f"{len(text)} characters cannot be turned into token ids by an estimate")

    def count(self, text: str) -> int:
        return math.ceil(len(text.encode("utf-8", "surrogatepass")) / self.bytes_per_token)


def well_formed(text: str) -> str:
    """The text with lone surrogates replaced: editors may send them, and they stand for no character."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
