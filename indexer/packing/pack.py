"""Answers the question that Foreword exists for: what should the model read before it writes at this
cursor?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from indexer.files.exclusions import why_file_excluded
from indexer.messages import Hit, Pack, PackRequest, Segment
from indexer.packing.base import NO_BASE, Base
from indexer.packing.candidates import Gathering
from indexer.packing.overlay import overlay
from indexer.packing.pack_memory import PackMemory, pack_key
from indexer.packing.probes import probed
from indexer.packing.selection import Choice, fitting
from indexer.packing.surroundings import look_around
from indexer.packing.texts import Texts
from indexer.packing.tokens import SegmentTokenizer
from indexer.packing.view import IndexView
from indexer.parsing.languages import language_of
from indexer.parsing.lines import split_lines

SEARCH_HITS = 20
"""More hits than this are further from the cursor than they are worth."""

SEARCH_TIMEOUT_S = 0.5
"""What imports and names lead to is worth more than what a search adds: a slow one must not cost the pack."""

LEAST_BUDGET = 48
"""Tokens. Not even one signature with its path line fits into less."""

MAX_TEXT_CHARACTERS = 1_000_000
"""A larger document is generated: its names are not looked at."""

_Found = tuple[Sequence[Hit], list[str]]


async def pack(
    request: PackRequest,
    view: IndexView,
    relative_path: str,
    tokenizer: SegmentTokenizer,
    memory: PackMemory | None = None,
    base: Base = NO_BASE,
) -> Pack:
    """The pack for the cursor of `request` in `relative_path`, to follow as much of `base` as is true there. Always a
    valid one: where there is nothing to show, its notes say why. Equal inputs (the memory's state is one) give equal
    packs."""
    why_nothing = _why_nothing(request, view, relative_path)
    if why_nothing:
        return _answer(request, view, relative_path, [], [*view.notes, why_nothing])
    lines = split_lines(request.text)
    around = look_around(lines, request.line, request.character)
    searching = asyncio.create_task(_search(view.hiding(relative_path), around.query))
    await asyncio.sleep(0)  # the store looks while the text is read here
    written = probed(lines, request.line, request.character, around, language_of(relative_path))
    usable = base.usable(view, (relative_path,), request.base_limit)
    shown = base.segments[:usable]
    changed = overlay(request, view, relative_path, tokenizer, shown) if request.base_budget > 0 else []
    changed = fitting(changed, request.budget)
    gathering = Gathering(view, relative_path, written, around)
    hits, searched = await _in_time(searching)
    candidates = gathering.with_hits(hits)
    texts = Texts(view, tokenizer, request.header_tokens, memory.lines if memory is not None else None)
    room = request.budget - sum(segment.tokens for segment in changed)
    choice = Choice(candidates, texts, room, [*shown, *changed])
    chosen = choice.anew()
    key = pack_key(request, view, relative_path, base.id, usable)
    sticky = memory.still_true(key, view, [*shown, *changed]) if memory is not None else []
    if sticky:
        kept = fitting(texts.recounted(sticky), room)
        chosen = choice.keeping(kept, chosen, unhurried=request.unhurried)
    if memory is not None:
        memory.remember(key, chosen.segments)
    segments = [*changed, *chosen.segments]
    notes = [*view.notes, *searched]  # search may have left notes of its own
    if chosen.left_out:
        notes.append(
            f"the budget of {request.budget} tokens had no room for {chosen.left_out} definitions that are "
            "likely to be used here"
        )
    if not segments and not notes and not usable:
        notes.append("nothing in this repository was found to be used here")
    answer = _answer(request, view, relative_path, segments, notes)
    return msgspec.structs.replace(answer, base=base.id, base_segments=usable)


def _why_nothing(request: PackRequest, view: IndexView, relative_path: str) -> str:
    if not relative_path or relative_path.startswith(("../", "/")):
        return f"{request.path} lies outside every open folder, so nothing of a repository is shown for it"
    excluded = why_file_excluded(Path(view.root) / relative_path, Path(view.root))
    if excluded:
        return f"{relative_path} is excluded ({excluded}), so nothing is shown for it"
    if request.budget < LEAST_BUDGET:
        return (
            f"a budget of {request.budget} tokens is too small for any context (the least is {LEAST_BUDGET})"
        )
    if len(request.text) > MAX_TEXT_CHARACTERS:
        return (
            f"{relative_path} has more than {MAX_TEXT_CHARACTERS} characters, so its names are not looked at"
        )
    return ""


async def _search(view: IndexView, query: str) -> _Found:
    """What search finds, and notes about what it could not."""
    if not query:
        return [], []
    if not view.ready:
        return [], ["the index is still being built: search was not asked"]
    return await view.search(query, SEARCH_HITS), []


async def _in_time(searching: asyncio.Task[_Found]) -> _Found:
    """The time counts from here: until now the loop was busy, and a search that had ended could not say so."""
    try:
        async with asyncio.timeout(SEARCH_TIMEOUT_S):
            return await searching
    except TimeoutError:
        return [], [f"the search took longer than {SEARCH_TIMEOUT_S} s and was left out"]


def _answer(
    request: PackRequest, view: IndexView, own_path: str, segments: list[Segment], notes: list[str]
) -> Pack:
    return Pack(
        budget=request.budget,
        tokens=sum(segment.tokens for segment in segments),
        segments=segments,
        repo_name=view.repo_name,
        root=view.root,
        relative_path=own_path,
        notes=list(dict.fromkeys(notes)),
    )
