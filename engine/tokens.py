"""Counts, encodes and decodes tokens: exactly with a model's own tokenizer, or as an estimate without one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

BYTES_PER_TOKEN = 3.0
"""Of source code; Qwen's tokenizer reaches more, so that an estimate errs on the side of too many tokens."""


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
        """Token ids of the text alone; nothing is added, and a control token that it spells stays letters."""
        return self._plain.encode(well_formed(text), add_special_tokens=False).ids

    def count(self, text: str) -> int:
        return len(self._plain.encode(well_formed(text), add_special_tokens=False))

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
