"""The tools that an agent may call, and the server that offers them on stdio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from indexer.messages import Definition, PackRequest, RootStatus, TokenizerRef
from lsp.mcp.answers import (
    bounded,
    definition_head,
    hit_text,
    reference_line,
    segment_text,
    status_text,
)
from lsp.mcp.repositories import Refused, Repositories, read_text

INSTRUCTIONS = """The index of the user's repository. `pack` tells what to read before editing at a place; `search` \
finds by words, symbols and meaning; `symbol` shows definitions with their source; `references` shows who uses one. \
Paths are relative to the folder, lines and columns count from 1. Secrets in texts are replaced by a mark."""

READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)
"""No tool changes anything, or reaches further than this machine."""

SIMILAR = 8
"""Names that are suggested where there is no definition of the one that was asked for."""

Folder = Annotated[
    str, Field(description="One of the folders that this server was started for; empty: the first.")
]
Ctx = Context[Any, Any]


class Tools:
    def __init__(self, repositories: Repositories) -> None:
        self._of = repositories

    def all(self) -> list[Callable[..., Any]]:
        return [self.search, self.symbol, self.references, self.pack, self.status]

    async def search(
        self,
        ctx: Ctx,
        query: Annotated[str, Field(min_length=1, max_length=1000)],
        limit: Annotated[int, Field(ge=1, le=50)] = 10,
        folder: Folder = "",
    ) -> str:
        """Finds places in the repository by words, symbol names and meaning; each with its text."""
        root = await self._indexed(ctx, folder)
        found = await self._of.ask(root, lambda client: client.search(str(root), query, limit))
        if not found.hits:
            raise Refused(f"nothing in {root} matches {query!r}; try other words, or `symbol` for a name")
        return bounded([hit_text(hit) for hit in found.hits], found.note)

    async def symbol(
        self,
        ctx: Ctx,
        name: Annotated[str, Field(min_length=1, max_length=200, description="Exact, without its class.")],
        path: Annotated[str, Field(description="Only in this file.")] = "",
        limit: Annotated[int, Field(ge=1, le=50)] = 5,
        folder: Folder = "",
    ) -> str:
        """Shows the definitions of a name with their source."""
        root, relative = await self._place(ctx, path, folder)
        asked = await self._of.ask(
            root, lambda client: client.symbols(str(root), name=name, path=relative or None, limit=limit)
        )
        if not asked.definitions:
            raise Refused(await self._no_definition(root, name, relative))
        return bounded([await self._source(root, each) for each in asked.definitions])

    async def references(
        self,
        ctx: Ctx,
        name: Annotated[str, Field(min_length=1, max_length=200)],
        path: Annotated[
            str, Field(description="With `line`: only what means the definition there, or what stands there.")
        ] = "",
        line: Annotated[int, Field(ge=0)] = 0,
        limit: Annotated[int, Field(ge=1, le=500)] = 100,
        folder: Folder = "",
    ) -> str:
        """Shows the places that refer to a name: the line, and what is meant there or why nobody can tell."""
        if bool(path) != bool(line):
            raise Refused(
                "`path` and `line` go together: where the name is defined, or one place that refers to it"
            )
        root, relative = await self._place(ctx, path, folder)
        found = await self._of.ask(
            root, lambda client: client.references(str(root), name, limit, path=relative, line=line - 1)
        )
        if not found.references:
            raise Refused(f"nothing in {root} refers to {name}. {found.note}".rstrip())
        texts: dict[str, list[str]] = {}
        for each in found.references:
            if each.path not in texts:
                texts[each.path] = await self._lines_or_none(root, each.path)
        return bounded([reference_line(each, texts[each.path]) for each in found.references], found.note)

    async def pack(
        self,
        ctx: Ctx,
        path: Annotated[str, Field(min_length=1)],
        line: Annotated[int, Field(ge=1)],
        column: Annotated[int, Field(ge=1, description="In characters.")] = 1,
        budget: Annotated[int, Field(ge=100, le=32_000, description="Tokens, estimated.")] = 4_000,
    ) -> str:
        """What is worth reading of the other files before writing at this place, each part with why it is there."""
        root, file = self._of.file(path)
        await self._of.ready(root, progress_of(ctx))
        text = await asyncio.to_thread(read_text, file)
        if line > text.count("\n") + 1:
            raise Refused(f"{path} has {text.count(chr(10)) + 1} lines, and no line {line}")
        request = PackRequest(str(file), text, line - 1, column - 1, budget, TokenizerRef(), root=str(root))
        pack = await self._of.ask(root, lambda client: client.pack(request))
        notes = "; ".join(pack.notes)
        if not pack.segments:
            raise Refused(
                f"nothing of the repository is worth reading for {path}:{line}:{column}. {notes}".rstrip()
            )
        return bounded([segment_text(segment) for segment in pack.segments], notes)

    async def status(self) -> str:
        """What is indexed, and what is left out and why."""
        return "\n\n".join([status_text(await self._of.status(root)) for root in self._of.roots])

    # ------------------------------------------------------------ what they share

    async def _indexed(self, ctx: Ctx, folder: str) -> Path:
        root = self._of.root_named(folder)
        await self._of.ready(root, progress_of(ctx))
        return root

    async def _place(self, ctx: Ctx, path: str, folder: str) -> tuple[Path, str]:
        """(root, path below it); of no path the root that is meant."""
        if not path:
            return await self._indexed(ctx, folder), ""
        root, file = self._of.file(path)
        await self._of.ready(root, progress_of(ctx))
        return root, file.relative_to(root).as_posix()

    async def _source(self, root: Path, definition: Definition) -> str:
        lines = await self._lines_or_none(root, definition.path)
        return "\n".join([definition_head(definition), *lines[definition.start_line : definition.end_line]])

    async def _lines_or_none(self, root: Path, path: str) -> list[str]:
        """None of a file that cannot be read any longer: where it stood is still worth telling."""
        try:
            return await self._of.lines(root, path)
        except Refused:
            return []

    async def _no_definition(self, root: Path, name: str, path: str) -> str:
        like = await self._of.ask(root, lambda client: client.symbols(str(root), query=name, limit=SIMILAR))
        names = sorted({each.name for each in like.definitions})
        similar = f"Similar names: {', '.join(names)}" if names else "Try `search`"
        return f"{path or root} has no definition of {name}. {similar}"


def progress_of(ctx: Ctx) -> Callable[[RootStatus], Any]:
    async def report(status: RootStatus) -> None:
        await ctx.report_progress(status.files_done, status.files or None, f"indexing {status.root}")

    return report


def told(tool: Callable[..., Any]) -> Callable[..., Any]:
    """The same with refusals as errors that the agent reads."""
    from functools import wraps

    @wraps(tool)
    async def answered(*given: Any, **named: Any) -> str:
        try:
            return await tool(*given, **named)
        except Refused as why:
            raise ToolError(str(why)) from why

    return answered


def create(roots: Sequence[Path]) -> MCPServer:
    repositories = Repositories(list(roots))

    @asynccontextmanager
    async def life(_: MCPServer) -> AsyncGenerator[None]:
        try:
            yield None
        finally:
            await repositories.close()

    server = MCPServer(
        "foreword",
        title="Foreword",
        instructions=f"{INSTRUCTIONS} Folders: {repositories.named_roots()}.",
        version=version("foreword"),
        lifespan=life,
        log_level="WARNING",
    )
    for tool in Tools(repositories).all():
        server.add_tool(told(tool), annotations=READ_ONLY, structured_output=False)
    return server
