"""Counts and encodes tokens for packing, by the tokenizer that the request names; knows no model.

Control tokens that stand in source text are encoded as the plain text that they are there: the tokenizer is
loaded without its added tokens, so no text can ever become one.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import msgspec
from tokenizers import Tokenizer

from indexer.messages import TokenizerRef

CACHED_TOKENS = 4_000_000
"""How many ids of recent segments are kept: 16 packs of 256K tokens, 130 MB as Python ints at worst, mostly
shared."""

CACHED_TOKENIZERS = 4
"""A person uses one or two models; each tokenizer takes some 50 MB."""


class TokenizerError(Exception):
    """A tokenizer file cannot be read. The text says which and what to do."""


class SegmentTokenizer(Protocol):
    """What packing asks of a tokenizer."""

    @property
    def has_ids(self) -> bool: ...

    def encode(self, text: str) -> list[int]:
        """Empty where there are no ids. The list is shared: not to be changed."""
        ...

    def count(self, text: str) -> int: ...


class EstimatedTokens:
    """Where the model's tokenizer is unknown: UTF-8 bytes / `bytes_per_token`, rounded up."""

    has_ids = False

    def __init__(self, bytes_per_token: float) -> None:
        self._bytes_per_token = bytes_per_token

    def encode(self, text: str) -> list[int]:
        return []

    def count(self, text: str) -> int:
        return math.ceil(len(text.encode("utf-8", "surrogatepass")) / self._bytes_per_token)


class ModelTokens:
    """A model's own tokenizer with a memory of recent texts, bounded by the number of ids that it holds.
    May be used from several threads."""

    has_ids = True

    def __init__(self, file: Path, cached_tokens: int = CACHED_TOKENS) -> None:
        """Raises TokenizerError."""
        self._tokenizer = load_tokenizer(file)
        self._limit = cached_tokens
        self._held = 0
        self._lock = threading.Lock()
        self._memory: OrderedDict[bytes, list[int]] = OrderedDict()

    def encode(self, text: str) -> list[int]:
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            found = self._memory.get(key)
            if found is not None:
                self._memory.move_to_end(key)
                return found
        ids = self._tokenizer.encode(encodable(text), add_special_tokens=False).ids
        with self._lock:
            if key not in self._memory:
                self._memory[key] = ids
                self._held += len(ids)
            while self._held > self._limit and len(self._memory) > 1:
                _, oldest = self._memory.popitem(last=False)
                self._held -= len(oldest)
        return ids

    def count(self, text: str) -> int:
        return len(self.encode(text))


def tokenizer_for(ref: TokenizerRef) -> SegmentTokenizer:
    """The tokenizer that a request names, loaded once (0.5 s for 11 MB) for each state of its file.
    Raises TokenizerError."""
    if ref.file is None:
        return EstimatedTokens(ref.bytes_per_token)
    path = Path(ref.file)
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise _unreadable(path, error) from error
    return _model_tokens(path, changed_ns)


@lru_cache(maxsize=CACHED_TOKENIZERS)
def _model_tokens(path: Path, changed_ns: int) -> ModelTokens:
    return ModelTokens(path)


def load_tokenizer(path: Path) -> Tokenizer:
    """Without its control tokens. Raises TokenizerError."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
        document["added_tokens"] = []
        document["post_processor"] = None
        return Tokenizer.from_buffer(msgspec.json.encode(document))
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise _unreadable(path, error) from error


def encodable(text: str) -> str:
    """Lone surrogates (bytes that were no text) have no UTF-8 and would stop the tokenizer."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unreadable(path: Path, error: Exception) -> TokenizerError:
    return TokenizerError(
        f"the tokenizer {path} cannot be read ({error}); "
        "delete the file and start the engine again to fetch it anew"
    )
