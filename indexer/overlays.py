"""Unsaved documents: their text at once, their facts when somebody asks for them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from indexer.contents import by_place
from indexer.exclusions import why_content_excluded
from indexer.facts import FileFacts, facts_of_text
from indexer.imports import Import
from indexer.languages import language_of
from indexer.tags import Tag


class OverlayDocument:
    """One version of one unsaved text. Parsed at most once, on the thread that first asks."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._lock = threading.Lock()
        self._facts: FileFacts | None = None

    def why_excluded(self) -> str:
        """Why its text may not be read by a model (a key that was pasted into it), else empty."""
        return self._parsed().skipped

    def definitions(self) -> Sequence[Tag]:
        return self._parsed().definitions

    def imports(self) -> list[Import]:
        return self._parsed().imports

    def references(self, name: str) -> list[int]:
        """Lines that refer to `name`."""
        return self._parsed().references.get(name, [])

    def _parsed(self) -> FileFacts:
        with self._lock:
            if self._facts is None:
                self._facts = facts_of_text(self.text, language_of(self.path))
                self._facts.definitions = list(by_place(self._facts.definitions))
                self._facts.skipped = why_content_excluded(self.text.encode("utf-8", "replace")) or ""
            return self._facts
