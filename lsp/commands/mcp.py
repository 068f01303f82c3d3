"""`foreword mcp`: the index for agents, on stdio."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lsp.terminal import absolute, fail


def run_mcp(folders: list[Path]) -> None:
    """Serves until stdin ends."""
    if importlib.util.find_spec("mcp") is None:
        fail(
            "`foreword mcp` needs the extra foreword[mcp]: pip install 'foreword[mcp]' (`make setup` has it)"
        )
    from lsp.mcp.server import create

    roots = list(dict.fromkeys(absolute(folder) for folder in folders or [Path()]))
    if not folders and roots[0] in (Path.home(), Path(roots[0].anchor)):
        fail(
            f"{roots[0]} is no repository but everything that you have; "
            "start `foreword mcp` in a repository, or name one with --dir"
        )
    create(roots).run("stdio")
