"""`make demo`: a real repository, the real server over stdio, and completions with and without its other files.

Everything printed is what happened in this run. The example is a source distribution from PyPI, used as a plain
archive. Before anything is indexed, the file of each place is cut at the cursor: neither the true line nor what
follows it is on the disk that the server sees.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from client import Editor, plain
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from benchmarks.archives import HTTPX, ArchiveError, fetch, unpack

READY_TIMEOUT_S = 3600.0
"""The first run downloads half a gigabyte of model."""
COMPLETION_TIMEOUT_S = 300.0

PROMPT_TOKENS = 2_048
"""Left to itself the server sizes prompts by the speed that it measures; here every machine is to show the same."""

console = Console(highlight=False, soft_wrap=True)


class Place(msgspec.Struct, frozen=True):
    """Where the demo types: `line` (1-based, as a check that the archive is the pinned one) reads `truth`; the part
    `typed` of it is typed, key by key, and the rest is left to the model. `needs` is defined in `defined_in`."""

    file: str
    line: int
    truth: str
    typed: str
    needs: str
    defined_in: str


PLACES = (
    Place(
        file="httpx/_client.py",
        line=453,
        truth="            return FunctionAuth(func=auth)",
        typed="            return ",
        needs="FunctionAuth",
        defined_in="httpx/_auth.py",
    ),
    Place(
        file="httpx/_models.py",
        line=940,
        truth="            raise StreamConsumed()",
        typed="            raise ",
        needs="StreamConsumed",
        defined_in="httpx/_exceptions.py",
    ),
)
"""Each written with the repository and missed without it at every prompt size tried (benchmarks/LOG.md): the last
digits of a product, which differ from processor to processor, decide neither."""


def cut(repository: Path, place: Place) -> str:
    """Cuts the place's file before its line on the disk; returns what is left, which ends in a newline."""
    file = repository / place.file
    lines = file.read_text().splitlines(keepends=True)
    if lines[place.line - 1].rstrip("\n") != place.truth:
        raise SystemExit(f"{place.file}:{place.line} is not the line that the demo knows")
    kept = "".join(lines[: place.line - 1])
    file.write_text(kept)
    return kept


class Bars:
    """Work-done progress of the server as bars in the terminal, or as plain lines on a pipe."""

    def __init__(self) -> None:
        columns = (TextColumn("  {task.description}"), BarColumn(), TextColumn("{task.fields[message]}"))
        self.bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str | int, TaskID] = {}
        self._titles: dict[str | int, str] = {}
        self.partial: dict[str | int, Any] = {}

    def told(self, token: str | int, value: Any) -> None:
        if token in self.partial:
            self.partial[token](plain(value))
            return
        value = plain(value)
        kind = value.get("kind")
        if kind == "begin":
            self._titles[token] = value["title"]
            self._tasks[token] = self.bars.add_task(
                value["title"], total=100, message=value.get("message") or ""
            )
        elif token in self._tasks:
            done = 100 if kind == "end" else value.get("percentage")
            self.bars.update(self._tasks[token], completed=done, message=value.get("message") or "")
            if kind == "end" and not console.is_terminal:
                console.print(f"  {self._titles[token]}: {value.get('message') or 'done'}")


async def complete(
    editor: Editor, bars: Bars, uri: str, place: Place, line: int, *, with_context: bool
) -> Any:
    """One streamed completion, shown while it is written; returns the server's result."""
    token = f"demo-{uri}-{with_context}-{time.monotonic_ns()}"
    shown = place.typed.lstrip()
    live = Live(escape("  " + shown), console=console, auto_refresh=False, transient=True)

    def grow(value: Any) -> None:
        live.update(f"  [dim]{escape(shown)}[/][bold green]{escape(value['text'])}[/]", refresh=True)

    bars.partial[token] = grow
    request = {
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": len(place.typed)},
        "repositoryContext": with_context,
        "partialResultToken": token,
    }
    with live:
        result = plain(
            await asyncio.wait_for(
                editor.request("foreword/completion", request), timeout=COMPLETION_TIMEOUT_S
            )
        )
    del bars.partial[token]
    label = "with the repository" if with_context else "without it"
    text = result["text"] or f"(nothing: {result['reason']})"
    console.print(f"  {label:20} [dim]{escape(shown)}[/][bold green]{escape(text)}[/]")
    console.print(
        f"  {'':20} [dim]first token {result['ttftS']:.2f} s, all {result['totalS']:.2f} s, "
        f"{result['promptTokens']} tokens read, {result['cachedTokens']} of them cached[/]"
    )
    return result


