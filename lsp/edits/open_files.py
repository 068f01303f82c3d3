"""The files of an edit as an editor has them: what is open with its unsaved text and version, the rest from disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from lsp.edits.files import SourceFile
from lsp.edits.on_disk import readable, why_hidden
from lsp.workspace import Workspace


class OpenFiles(msgspec.Struct, frozen=True):
    """See `lsp.edits.reading.Reads`."""

    root: Path
    documents: Workspace

    async def read(self, path: str) -> SourceFile | str:
        snapshot = self.documents.get((self.root / path).as_uri())
        if snapshot is None:
            return await asyncio.to_thread(readable, self.root, path)
        hidden = await asyncio.to_thread(why_hidden, self.root, path)
        return hidden or SourceFile(path, snapshot.text, snapshot.language, snapshot.version, snapshot.uri)

    async def is_there(self, path: str) -> bool:
        """Whether something has this path, if only a document that was never saved."""
        place = self.root / path
        return self.documents.get(place.as_uri()) is not None or await asyncio.to_thread(
            os.path.lexists, place
        )
