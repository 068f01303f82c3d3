"""`textDocument/documentSymbol` and `workspace/symbol` for languages that have no other server.

Off by default: an editor that gets the same symbols from two servers shows them twice. Unsaved text counts: what the
index does not have yet is sent to it before it is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from codecs import BOM_UTF8
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.uris import from_fs_path

from lsp.announced import Announced
from lsp.documents import Snapshot, language_named
from lsp.outline import ALWAYS_KNOWN, Kind, Text, flat, kind_of, placed, tree

if TYPE_CHECKING:
    from indexer.client import IndexClient
    from indexer.messages import Definition
    from lsp.session import ForewordServer

DOCUMENT, WORKSPACE = types.TEXT_DOCUMENT_DOCUMENT_SYMBOL, types.WORKSPACE_SYMBOL
MOST_IN_WORKSPACE = 100
"""What a person looks through; each takes a look at its file for the exact place."""
MOST_IN_DOCUMENT = 10_000
CONTENT_MODIFIED = -32801
"""LSP 3.17, `ErrorCodes.ContentModified`: the client asks again where it still wants to know."""
REQUEST_FAILED = -32803
"""LSP 3.17, `LSPErrorCodes.RequestFailed`."""
PATIENCE_S = 5.0
"""For a folder that is just being indexed: an editor asks as soon as it has opened a file, and once."""
MAX_BYTES = 8_000_000
"""The index takes no file that is larger."""


class NotNow(JsonRpcException):
    """A request that cannot be answered, through no fault of this server or the client; the message says why."""


class Symbols:
    """What one session answers."""

    def __init__(self, server: ForewordServer) -> None:
        self._server = server
        handlers = {DOCUMENT: document_symbol, WORKSPACE: workspace_symbol}
        self._announced = Announced(server, handlers, _options)

    # ------------------------------------------------------------ what the client knows of

    def initialize(self) -> None:
        """What the settings say now, for clients that can be told nothing later."""
        self._announced.at_once(self._languages(), self._dynamic())

    async def settled(self) -> None:
        """What the settings say now, for the others."""
        await self._announced.settled(self._languages(), self._dynamic())

    def _languages(self) -> tuple[str, ...]:
        settings = self._server.settings
        return settings.symbols.languages if settings.index else ()

    def _dynamic(self) -> dict[str, bool]:
        """Which methods this client lets be registered later."""
        client = self._server.client_capabilities
        document = client.text_document.document_symbol if client.text_document else None
        workspace = client.workspace.symbol if client.workspace else None
        return {
            DOCUMENT: bool(document and document.dynamic_registration),
            WORKSPACE: bool(workspace and workspace.dynamic_registration),
        }

    # ------------------------------------------------------------ answers

    async def document(self, uri: str) -> list[types.DocumentSymbol] | list[types.SymbolInformation] | None:
        """None for a document that is not this server's to answer for. Raises NotNow when the text changed
        meanwhile, or the index cannot answer."""
        place = self._place(uri)
        if place is None:
            return None
        root, relative = place
        index, client = self._server.index, await self._client(root)
        snapshot = self._server.documents.get(uri)
        found = await _asked(client.symbols(root, path=relative, limit=MOST_IN_DOCUMENT))
        if not found and not index.is_open(root):
            raise NotNow(f"{root} is still being indexed", REQUEST_FAILED)
        now = self._server.documents.get(uri)
        if snapshot is None or now is None or now.text != snapshot.text:
            raise NotNow(f"{uri} was changed while its symbols were looked for", CONTENT_MODIFIED)
        text = Text(snapshot.text, self._server.documents.encoding)
        capabilities = self._server.client_capabilities.text_document
        wants = capabilities.document_symbol if capabilities else None
        roots = placed(found, text, _known(wants.symbol_kind if wants else None))
        return tree(roots) if wants and wants.hierarchical_document_symbol_support else flat(roots, uri)

    async def workspace(self, query: str) -> list[types.WorkspaceSymbol]:
        """Of all folders, best first as the index has them. Raises NotNow."""
        documents = self._server.documents
        capabilities = self._server.client_capabilities.workspace
        wants = capabilities.symbol if capabilities else None
        known = _known(wants.symbol_kind if wants else None)
        found: list[types.WorkspaceSymbol] = []
        for root in documents.roots:
            client = await self._client(root)
            asked = await _asked(client.symbols(root, query=query, limit=MOST_IN_WORKSPACE))
            mine = [
                each
                for each in asked
                if self._answers_for(each.path) and documents.root_of(str(Path(root, each.path))) == root
            ]
            living = {
                Path(snapshot.path).relative_to(root).as_posix(): snapshot
                for snapshot in documents.all()
                if snapshot.path and Path(snapshot.path).is_relative_to(root)
            }
            found += await asyncio.to_thread(_located, mine, Path(root), living, documents.encoding, known)
        return found[:MOST_IN_WORKSPACE]

    async def _client(self, root: str) -> IndexClient:
        """The index with all unsaved text. Raises NotNow."""
        index = self._server.index
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await index.opened(root)
        why = index.why_not(root)
        if why or index.client is None:
            raise NotNow(f"no symbols: {why or index.reason}", REQUEST_FAILED)
        client = index.client
        await index.flush()
        return client

    def _place(self, uri: str) -> tuple[str, str] | None:
        """(root, path below it) of an open file in one of the languages; of a notebook's cell the index knows
        nothing."""
        snapshot = self._server.documents.get(uri)
        if snapshot is None or snapshot.path is None or urlsplit(uri).scheme != "file":
            return None
        root = self._server.documents.root_of(snapshot.path)
        if root is None or not (snapshot.language in self._named() or self._answers_for(snapshot.path)):
            return None
        return root, Path(snapshot.path).relative_to(root).as_posix()

    def _answers_for(self, path: str) -> bool:
        from indexer.packing.syntax import language_of

        return language_named(language_of(path)) in self._named()

    def _named(self) -> set[str | None]:
        return {language_named(each) for each in self._languages()}


async def document_symbol(ls: ForewordServer, params: types.DocumentSymbolParams) -> Any:
    return await ls.symbols.document(params.text_document.uri)


async def workspace_symbol(ls: ForewordServer, params: types.WorkspaceSymbolParams) -> Any:
    return await ls.symbols.workspace(params.query)


def _options(method: str, languages: tuple[str, ...]) -> Any:
    if method == WORKSPACE:
        return types.WorkspaceSymbolRegistrationOptions()
    selector = [types.TextDocumentFilterLanguage(language=language) for language in languages]
    return types.DocumentSymbolRegistrationOptions(document_selector=selector)


async def _asked(asking: Any) -> list[Definition]:
    """Definitions of an answer. Raises NotNow for what the service could not answer."""
    from indexer.client import IndexServiceError

    try:
        return (await asking).definitions
    except IndexServiceError as failed:
        raise NotNow(f"no symbols: {failed}", REQUEST_FAILED) from failed


def _known(wants: Any) -> Collection[Kind]:
    """The kinds that a client says it knows."""
    values = getattr(wants, "value_set", None)
    return frozenset(values) if values else ALWAYS_KNOWN


def _located(
    definitions: list[Definition],
    root: Path,
    living: dict[str, Snapshot],
    encoding: Any,
    known: Collection[Kind],
) -> list[types.WorkspaceSymbol]:
    """With the exact place of each name; on a worker thread, since files that are not open are read for it."""
    texts: dict[str, Text | None] = {}
    found: list[types.WorkspaceSymbol] = []
    for definition in definitions:
        path = definition.path
        if path not in texts:
            snapshot = living.get(path)
            told = snapshot.text if snapshot is not None else _read(root / path)
            texts[path] = None if told is None else Text(told, encoding)
        text = texts[path]
        where = text.name(definition) if text is not None else None
        if where is None:
            continue  # gone or changed since it was indexed: the index is just about to see that
        snapshot = living.get(path)
        uri = snapshot.uri if snapshot is not None else from_fs_path(str(root / path)) or ""
        found.append(
            types.WorkspaceSymbol(
                name=definition.name,
                kind=kind_of(definition.kind, known),
                location=types.Location(uri, where),
                container_name=definition.container or None,
            )
        )
    return found


def _read(path: Path) -> str | None:
    """As the index decodes it; None where it cannot be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        data = path.read_bytes().removeprefix(BOM_UTF8)
    except OSError:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
