"""The facts of one content packed into what the store writes: done where the file is read, so that the service
moves bytes and lists of strings and unpacks nothing."""

from __future__ import annotations

import msgspec

from indexer.parsing.facts import FileFacts
from indexer.parsing.tags import Site
from indexer.store.contents import SPAN, StoredContent, squeezed
from indexer.store.sitecache import PackedSites


class ContentRows(msgspec.Struct, array_like=True, gc=False):
    """All rows of one content, column by column."""

    content: StoredContent
    reference_names: list[str] = []
    reference_sites: list[bytes] = []
    """One for each name: msgpack of list[Site]."""
    starts: list[int] = []
    """First lines of the chunks; the next six belong to the same chunks."""
    ends: list[int] = []
    symbols: list[str] = []
    kinds: list[str] = []
    ordinals: list[int | None] = []
    """Of the definition that a chunk begins, among those of the content by place."""
    texts: list[str] = []
    words: list[str] = []

    @property
    def key(self) -> str:
        return self.content.key

    def sites(self, name: str) -> list[Site]:
        """The places that refer to `name`."""
        return self.all_sites()[name] if name in self.reference_names else []

    def all_sites(self) -> PackedSites:
        """All of them, by name."""
        return PackedSites(dict(zip(self.reference_names, self.reference_sites, strict=True)))


_encoder = msgspec.msgpack.Encoder()


def pack(facts: FileFacts) -> ContentRows:
    """The rows of one content."""
    definitions = facts.definitions
    names = dict.fromkeys(tag.name for tag in definitions)
    nothing = not (definitions or facts.imports or facts.types)
    content = StoredContent(
        key=facts.key,
        language=facts.language,
        size=facts.size,
        skipped=facts.skipped,
        error=facts.error,
        symbols=len(definitions),
        references=sum(map(len, facts.references.values())),
        names="\n".join(("", *names, "")) if names else "",
        text_keys=bytes.fromhex("".join(facts.text_keys)),
        facts=b"" if nothing else squeezed(_encoder.encode((definitions, facts.imports, facts.types))),
        spans=b"".join([SPAN.pack(chunk.start_line, chunk.end_line) for chunk in facts.chunks]),
        reincluded=facts.reincluded,
        redacted=facts.redacted,
    )
    chunks = facts.chunks
    return ContentRows(
        content,
        list(facts.references),
        [_encoder.encode(sites) for sites in facts.references.values()],
        [chunk.start_line for chunk in chunks],
        [chunk.end_line for chunk in chunks],
        [chunk.symbol for chunk in chunks],
        [chunk.kind for chunk in chunks],
        [chunk.definition for chunk in chunks],
        [chunk.text for chunk in chunks],
        facts.chunk_words,
    )
