"""Encodes whole files with a model's tokenizer. Runs in a niced child process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from indexer.children.reading import load
from indexer.packing.token_lines import cuts_at_lines, token_lines
from indexer.packing.tokens import encodable, load_tokenizer
from indexer.parsing.facts import content_key, decode
from indexer.parsing.languages import language_of
from indexer.parsing.lines import split_lines
from indexer.secrets.redaction import redact


class FileToCount(msgspec.Struct, frozen=True, array_like=True):
    path: str
    key: str
    """Of the content that the file is expected to have."""


class CountedFile(msgspec.Struct, frozen=True, array_like=True):
    key: str
    ids: bytes
    shape: bytes
    """As `TokenLines.packed` gives them."""


_counted = msgspec.msgpack.Decoder(list[CountedFile])


def decode_counted(body: bytes) -> list[CountedFile]:
    return _counted.decode(body)


def can_count(tokenizer: str) -> bool:
    """Whether this tokenizer cuts texts so that segments can be slices. Raises TokenizerError."""
    model = _tokenizer(tokenizer)
    return cuts_at_lines(lambda text: model.encode(text, add_special_tokens=False).ids)


def count_files(tokenizer: str, root: str, files: list[FileToCount]) -> bytes:
    """The ids of these files, of those that still have the expected content. Raises TokenizerError."""
    model = _tokenizer(tokenizer)

    def encode_all(texts: list[str]) -> list[list[int]]:
        return [
            encoding.ids
            for encoding in model.encode_batch_fast(list(map(encodable, texts)), add_special_tokens=False)
        ]

    found: list[CountedFile] = []
    for file in files:
        try:
            data, _ = load(Path(root, file.path))
        except OSError:
            continue  # changed or gone: its new content is counted when it is indexed
        language = language_of(file.path)
        if file.key in (content_key(data, language), content_key(data, language, reincluded=True)):
            lines = split_lines(redact(decode(data), language).text)
            found.append(CountedFile(file.key, *token_lines(lines, encode_all).packed()))
    return msgspec.msgpack.encode(found)


@lru_cache(maxsize=1)
def _tokenizer(file: str) -> Any:
    return load_tokenizer(Path(file))
