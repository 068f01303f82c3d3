"""A small editor: starts `foreword lsp` on stdio and speaks the protocol to it, for the demo and the measurements."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient

Told = Callable[[str | int, Any], None]
"""Called with a progress token and its value, as a plain dict or object."""


class Editor:
    """One server process and the documents that are open in it. Positions are utf-16 unless stated."""

    def __init__(self, on_progress: Told | None = None, command: Sequence[str] = ()) -> None:
        """`command` is another server to start, instead of `foreword lsp`."""
        self._command = command or (str(Path(sys.executable).with_name("foreword")), "lsp")
        self.client = LanguageClient("foreword-demo", "1")
        self.initialize_s = 0.0
        self._versions: dict[str, int] = {}

        self.client.feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)(_agree)

        def progress(params: types.ProgressParams) -> None:  # pygls marks what it registers: no bound methods
            if on_progress is not None:
                on_progress(params.token, params.value)

        self.client.feature(types.PROGRESS)(progress)
        self.client.feature(types.WINDOW_LOG_MESSAGE)(_agree)

    async def start(
        self, root: Path, options: dict[str, Any] | None = None, env: dict[str, str] | None = None
    ) -> None:
        """Starts the server and initializes it on `root`; `initialize_s` is the time from process start to answer."""
        began = time.perf_counter()
        await self.client.start_io(*self._command, cwd=str(root), env={**os.environ, **(env or {})})
        await self.client.initialize_async(
            types.InitializeParams(
                process_id=os.getpid(),
                root_uri=root.as_uri(),
                workspace_folders=[types.WorkspaceFolder(uri=root.as_uri(), name=root.name)],
                initialization_options={"stats": False, **(options or {})},  # nobody accepts what is measured
                capabilities=types.ClientCapabilities(
                    window=types.WindowClientCapabilities(work_done_progress=True),
                    text_document=types.TextDocumentClientCapabilities(
                        inline_completion=types.InlineCompletionClientCapabilities()
                    ),
                ),
            )
        )
        self.initialize_s = time.perf_counter() - began
        self.client.initialized(types.InitializedParams())

    async def stop(self) -> None:
        """Asks the server to shut down and waits until its process has ended."""
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await self.client.stop()

    @property
    def server_pid(self) -> int | None:
        process = self.client._server  # pyright: ignore[reportPrivateUsage]  # pygls offers no accessor
        return process.pid if process else None

    async def request(self, method: str, params: dict[str, Any]) -> Any:
        return await self.client.protocol.send_request_async(method, params)

    async def request_plain(self, method: str, params: dict[str, Any]) -> Any:
        """The answer as plain JSON values."""
        return plain(await self.request(method, params))

    async def inline_completions(self, uri: str, line: int, character: int) -> list[str]:
        """What is offered at a position after a key was typed there."""
        params = types.InlineCompletionParams(
            context=types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
            text_document=types.TextDocumentIdentifier(uri),
            position=types.Position(line, character),
        )
        answer = await self.client.text_document_inline_completion_async(params)
        items = answer.items if isinstance(answer, types.InlineCompletionList) else answer or []
        return [
            each.insert_text if isinstance(each.insert_text, str) else each.insert_text.value
            for each in items
        ]

    def open(self, file: Path, text: str, language: str) -> str:
        """Opens `file` with `text` (which may differ from the disk) and returns its URI."""
        uri = file.as_uri()
        self._versions[uri] = 1
        item = types.TextDocumentItem(uri=uri, language_id=language, version=1, text=text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
        return uri

    def type(self, uri: str, line: int, character: int, text: str) -> None:
        """Inserts `text` at a position, as one keystroke would."""
        self.change(uri, (line, character), (line, character), text)

    def change(self, uri: str, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        """Puts `text` in the place of what stands between two positions."""
        self._versions[uri] += 1
        where = types.Range(types.Position(*start), types.Position(*end))
        change = types.TextDocumentContentChangePartial(range=where, text=text)
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                text_document=types.VersionedTextDocumentIdentifier(self._versions[uri], uri),
                content_changes=[change],
            )
        )

    def save(self, uri: str) -> None:
        """Tells that the document was written to the disk."""
        self.client.text_document_did_save(
            types.DidSaveTextDocumentParams(text_document=types.TextDocumentIdentifier(uri))
        )

    def rests(self, uri: str, line: int, character: int) -> None:
        """The cursor has stayed at a position for a while."""
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        self.client.protocol.notify("foreword/cursor", place)

    def close(self, uri: str) -> None:
        del self._versions[uri]
        self.client.text_document_did_close(
            types.DidCloseTextDocumentParams(text_document=types.TextDocumentIdentifier(uri))
        )

    async def until(
        self,
        ready: Callable[[dict[str, Any]], bool],
        told: Callable[[dict[str, Any]], None],
        timeout_s: float,
    ) -> dict[str, Any]:
        """Polls `foreword/status` until `ready`; raises TimeoutError with the last status."""
        deadline = time.monotonic() + timeout_s
        while True:
            status = plain(await self.request("foreword/status", {}))
            told(status)
            if ready(status):
                return status
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {timeout_s:.0f} s: {status}")
            await asyncio.sleep(0.5)


def _agree(params: Any) -> None:
    """What the server asks or tells is fine, and nothing follows from it here."""


def plain(value: Any) -> Any:
    """pygls turns unknown results into nested named tuples; this turns them back into dicts and lists."""
    if hasattr(value, "_asdict"):
        return {name: plain(inner) for name, inner in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return value
