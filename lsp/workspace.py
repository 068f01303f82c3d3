"""What the client has open: documents, notebooks and workspace folders; the one place that changes them.

Everything handed out is immutable, so work that began on a version keeps that version. pygls' own workspace
is not used: it splits lines where the protocol does not, and fails on changes to documents that it does not
know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lsp.documents import Change, Encoding, Snapshot, changed, key_of, opened, path_of

CODE_CELL = 2
"""`NotebookCellKind.Code` of the protocol; 1 is markup."""


class NotOpen(LookupError):
    """A message named a document that the client has not opened."""


class Cell(msgspec.Struct, frozen=True):
    uri: str
    is_code: bool


class Workspace:
    """Open documents by URI, notebooks by URI, and the folders that are roots of the index."""

    def __init__(self) -> None:
        self.encoding: Encoding = "utf-16"
        self._documents: dict[str, Snapshot] = {}
        self._notebooks: dict[str, tuple[Cell, ...]] = {}
        self._roots: dict[str, str] = {}

    # ------------------------------------------------------------ documents

    def open(self, uri: str, language_id: str | None, version: int, text: str) -> Snapshot:
        snapshot = opened(uri, language_id, version, text)
        self._documents[key_of(uri)] = snapshot
        return snapshot

    def change(self, uri: str, changes: Sequence[Change], version: int) -> Snapshot:
        """Raises NotOpen. The snapshot before stays what it was."""
        snapshot = changed(self._known(uri), changes, version, self.encoding)
        self._documents[key_of(uri)] = snapshot
        return snapshot

    def close(self, uri: str) -> Snapshot | None:
        return self._documents.pop(key_of(uri), None)

    def get(self, uri: str) -> Snapshot | None:
        """The document as it is now; a notebook's cell carries the notebook's earlier code as `preamble`."""
        snapshot = self._documents.get(key_of(uri))
        if snapshot is None:
            return None
        earlier = self._earlier_cells(uri)
        return msgspec.structs.replace(snapshot, preamble=earlier) if earlier else snapshot

    def all(self) -> list[Snapshot]:
        return list(self._documents.values())

    def _known(self, uri: str) -> Snapshot:
        snapshot = self._documents.get(key_of(uri))
        if snapshot is None:
            raise NotOpen(f"{uri} was changed without having been opened; the change is lost, open it again")
        return snapshot

    # ------------------------------------------------------------ notebooks

    def set_notebook(self, uri: str, cells: Sequence[Cell]) -> None:
        self._notebooks[key_of(uri)] = tuple(cells)

    def splice_notebook(self, uri: str, start: int, deleted: int, inserted: Sequence[Cell]) -> None:
        """Raises NotOpen."""
        cells = self._notebooks.get(key_of(uri))
        if cells is None:
            raise NotOpen(f"notebook {uri} was changed without having been opened; open it again")
        self._notebooks[key_of(uri)] = (*cells[:start], *inserted, *cells[start + deleted :])

    def close_notebook(self, uri: str) -> None:
        self._notebooks.pop(key_of(uri), None)

    def _earlier_cells(self, uri: str) -> str:
        wanted = key_of(uri)
        for cells in self._notebooks.values():
            place = next((at for at, cell in enumerate(cells) if key_of(cell.uri) == wanted), None)
            if place is not None:
                return self._code_of(cells[:place])
        return ""

    def _code_of(self, cells: Sequence[Cell]) -> str:
        texts: list[str] = []
        for cell in cells:
            document = self._documents.get(key_of(cell.uri))
            if cell.is_code and document and document.text.strip():
                texts.append(document.text.rstrip() + "\n\n")
        return "".join(texts)

    # ------------------------------------------------------------ roots

    def add_root(self, uri: str) -> str | None:
        """The folder's path when `uri` is a folder on this machine, else None."""
        path = path_of(uri)
        if path is None:
            return None
        self._roots[key_of(uri)] = str(Path(path))
        return self._roots[key_of(uri)]

    def remove_root(self, uri: str) -> str | None:
        return self._roots.pop(key_of(uri), None)

    @property
    def roots(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._roots.values()))

    def root_of(self, path: str | None) -> str | None:
        """The innermost root that holds `path`; None for a file outside all of them."""
        if path is None:
            return None
        holders = [root for root in self.roots if Path(path).is_relative_to(root)]
        return max(holders, key=len, default=None)
