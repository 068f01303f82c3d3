"""`foreword context` and `foreword complete`: what the server does at a cursor, asked from a terminal."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

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
from indexer.messages import Pack, PackRequest, TokenizerRef
from lsp.commands.repository import open_root
from lsp.completion import Completion, Tokenizer, complete, context_share
from lsp.documents import Snapshot, offset_at, position_at
from lsp.engines import Engine, NoEngine, choose_profile, configured, embedded, prompt_budget
from lsp.settings import EngineSettings, Settings
from lsp.terminal import EXIT_EMPTY, Place, Report, err, fail, out, print_json, progress, root_of, run

if TYPE_CHECKING:
    from engine.profiles import Choice, Profile

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


def run_context(place: Place, *, budget: int | None, model: str | None, as_json: bool) -> None:
    document, offset = snapshot_of(place)
    line, character = position_at(document.text, offset, "utf-32")

    async def ask() -> Pack:
        with progress(not as_json) as report:
            choice = await asyncio.to_thread(_profile_for_counting, model or "")
            tokenizer, estimated = await asyncio.to_thread(_tokenizer, choice.profile, report)
            if estimated:
                err.print(f"[yellow]tokens are estimated: {escape(estimated)}[/]")
            client, _ = await open_root(root_of(place.file), report)
        settings = Settings(budget_tokens=prompt_budget(choice.profile, choice.device))
        window = choice.profile.context_native
        share = await asyncio.to_thread(context_share, document, offset, settings, window, tokenizer)
        try:
            request = PackRequest(
                path=str(place.file),
                text=document.text,
                line=line,
                character=character,
                budget=share if budget is None else budget,
                tokenizer=TokenizerRef(str(tokenizer.file) if tokenizer.file else None),
                root=str(root_of(place.file)),
            )
            return await client.pack(request)
        finally:
            await client.close()

    pack = run(ask(), EXPECTED)
    if as_json:
        print_json(_document(pack))
    for note in pack.notes:
        err.print(f"[yellow]{escape(note)}[/]")
    if not pack.segments:
        fail("the pack is empty", EXIT_EMPTY)
    if as_json:
        return
    for segment in pack.segments:
        span = f"{segment.path}:{segment.start_line + 1}-{segment.end_line}"
        out.print(
            f"[bold]{escape(span)}[/]  {segment.tokens} tokens, {segment.layer}: {escape(segment.reason)}"
        )
        out.print(
            Text("".join(f"    {line}" for line in segment.text.splitlines(keepends=True)), style="dim")
        )
    out.print(f"{pack.tokens} of {pack.budget} tokens")


def _profile_for_counting(model: str) -> Choice:
    """The model that a completion would take; nothing is run here, so that too little memory is no obstacle."""
    from engine.profiles import QWEN_SMALL, Choice

    try:
        return choose_profile(model)
    except ProfileError:
        if model not in ("", "auto"):
            raise
        return Choice(QWEN_SMALL, "only its tokenizer is used", "cpu")


def _tokenizer(profile: Profile, report: Report) -> tuple[Tokenizer, str]:
    """The model's tokenizer, or an estimate and why."""
    from engine.weights.tokenizer_file import tokenizer_for

    return tokenizer_for(profile, report)


def _document(pack: Pack) -> dict[str, Any]:
    """The shape that the README promises: lines 1-based, the last line included, no token ids."""
    segments = [
        {
            "path": segment.path,
            "start_line": segment.start_line + 1,
            "end_line": segment.end_line,
            "tokens": segment.tokens,
            "layer": segment.layer,
            "reason": segment.reason,
            "text": segment.text,
        }
        for segment in pack.segments
    ]
    return {"budget": pack.budget, "tokens": pack.tokens, "segments": segments, "notes": pack.notes}


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
                engine = await _engine(settings, report)
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


async def _engine(settings: Settings, report: Report) -> Engine:
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
