"""`foreword context`: the window that the model would read at a cursor, as text, as JSON or as a page."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text

from lsp.commands.cursor import EXPECTED, snapshot_of
from lsp.commands.repository import open_root
from lsp.completion import Tokenizer, read
from lsp.context.document import document
from lsp.context.page import cached_words, context_page, lines_of
from lsp.context.window import Cached, ContextWindow, Part, cached_by, is_segment, window_of
from lsp.links.engines import choose_profile, host_endpoint, prompt_budget
from lsp.settings import Settings
from lsp.terminal import EXIT_EMPTY, Place, Report, err, fail, out, print_json, progress, root_of, run

if TYPE_CHECKING:
    from engine.endpoints.client import SGLangEndpoint
    from engine.profiles import Choice, Profile

STDOUT = "-"
"""In place of the page's file."""
PACK_TIMEOUT_S = 60.0
"""Whoever looks at a pack waits for one that a completion would go without."""


def run_context(
    place: Place, *, budget: int | None, model: str | None, as_json: bool, html: str | None
) -> None:
    window = run(_window(place, budget, model or "", quiet=as_json), EXPECTED)
    if as_json:
        print_json(document(window, first_line=1))
    for note in window.notes:
        err.print(f"[yellow]{escape(note)}[/]")
    if html is not None:
        _write_page(window, html)
    if not any(is_segment(part) for part in window.parts):
        fail("the pack is empty", EXIT_EMPTY)
    if as_json or html is not None:
        return
    for part in window.parts:
        _show(part)
    out.print(
        f"{window.used} of {window.budget} tokens of the repository, {window.tokens} of the whole window"
    )
    out.print(f"cached or new: {escape(window.cached.note)}", style="dim")


async def _window(place: Place, budget: int | None, model: str, *, quiet: bool) -> ContextWindow:
    snapshot, offset = snapshot_of(place)
    with progress(not quiet) as report:
        choice = await asyncio.to_thread(_profile_for_counting, model)
        profile = choice.profile
        tokenizer, estimated = await asyncio.to_thread(_tokenizer, profile, report)
        client, _ = await open_root(root_of(place.file), report)
    try:
        endpoint = await asyncio.to_thread(_running, choice)
        limit = profile.context_native if endpoint is None else endpoint.context_tokens
        reading = await read(
            snapshot,
            client,
            tokenizer,
            profile,
            Settings(budget_tokens=prompt_budget(profile, choice.device)),
            offset=offset,
            root=str(root_of(place.file)),
            context_tokens=limit,
            context_budget=budget,
            pack_timeout_s=PACK_TIMEOUT_S,
        )
    finally:
        await client.close()
    if reading.pack is None and reading.note:
        fail(reading.note)
    notes = [f"tokens are estimated: {estimated}"] if estimated else []
    if reading.pack is None:
        notes.append("there is no room for anything of the repository")
    cached = Cached(None, f"no engine runs here with {profile.short}")
    if endpoint is not None:
        try:
            cached = await cached_by(endpoint, reading.prompt)
        finally:
            await endpoint.close()
    return window_of(snapshot, reading, profile, tokenizer, cached=cached, limit=limit, notes=notes)


def _running(choice: Choice) -> SGLangEndpoint | None:
    """The host that a completion would ask, where it runs already; looking at a window starts none."""
    from engine.hosting.launcher import read_engine

    info = read_engine(choice.profile.short)
    return host_endpoint(choice, info) if info is not None and info.state == "ready" else None


def _profile_for_counting(model: str) -> Choice:
    """The model that a completion would take; nothing is run here, so that too little memory is no obstacle."""
    from engine.profiles import QWEN_SMALL, Choice, ProfileError

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


def _write_page(window: ContextWindow, target: str) -> None:
    page = context_page(window)
    if target == STDOUT:
        sys.stdout.write(page)
        return
    file = Path(target)
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
    err.print(f"the page is in {escape(str(file.absolute()))}")


def _show(part: Part) -> None:
    name = escape(f"{part.path or part.layer}{lines_of(part, '-')}")
    told = ", ".join(filter(None, (f"{part.tokens} tokens", part.layer, cached_words(part))))
    out.print(f"[bold]{name}[/]  {told}: {escape(part.reason)}")
    out.print(Text("".join(f"    {line}" for line in part.text.splitlines(keepends=True)), style="dim"))
