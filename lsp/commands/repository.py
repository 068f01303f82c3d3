"""`foreword index` and `foreword search`: the index service asked from a terminal."""

from __future__ import annotations

import re
import time
from pathlib import Path

import msgspec
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from indexer.client import IndexClient, IndexServiceError
from indexer.messages import Hit, Hits, ProgressNote, RootStatus, ServiceStatus
from lsp.terminal import EXIT_EMPTY, Report, err, fail, out, print_json, progress, run, size

INDEX_TIMEOUT_S = 3600.0
"""A cold index of the largest repositories with vectors; the bar shows that it moves."""

UNITS = {"parsing": "files", "embedding": "chunks"}
SHOWN_LINES = 3
"""Of a hit: its first line, and those that have a word of the query."""
TELLING_WORD = 3
"""Letters from which on a word of the query is looked for in the lines of a hit."""


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


# ---------------------------------------------------------------- index


def run_index(root: Path, *, wait_vectors: bool, as_json: bool) -> None:
    started = time.monotonic()

    async def index() -> tuple[RootStatus, ServiceStatus]:
        with progress(not as_json, UNITS) as report:
            client, status = await open_root(root, report, wait_vectors=wait_vectors)
        try:
            return status, await client.status(str(root))
        finally:
            await client.close()

    status, service = run(index(), (IndexServiceError,))
    waited_s = time.monotonic() - started if wait_vectors else None
    if as_json:
        told = {**msgspec.to_builtins(status), "store": service.store, "store_bytes": service.store_bytes}
        print_json(told if waited_s is None else {**told, "seconds_with_vectors": waited_s})
        return
    for note in filter(None, (status.note, status.error)):
        err.print(f"[yellow]{escape(note)}[/]")
    out.print(_table(status, service, waited_s))


def _table(status: RootStatus, service: ServiceStatus, waited_s: float | None) -> Table:
    """`waited_s` is how long all of it took, vectors too, where they were waited for."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name in ("files", "symbols", "references", "chunks", "vectors"):
        table.add_row(name, f"{getattr(status, name):,}")
    for reason, count in sorted(status.skipped.items(), key=lambda each: (-each[1], each[0])):
        table.add_row("skipped", f"{count:,}  {escape(reason)}{_example(status, reason)}")
    if status.redacted:
        table.add_row("redacted", f"{status.redacted:,} lines with what looks like a secret")
    rate = size(status.source_bytes / status.seconds) if status.seconds else "–"
    table.add_row("seconds", f"{status.seconds:.2f}  {size(status.source_bytes)} at {rate}/s")
    if waited_s is not None:
        table.add_row(
            "", f"{waited_s:.2f}  until every chunk had its vector, the start of the service included"
        )
    table.add_row("store", f"{size(service.store_bytes)}  for all folders, in {escape(service.store)}")
    return table


def _example(status: RootStatus, reason: str) -> str:
    """One file that was skipped for this reason, where the service names one."""
    example = next((each.path for each in status.skipped_examples if each.reason == reason), "")
    return f"  [dim]{escape(example)}[/]" if example else ""


def run_forget(root: Path | None, *, as_json: bool) -> None:
    """Removes what is stored of `root`, or everything."""

    async def forget() -> None:
        client = await IndexClient.connect()
        try:
            await client.forget(None if root is None else str(root))
        finally:
            await client.close()

    run(forget(), (IndexServiceError,))
    if as_json:
        print_json({"forgotten": None if root is None else str(root)})
        return
    err.print("forgot everything that was indexed" if root is None else f"forgot {escape(str(root))}")


# ---------------------------------------------------------------- search


def run_search(query: str, root: Path, *, limit: int, as_json: bool) -> None:
    if not query.strip():
        fail("an empty query finds nothing; say what to look for")

    async def search() -> Hits:
        with progress(not as_json, UNITS) as report:
            client, _ = await open_root(root, report)
        try:
            return await client.search(str(root), query, limit)
        finally:
            await client.close()

    found = run(search(), (IndexServiceError,))
    if as_json:
        print_json(found)
    elif found.note:
        err.print(f"[dim]{escape(found.note)}[/]")
    if not found.hits:
        fail(f"nothing in {root} matches {query!r}", EXIT_EMPTY)
    if as_json:
        return
    telling = _telling(query)
    for number, hit in enumerate(found.hits):
        if number:
            out.print()
        _show(hit, telling)


def _telling(query: str) -> re.Pattern[str]:
    """What of a query is worth being shown in a hit."""
    words = sorted(
        {word for word in re.findall(r"\w+", query) if len(word) >= TELLING_WORD}, key=len, reverse=True
    )
    return re.compile("|".join(map(re.escape, words or [query.strip()])), re.IGNORECASE)


def _show(hit: Hit, telling: re.Pattern[str]) -> None:
    """Its place and why it is one, then a few of its lines; on a terminal each within the width."""
    head = Text.assemble(
        (hit.path, "bold"), f":{hit.start_line + 1}", (f"-{hit.end_line}", "dim"), "  ", (hit.why, "cyan"),
        (f"  {hit.score:.3f}", "dim"),
    )  # fmt: skip
    out.print(head)  # wraps where it has to: a path is for copying
    for at, line in _shown(hit.text, telling):
        text = Text(line.expandtabs(4).rstrip())
        text.highlight_regex(telling, "yellow")
        _line(Text.assemble((f"{hit.start_line + at + 1:>6}  ", "dim"), text))


def _shown(text: str, telling: re.Pattern[str]) -> list[tuple[int, str]]:
    """(number, line) of the first line and of those that tell most."""
    lines = [(at, line) for at, line in enumerate(text.split("\n")) if line.strip()]
    by_worth = sorted(lines[1:], key=lambda each: -len({found.lower() for found in telling.findall(each[1])}))
    return sorted(lines[:1] + [each for each in by_worth if telling.search(each[1])][: SHOWN_LINES - 1])


def _line(text: Text) -> None:
    if out.is_terminal:
        out.print(text, no_wrap=True, overflow="ellipsis", crop=True, soft_wrap=False)
    else:
        out.print(text, soft_wrap=True)
