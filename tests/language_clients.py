"""What language clients say of themselves in `initialize`: the parts that decide what a server may send them.

Each as its project publishes it, in the version of late 2026 where nothing else is said; `source` is where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

KINDS = list(range(1, 26))
SYMBOL_KINDS = list(range(1, 27))
LITERALS = {"codeActionKind": {"valueSet": ["", "quickfix", "refactor", "refactor.rewrite", "source"]}}
OPERATIONS = ["create", "rename", "delete"]


@dataclass(frozen=True)
class LanguageClient:
    name: str
    source: str
    capabilities: dict[str, Any]
    ghost_text: bool = False
    """Whether it shows inline completions."""


CLIENTS = [
    LanguageClient(
        "Neovim 0.12",
        "vim.lsp.protocol.make_client_capabilities() of 0.12.4",
        {
            "general": {"positionEncodings": ["utf-8", "utf-16", "utf-32"]},
            "window": {"workDoneProgress": True, "showDocument": {"support": True}},
            "workspace": {
                "applyEdit": True,
                "configuration": True,
                "workspaceFolders": True,
                "didChangeConfiguration": {"dynamicRegistration": False},
                "symbol": {"dynamicRegistration": False, "symbolKind": {"valueSet": SYMBOL_KINDS}},
                "workspaceEdit": {
                    "resourceOperations": OPERATIONS,
                    "changeAnnotationSupport": {"groupsOnLabel": True},
                },
            },
            "textDocument": {
                "synchronization": {"dynamicRegistration": False, "didSave": True},
                "inlineCompletion": {"dynamicRegistration": False},
                "completion": {
                    "dynamicRegistration": False,
                    "contextSupport": True,
                    "completionItem": {"snippetSupport": True, "insertReplaceSupport": True},
                    "completionItemKind": {"valueSet": KINDS},
                },
                "codeAction": {
                    "dynamicRegistration": True,
                    "dataSupport": True,
                    "codeActionLiteralSupport": LITERALS,
                    "resolveSupport": {"properties": ["edit", "command"]},
                },
                "documentSymbol": {"dynamicRegistration": False, "hierarchicalDocumentSymbolSupport": True},
            },
        },
        ghost_text=True,
    ),
    LanguageClient(
        "Neovim 0.11",
        "vim.lsp.protocol.make_client_capabilities() of 0.11.4",
        {
            "general": {"positionEncodings": ["utf-8", "utf-16", "utf-32"]},
            "window": {"workDoneProgress": True, "showDocument": {"support": True}},
            "workspace": {
                "applyEdit": True,
                "configuration": True,
                "workspaceFolders": True,
                "didChangeConfiguration": {"dynamicRegistration": False},
                "symbol": {"dynamicRegistration": False, "symbolKind": {"valueSet": SYMBOL_KINDS}},
                "workspaceEdit": {"resourceOperations": OPERATIONS},
            },
            "textDocument": {
                "synchronization": {"dynamicRegistration": False, "didSave": True},
                "completion": {
                    "dynamicRegistration": False,
                    "contextSupport": True,
                    "completionItem": {"snippetSupport": True},
                    "completionItemKind": {"valueSet": KINDS},
                },
                "codeAction": {
                    "dynamicRegistration": True,
                    "dataSupport": True,
                    "codeActionLiteralSupport": LITERALS,
                    "resolveSupport": {"properties": ["edit", "command"]},
                },
                "documentSymbol": {"dynamicRegistration": False, "hierarchicalDocumentSymbolSupport": True},
            },
        },
    ),
    LanguageClient(
        "Helix",
        "helix-editor/helix, helix-lsp/src/client.rs, initialize()",
        {
            "general": {"positionEncodings": ["utf-8", "utf-32", "utf-16"]},
            "window": {"workDoneProgress": True},
            "workspace": {
                "applyEdit": True,
                "configuration": True,
                "workspaceFolders": True,
                "didChangeConfiguration": {"dynamicRegistration": False},
                "symbol": {"dynamicRegistration": False},
                "executeCommand": {"dynamicRegistration": False},
                "workspaceEdit": {
                    "documentChanges": True,
                    "resourceOperations": OPERATIONS,
                    "failureHandling": "abort",
                    "normalizesLineEndings": False,
                },
                "didChangeWatchedFiles": {"dynamicRegistration": True, "relativePatternSupport": False},
            },
            "textDocument": {
                "completion": {
                    "completionItem": {
                        "snippetSupport": True,
                        "insertReplaceSupport": True,
                        "deprecatedSupport": True,
                        "tagSupport": {"valueSet": [1]},
                    },
                    "completionItemKind": {},
                },
                "codeAction": {
                    "dataSupport": True,
                    "disabledSupport": True,
                    "codeActionLiteralSupport": LITERALS,
                    "resolveSupport": {"properties": ["edit", "command"]},
                },
            },
        },
    ),
    LanguageClient(
        "Emacs, Eglot",
        "emacs, lisp/progmodes/eglot.el, eglot-client-capabilities",
        {
            "general": {"positionEncodings": ["utf-32", "utf-8", "utf-16"]},
            "window": {"workDoneProgress": True, "showDocument": {"support": True}},
            "workspace": {
                "applyEdit": True,
                "configuration": True,
                "workspaceFolders": True,
                "symbol": {"dynamicRegistration": False},
                "executeCommand": {"dynamicRegistration": False},
                "workspaceEdit": {"documentChanges": True},
                "didChangeWatchedFiles": {"dynamicRegistration": True},
            },
            "textDocument": {
                "synchronization": {"dynamicRegistration": False, "didSave": True},
                "completion": {
                    "dynamicRegistration": False,
                    "contextSupport": True,
                    "completionItem": {
                        "snippetSupport": False,
                        "deprecatedSupport": True,
                        "tagSupport": {"valueSet": [1]},
                        "insertReplaceSupport": True,
                    },
                },
                "codeAction": {
                    "dynamicRegistration": False,
                    "dataSupport": True,
                    "codeActionLiteralSupport": LITERALS,
                    "resolveSupport": {"properties": ["edit", "command"]},
                },
                "documentSymbol": {
                    "dynamicRegistration": False,
                    "hierarchicalDocumentSymbolSupport": True,
                    "symbolKind": {"valueSet": SYMBOL_KINDS},
                },
            },
            "experimental": {},
        },
    ),
    LanguageClient(
        "Zed",
        "zed-industries/zed, crates/lsp/src/lsp.rs, default_initialize_params(), of 2024",
        {
            "general": {"positionEncodings": ["utf-16"]},
            "window": {"workDoneProgress": True, "showMessage": {}},
            "workspace": {
                "applyEdit": True,
                "configuration": True,
                "workspaceFolders": True,
                "didChangeConfiguration": {"dynamicRegistration": True},
                "didChangeWatchedFiles": {"dynamicRegistration": True, "relativePatternSupport": True},
                "symbol": {},
                "workspaceEdit": {"documentChanges": True, "resourceOperations": OPERATIONS},
            },
            "textDocument": {
                "synchronization": {"didSave": True},
                "completion": {
                    "contextSupport": True,
                    "completionItem": {
                        "snippetSupport": True,
                        "insertReplaceSupport": True,
                        "labelDetailsSupport": True,
                    },
                    "completionList": {"itemDefaults": ["editRange", "insertTextMode", "data"]},
                },
                "codeAction": {
                    "dataSupport": True,
                    "codeActionLiteralSupport": LITERALS,
                    "resolveSupport": {"properties": ["kind", "diagnostics", "edit", "command"]},
                },
            },
            "experimental": {"serverStatusNotification": True, "localDocs": True},
        },
    ),
    LanguageClient(
        "Sublime Text, LSP",
        "sublimelsp/LSP, plugin/core/sessions.py, get_initialize_params()",
        {
            "general": {"markdown": {"parser": "Python-Markdown"}},
            "window": {"workDoneProgress": True, "showDocument": {"support": True}},
            "workspace": {
                "applyEdit": True,
                "configuration": True,
                "workspaceFolders": True,
                "didChangeConfiguration": {"dynamicRegistration": True},
                "executeCommand": {},
                "symbol": {"dynamicRegistration": True, "symbolKind": {"valueSet": SYMBOL_KINDS}},
                "workspaceEdit": {"documentChanges": True, "failureHandling": "abort"},
            },
            "textDocument": {
                "synchronization": {"dynamicRegistration": True, "didSave": True},
                "completion": {
                    "dynamicRegistration": True,
                    "completionItem": {
                        "snippetSupport": True,
                        "deprecatedSupport": True,
                        "insertTextModeSupport": {"valueSet": [2]},
                        "labelDetailsSupport": True,
                    },
                    "completionItemKind": {"valueSet": KINDS},
                    "insertTextMode": 2,
                },
                "codeAction": {
                    "dynamicRegistration": True,
                    "dataSupport": True,
                    "codeActionLiteralSupport": LITERALS,
                    "resolveSupport": {"properties": ["edit"]},
                },
                "documentSymbol": {
                    "dynamicRegistration": True,
                    "hierarchicalDocumentSymbolSupport": True,
                    "symbolKind": {"valueSet": SYMBOL_KINDS},
                },
            },
        },
    ),
    LanguageClient(
        "Kate",
        "KDE/kate, addons/lspclient/lspclientserver.cpp, initialize()",
        {
            "window": {"workDoneProgress": True},
            "workspace": {"workspaceFolders": True},
            "textDocument": {
                "synchronization": {"didSave": True},
                "completion": {"completionItem": {"snippetSupport": True}},
                "codeAction": {"codeActionLiteralSupport": LITERALS},
                "documentSymbol": {"hierarchicalDocumentSymbolSupport": True},
            },
        },
    ),
    LanguageClient(
        "coc.nvim",
        "neoclide/coc.nvim, src/language-client/client.ts and inlineCompletion.ts",
        {
            "general": {"positionEncodings": ["utf-16"]},
            "window": {"workDoneProgress": True, "showDocument": {"support": True}},
            "workspace": {
                "applyEdit": True,
                "configuration": True,
                "workspaceFolders": True,
                "didChangeConfiguration": {"dynamicRegistration": True},
                "symbol": {"dynamicRegistration": True, "symbolKind": {"valueSet": SYMBOL_KINDS}},
                "executeCommand": {"dynamicRegistration": True},
                "workspaceEdit": {
                    "documentChanges": True,
                    "resourceOperations": OPERATIONS,
                    "failureHandling": "undo",
                    "normalizesLineEndings": True,
                    "changeAnnotationSupport": {"groupsOnLabel": False},
                },
            },
            "textDocument": {
                "synchronization": {"dynamicRegistration": True, "didSave": True},
                "inlineCompletion": {"dynamicRegistration": True},
                "completion": {
                    "dynamicRegistration": True,
                    "contextSupport": True,
                    "completionItem": {
                        "snippetSupport": True,
                        "insertReplaceSupport": True,
                        "insertTextModeSupport": {"valueSet": [1, 2]},
                    },
                    "completionItemKind": {"valueSet": KINDS},
                    "insertTextMode": 2,
                },
                "codeAction": {
                    "dynamicRegistration": True,
                    "dataSupport": True,
                    "codeActionLiteralSupport": LITERALS,
                    "resolveSupport": {"properties": ["edit"]},
                },
                "documentSymbol": {"dynamicRegistration": True, "hierarchicalDocumentSymbolSupport": True},
            },
        },
        ghost_text=True,
    ),
    LanguageClient("a client that says nothing", "the protocol: every capability is optional", {}),
]