def show_segments(segments: list[Any]) -> None:
    """One line for each segment, whole: a reason that is cut off is none."""
    console.print(f"  the model read {len(segments)} segments of other files, because:")
    for segment in segments:
        span = f"{segment['path']}:{segment['startLine'] + 1}-{segment['endLine']}"
        line = f"    {span:38} {segment['tokens']:4} tokens  {segment['layer']}  {segment['reason']}"
        console.print(Text(line, style="dim"), soft_wrap=True)


async def visit(editor: Editor, bars: Bars, repository: Path, place: Place, text: str) -> bool:
    """Types at one place and asks without context, with it, and with it again; True if the symbol was used."""
    console.print(
        f"\n[bold]{place.file}[/]:{place.line} needs [bold]{place.needs}[/] from {place.defined_in}"
    )
    console.print(f"  the line that was cut away: [dim]{escape(place.truth.strip())}[/]")
    uri = editor.open(repository / place.file, text, "python")
    line = text.count("\n")
    for column, key in enumerate(place.typed):
        editor.type(uri, line, column, key)
    await complete(editor, bars, uri, place, line, with_context=False)
    found = await complete(editor, bars, uri, place, line, with_context=True)
    show_segments(found["segments"])
    again = await complete(editor, bars, uri, place, line, with_context=True)
    share = again["cachedTokens"] / again["promptTokens"] if again["promptTokens"] else 0.0
    console.print(f"  the same request again: {share:.1%} of the prompt was in the prefix cache")
    return place.needs in found["text"]


async def drive(repository: Path, texts: dict[Place, str]) -> bool:
    bars = Bars()
    editor = Editor(bars.told)
    await editor.start(repository, {"budgetTokens": PROMPT_TOKENS})
    console.print(f"[bold]foreword lsp[/] answered `initialize` {editor.initialize_s:.2f} s after its start")
    try:
        with bars.bars:
            status = await editor.until(_ready, lambda _: None, READY_TIMEOUT_S)
        console.print(
            f"  model  {escape(str(status['engine']['model']))}: {escape(str(status['engine']['reason']))}"
        )
        for root in status["index"]["roots"]:
            console.print(
                f"  index  {root['files']} files, {root['symbols']} symbols, {root['references']} references, "
                f"{root['chunks']} chunks in {root['seconds']:.2f} s"
            )
        used = [await visit(editor, bars, repository, place, texts[place]) for place in PLACES]
    finally:
        await editor.stop()
    console.print(
        f"\n{sum(used)} of {len(used)} completions with the repository used the symbol of the other file"
    )
    return all(used)


def _ready(status: dict[str, Any]) -> bool:
    """True when engine and index can answer. Raises SystemExit when the engine has failed."""
    engine, index = status["engine"], status["index"]
    if engine["state"] == "failed":
        raise SystemExit(f"the engine failed: {engine['reason']}")
    roots = index.get("roots") or []
    return engine["state"] == "ready" and bool(roots) and all(root["state"] == "ready" for root in roots)


def main() -> None:
    began = time.perf_counter()
    try:
        archive = fetch(HTTPX)
    except ArchiveError as error:
        raise SystemExit(str(error)) from None
    console.print(f"[bold]{HTTPX.file}[/] ({archive.stat().st_size / 1e6:.2f} MB) is the example repository")
    with tempfile.TemporaryDirectory(prefix="foreword-demo-") as folder:
        repository = unpack(HTTPX, Path(folder))
        texts = {place: cut(repository, place) for place in PLACES}
        done = asyncio.run(drive(repository, texts))
    console.print(f"[dim]{time.perf_counter() - began:.0f} s in all[/]")
    console.print(
        "[dim]The engine stays for half an hour after its last request: .venv/bin/foreword engine stop[/]"
    )
    raise SystemExit(0 if done else 1)


if __name__ == "__main__":
    main()
