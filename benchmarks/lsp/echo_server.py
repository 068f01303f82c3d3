"""A bare pygls server that keeps documents as pygls does and completes everything with the same word: what the protocol
alone costs. Run as a module."""

from __future__ import annotations

from lsprotocol import types
from pygls.lsp.server import LanguageServer

WORD = "echo"


def main() -> None:
    server = LanguageServer("echo", "1", text_document_sync_kind=types.TextDocumentSyncKind.Incremental)

    def complete(params: types.InlineCompletionParams) -> types.InlineCompletionList:
        return types.InlineCompletionList(items=[types.InlineCompletionItem(insert_text=WORD)])

    server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())(complete)
    server.start_io()


if __name__ == "__main__":
    main()
