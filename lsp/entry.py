"""The console script: the language server at once, every other command through `lsp.cli`."""

from __future__ import annotations

import gc
import sys

SERVER = ["lsp"]
"""The arguments that mean the language server and nothing else: an editor waits for it."""


def main() -> None:
    if sys.argv[1:] == SERVER:
        serve()
    from lsp.cli import main as command_line

    command_line()


def serve() -> None:
    """Without the command line's own modules, and without collections while a hundred thousand objects are made that
    all live as long as the process. Does not return."""
    gc.disable()
    from lsp.server import run

    gc.enable()
    run()
