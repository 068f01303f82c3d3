"""Unsaved documents: their text at once, their facts when somebody asks for them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence

from indexer.files.exclusions import why_content_excluded
from indexer.parsing.facts import FileFacts, facts_of_text
from indexer.parsing.imports import Import
from indexer.parsing.languages import language_of
from indexer.parsing.tags import Site, Tag
from indexer.secrets.redaction import redact

_serials = itertools.count(1)


class OverlayDocument:
    """One version of one unsaved text. Parsed at most once, on the thread that first asks."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.serial = next(_serials)
        """Differs from that of every other document."""
        self._text = text
        self._lock = threading.Lock()
        self._facts: FileFacts | None = None
        self._by_name: Mapping[str, Sequence[Tag]] | None = None
        self._shown: str | None = None
        self._excluded: str | None = None
        self._withheld: OverlayDocument | None = None
        self.withholds = False
        """Whether it stands, empty, for one whose text may not be read."""

    @property
    def text(self) -> str:
        """Without the secrets in it: this is what others are shown of the document."""
        if self._shown is None:
            self._shown = redact(self._text, language_of(self.path)).text
        return self._shown

    def why_excluded(self) -> str:
        """Why its text may not be read by a model (a key that was pasted into it), else empty."""
        if self._excluded is None:
            self._excluded = why_content_excluded(self._text.encode("utf-8", "replace")) or ""
        return self._excluded

    @property
    def shown(self) -> OverlayDocument:
        """This one, or where its text may not be read one without text, always the same: what was saved before is no
        longer true, so it is not shown in its place."""
        if not self.why_excluded():
            return self
        with self._lock:
            if self._withheld is None:
                self._withheld = OverlayDocument(self.path, "")
                self._withheld.withholds = True
            return self._withheld

    def definitions(self) -> Sequence[Tag]:
        """By place."""
        return self._parsed().definitions

    def by_name(self) -> Mapping[str, Sequence[Tag]]:
        """Definitions, each name's by place."""
        if self._by_name is None:
            found: dict[str, list[Tag]] = {}
            for tag in self.definitions():
                found.setdefault(tag.name, []).append(tag)
            self._by_name = found
        return self._by_name

    def imports(self) -> list[Import]:
        return self._parsed().imports

    def types(self) -> Mapping[str, str]:
        return self._parsed().types

    def sites(self) -> Mapping[str, Sequence[Site]]:
        """References by name."""
        return self._parsed().references

    def references(self, name: str) -> list[int]:
        """Lines that refer to `name`."""
        return [site.line for site in self._parsed().references.get(name, ())]

    def _parsed(self) -> FileFacts:
        with self._lock:
            if self._facts is None:
                self._facts = facts_of_text(self._text, language_of(self.path))
            return self._facts
