"""`foreword index` and `foreword search`: the index service asked from a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape
from rich.table import Table

from indexer.client import IndexClient, IndexServiceError
from indexer.messages import Hits, ProgressNote, RootStatus
from lsp.terminal import EXIT_EMPTY, Report, err, fail, out, print_json, progress, run

INDEX_TIMEOUT_S = 3600.0
"""A cold index of the largest repositories with vectors; the bar shows that it moves."""

MEBIBYTE = 1024 * 1024


async def open_root(
    root: Path, report: Report, *, wait_vectors: bool = False
) -> tuple[IndexClient, RootStatus]:
    """A connection to the index service with `root` indexed; the caller closes it. Raises IndexServiceError."""
    client = await IndexClient.connect()

    def on_progress(note: ProgressNote) -> None:
        report(note.stage, note.done, note.total)

    try:
        status = await client.open_root(
            str(root),
            wait=True,
            wait_vectors=wait_vectors,
            on_progress=on_progress,
            timeout_s=INDEX_TIMEOUT_S,
        )
    except BaseException:
        await client.close()
        raise
    if status.state == "failed":
        await client.close()
        raise IndexServiceError(f"{root} could not be indexed: {status.error}")
    return client, status


def run_index(root: Path, *, wait_vectors: bool, as_json: bool) -> None:
    async def index() -> RootStatus:
        with progress(not as_json) as report:
            client, status = await open_root(root, report, wait_vectors=wait_vectors)
        await client.close()
        return status

    status = run(index(), (IndexServiceError,))
    if as_json:
        print_json(status)
        return
    for note in filter(None, (status.note, status.error)):
        err.print(f"[yellow]{escape(note)}[/]")
    rate = status.source_bytes / MEBIBYTE / status.seconds if status.seconds else 0.0
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("files", f"{status.files:,}")
    table.add_row("symbols", f"{status.symbols:,}")
    table.add_row("references", f"{status.references:,}")
    table.add_row("chunks", f"{status.chunks:,}")
    table.add_row("vectors", f"{status.vectors:,}")
    table.add_row("seconds", f"{status.seconds:.2f}")
    table.add_row("MB/s", f"{rate:.2f}")
    for reason, count in sorted(status.skipped.items()):
        table.add_row("skipped", f"{count:,}  {escape(reason)}")
    out.print(table)


def run_search(query: str, root: Path, *, limit: int, as_json: bool) -> None:
    if not query.strip():
        fail("an empty query finds nothing; say what to look for")

    async def search() -> Hits:
        with progress(not as_json) as report:
            client, _ = await open_root(root, report)
        try:
            return await client.search(str(root), query, limit)
        finally:
            await client.close()

    found = run(search(), (IndexServiceError,))
    if as_json:
        print_json(found)
        return
    if found.note:
        err.print(escape(found.note))
    if not found.hits:
        fail(f"nothing in {root} matches {query!r}", EXIT_EMPTY)
    for hit in found.hits:
        out.print(f"[bold]{escape(hit.path)}[/]:{hit.start_line + 1}  {hit.score:.3f}  {hit.why}")
        out.print(f"    {escape(hit.text.strip().splitlines()[0][:100])}")
