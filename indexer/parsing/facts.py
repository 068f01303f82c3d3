"""What the index keeps about one content: pure functions from bytes and language to facts."""

from __future__ import annotations

import hashlib

import msgspec

from indexer.files.exclusions import why_content_excluded
from indexer.parsing import chunks as chunking
from indexer.parsing import tags as tagging
from indexer.parsing.chunks import Chunk
from indexer.parsing.imports import Import
from indexer.parsing.tags import Site, Tag, by_place
from indexer.parsing.words import joined_words
from indexer.secrets.redaction import redact

_DIGEST_BYTES = 16
"""128 bits: no two contents of one person's machine collide."""

_PERSON_BYTES = 16
"""What BLAKE2b takes as personalization."""


class FileFacts(msgspec.Struct):
    """Facts of one content in one language. Rows about it hang on `key`, never on a path."""

    key: str
    language: str
    size: int
    skipped: str = ""
    """Why nothing of it may be indexed, else empty."""
    error: str = ""
    """Why its facts are not whole, else empty."""
    reincluded: bool = False
    """Whether it was read as a file that `.forewordignore` takes back in."""
    redacted: int = 0
    """Lines of which a value was replaced, since it looks like a secret."""
    definitions: list[Tag] = []
    """In the order of `tags.by_place`, to which `Site.within` and `Chunk.definition` refer."""
    references: dict[str, list[Site]] = {}
    """By name."""
    types: dict[str, str] = {}
    """`Class.field`, and `variable` at the top → receiver path of its type (see `indexer.parsing.receivers`)."""
    imports: list[Import] = []
    chunks: list[Chunk] = []
    text_keys: list[str] = []
    """One for each chunk."""
    chunk_words: list[str] = []
    """One for each chunk: what full text search reads, `words` joined by blanks."""


def content_key(data: bytes, language: str | None, reincluded: bool = False) -> str:
    """Identity of a content: the bytes, and what decides how they are read (an empty `.py` is no empty
    `.js`)."""
    person = ((language or "") + ("!" if reincluded else "")).encode()[:_PERSON_BYTES]
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, person=person).hexdigest()


def text_key(text: str) -> str:
    """Identity of a chunk's text, on which its vector hangs."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()


def decode(data: bytes) -> str:
    """Text of a source file: UTF-8 with or without a mark; else Latin-1, which keeps every line and
    column."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def facts_of(data: bytes, language: str | None, reincluded: bool = False) -> FileFacts:
    """Everything that the index keeps about a file on disk."""
    key = content_key(data, language, reincluded)
    facts = FileFacts(key, language or "", len(data), reincluded=reincluded)
    excluded = why_content_excluded(data, reincluded=reincluded)
    if excluded:
        facts.skipped = excluded
        return facts
    return fill(facts, decode(data), language)


def facts_of_text(text: str, language: str | None) -> FileFacts:
    """The same for an unsaved document; its chunks are not needed and left out."""
    facts = FileFacts("", language or "", len(text))
    return fill(facts, text, language, with_chunks=False)


def fill(facts: FileFacts, text: str, language: str | None, *, with_chunks: bool = True) -> FileFacts:
    """What is in `text`, without the secrets in it."""
    redaction = redact(text, language)
    text = redaction.text
    facts.redacted = len({line for line, _ in redaction.found})
    found = tagging.tags(text, language)
    facts.definitions = list(by_place(found.definitions))
    facts.error = found.error
    facts.references = found.references
    facts.types = found.types
    facts.imports = found.imports
    if with_chunks:
        facts.chunks = chunking.chunks(text, facts.definitions, language)
        facts.text_keys = [text_key(chunk.text) for chunk in facts.chunks]
        facts.chunk_words = [joined_words(f"{chunk.symbol} {chunk.text}") for chunk in facts.chunks]
    return facts
