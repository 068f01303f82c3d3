"""`foreword complete`, and the place in a file that it shares with `foreword context`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

import msgspec
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from engine.endpoints.sse import EngineRequestError
from engine.hosting.launcher import EngineError, EngineInfo
from engine.paths import EnginePathError
from engine.profiles import ProfileError
from engine.tokens import TokenizerError
from engine.weights.weights import WeightsError
from indexer.client import IndexClient, IndexServiceError
from indexer.files.exclusions import why_file_excluded
from lsp.commands.repository import open_root
from lsp.completion import Completion, complete
from lsp.documents import Snapshot, offset_at, position_at
from lsp.links.engines import Engine, NoEngine, choose_profile, configured, embedded
from lsp.settings import EngineSettings, Settings
from lsp.terminal import EXIT_EMPTY, Place, Report, err, fail, out, print_json, progress, root_of, run

EXPECTED = (
    EngineError,
    EnginePathError,
    EngineRequestError,
    IndexServiceError,
    NoEngine,
    ProfileError,
    TokenizerError,
    WeightsError,
)
"""What can go wrong outside Foreword; each message is for a person."""


def snapshot_of(place: Place) -> tuple[Snapshot, int]:
    """The file as a document and the cursor's offset in it. Ends the command when there is no such place."""
    from indexer.packing.syntax import language_of

    try:
        text = place.file.read_bytes().decode("utf-8-sig")  # a byte order mark is no character of the text
    except FileNotFoundError:
        fail(f"{place.file} does not exist")
    except UnicodeDecodeError:
        fail(f"{place.file} is not UTF-8")
    except OSError as error:
        fail(f"{place.file} cannot be read: {error.strerror}")
    try:
        why = why_file_excluded(place.file, root_of(place.file))
    except OSError as error:
        fail(f"whether {place.file} may be read cannot be told: {error}")
    if why is not None:
        fail(f"{place.file} is never shown to a model: {why}", EXIT_EMPTY)
    offset = offset_at(text, place.line, place.character, "utf-32")
    if position_at(text, offset, "utf-32") != (place.line, place.character):
        _refuse(place, text)
    path = str(place.file)
    return Snapshot(place.file.as_uri(), path, language_of(path), 1, text), offset


def _refuse(place: Place, text: str) -> NoReturn:
    """Says where the file ends, or the line."""
    lines = position_at(text, len(text), "utf-32")[0] + 1
    asked = f"{place.file} has no position {place.line + 1}:{place.character + 1}"
    if place.line >= lines:
        fail(f"{asked}: it has {lines} lines")
    longest = position_at(text, offset_at(text, place.line, len(text), "utf-32"), "utf-32")[1]
    fail(f"{asked}: the last column of line {place.line + 1} is {longest + 1}")


def run_complete(
    place: Place,
    *,
    with_context: bool,
    prompt_tokens: int | None,
    model: str | None,
    url: str | None,
    key: str,
    as_json: bool,
) -> None:
    document, offset = snapshot_of(place)
    settings = Settings(model=model or "auto", budget_tokens=prompt_tokens or 0)
    if url:
        foreign = EngineSettings(kind="openai", url=url, key=key, model=model or "")
        settings = msgspec.structs.replace(settings, engine=foreign)

    async def write() -> Completion:
        async with AsyncExitStack() as held:
            with progress(not as_json) as report:
                engine = await engine_of(settings, report)
                held.push_async_callback(engine.endpoint.close)
                client = None
                if with_context:
                    client, _ = await open_root(root_of(place.file), report)
                    held.push_async_callback(client.close)
            return await _streamed(document, offset, client, engine, settings, shown=not as_json)

    completion = run(write(), EXPECTED)
    for note in completion.notes:
        err.print(f"[yellow]{escape(note)}[/]")
    if as_json:
        names = ("text", "completion_tokens", "prompt_tokens", "cached_tokens", "ttft_s", "total_s", "reason")
        print_json({name: getattr(completion, name) for name in names})
    elif completion.text:
        out.print(Text(completion.text))
        cached = "" if completion.cached_tokens is None else f", {completion.cached_tokens} of them cached"
        err.print(
            f"[dim]first token {completion.ttft_s:.2f} s, all {completion.total_s:.2f} s, "
            f"{completion.prompt_tokens} tokens read{cached}[/]"
        )
    if not completion.text:
        fail(completion.reason, EXIT_EMPTY)


async def engine_of(settings: Settings, report: Report) -> Engine:
    if settings.engine.kind != "embedded":
        return await asyncio.to_thread(configured, settings.engine)

    def on_progress(info: EngineInfo) -> None:
        report(info.stage or info.state, info.done, info.total)

    choice = await asyncio.to_thread(choose_profile, settings.model)
    return await embedded(choice, on_progress, settings.engine.window_tokens)


async def _streamed(
    document: Snapshot,
    offset: int,
    client: IndexClient | None,
    engine: Engine,
    settings: Settings,
    *,
    shown: bool,
) -> Completion:
    """The completion, growing on stderr while it is written when that is a terminal."""
    if not settings.budget_tokens:
        settings = msgspec.structs.replace(settings, budget_tokens=engine.budget_tokens)
    with Live(console=err, auto_refresh=False, transient=True, screen=False) as live:

        def grow(text: str) -> None:
            if shown and err.is_terminal:
                live.update(Text(text, style="green"), refresh=True)

        return await complete(
            document,
            client,
            engine.endpoint,
            engine.tokenizer,
            engine.profile,
            settings,
            grow,
            offset=offset,
            root=str(root_of(Path(document.path or "."))),
        )
