"""An editor for end-to-end tests: the real `foreword lsp` process, spoken to through pytest-lsp's client."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_lsp
from lsprotocol import types
from pygls.exceptions import JsonRpcRequestCancelled
from pygls.protocol import default_converter
from pytest_lsp.client import DEFAULT_CLIENT_FEATURES, register_lsp_features

FOREWORD = str(Path(sys.executable).with_name("foreword"))
READY_TIMEOUT_S = 240.0
"""Starting a model takes half a minute on an idle machine."""


class Asked:
    """A request on its way."""

    def __init__(self, client: Any, request_id: str, answer: asyncio.Future[Any]) -> None:
        self.answer = answer
        self._client = client
        self._id = request_id

    async def cancel(self) -> None:
        """Cancels as editors do, and sees that the server says so."""
        self._client.cancel_request(types.CancelParams(id=self._id))
        with pytest.raises(JsonRpcRequestCancelled):
            await self.answer


class Editor:
    def __init__(self, encoding: str = "utf-16") -> None:
        self.client = pytest_lsp.LanguageClient(converter_factory=default_converter)
        self.progress: dict[str | int, list[Any]] = {}
        # pytest-lsp's own handler knows work-done progress alone, no partial results.
        register_lsp_features(self.client, {**DEFAULT_CLIENT_FEATURES, types.PROGRESS: self._listener()})
        self.encoding = encoding
        self.versions: dict[str, int] = {}
        self.capabilities: types.ServerCapabilities | None = None

    def _listener(self) -> Callable[[types.ProgressParams], None]:
        def progress(params: types.ProgressParams) -> None:
            self.progress.setdefault(params.token, []).append(plain(params.value))

        return progress

    @property
    def pid(self) -> int:
        return self.client._server.pid

    async def start(self, root: Path, options: dict[str, Any]) -> None:
        await self.client.start_io(FOREWORD, "lsp", cwd=str(root), env={**os.environ, "FOREWORD_DEBUG": "1"})
        result = await self.client.initialize_session(
            types.InitializeParams(
                process_id=os.getpid(),
                root_uri=root.as_uri(),
                workspace_folders=[types.WorkspaceFolder(root.as_uri(), root.name)],
                initialization_options=options,
                capabilities=types.ClientCapabilities(
                    general=types.GeneralClientCapabilities(position_encodings=[self.encoding]),
                    window=types.WindowClientCapabilities(work_done_progress=True),
                ),
            )
        )
        self.capabilities = result.capabilities

    def open(self, file: Path, text: str | None = None, language: str = "python") -> str:
        uri = file.as_uri()
        self.versions[uri] = 1
        content = file.read_bytes().decode() if text is None else text
        item = types.TextDocumentItem(uri=uri, language_id=language, version=1, text=content)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
        return uri

    def replace(self, uri: str, text: str) -> None:
        self.versions[uri] += 1
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                text_document=types.VersionedTextDocumentIdentifier(self.versions[uri], uri),
                content_changes=[types.TextDocumentContentChangeWholeDocument(text)],
            )
        )

    async def ask(self, uri: str, line: int, character: int) -> Asked:
        """An inline completion request, sent at once."""
        request_id = str(uuid.uuid4())
        params = types.InlineCompletionParams(
            context=types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
            text_document=types.TextDocumentIdentifier(uri),
            position=types.Position(line, character),
        )
        sending = self.client.protocol.send_request_async(
            types.TEXT_DOCUMENT_INLINE_COMPLETION, params, request_id
        )
        answer = asyncio.ensure_future(sending)
        await asyncio.sleep(0)  # the message goes out with the task's first step
        return Asked(self.client, request_id, answer)

    async def completion(self, uri: str, line: int, character: int) -> types.InlineCompletionItem | None:
        answer = await (await self.ask(uri, line, character)).answer
        return answer.items[0] if answer.items else None

    async def request(self, method: str, params: Any = None) -> Any:
        return plain(await self.client.protocol.send_request_async(method, params or {}))

    async def status(self) -> Any:
        return await self.request("foreword/status")

    async def until(self, condition: Callable[[Any], object], timeout_s: float = READY_TIMEOUT_S) -> Any:
        deadline = time.monotonic() + timeout_s
        while not condition(status := await self.status()):
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {status}"
            await asyncio.sleep(0.2)
        return status

    async def ready(self) -> Any:
        return await self.until(is_ready)


def is_ready(status: Any) -> bool:
    roots = status["index"].get("roots", [])
    assert status["engine"]["state"] != "failed", status["engine"]
    return status["engine"]["state"] == "ready" and roots != [] and all(r["state"] == "ready" for r in roots)


@asynccontextmanager
async def editor(
    root: Path, options: dict[str, Any] | None = None, encoding: str = "utf-16"
) -> AsyncIterator[Editor]:
    one = Editor(encoding)
    await one.start(root, options or {})
    try:
        yield one
    finally:
        if one.client._server.returncode is None:
            await one.client.shutdown_session()
        await one.client.stop()


def plain(value: Any) -> Any:
    """pygls makes objects of unknown results; this makes dicts of them again."""
    if hasattr(value, "_asdict"):
        return {name: plain(inner) for name, inner in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value
