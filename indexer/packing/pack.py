"""Answers the question that Foreword exists for: what should the model read before it writes at this
cursor?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from indexer.files.exclusions import why_file_excluded
from indexer.messages import Pack, PackRequest, Segment
from indexer.packing.candidates import Candidate, Tier, from_search, ranked
from indexer.packing.pack_memory import PackMemory
from indexer.packing.probes import probed
from indexer.packing.selection import Selection
from indexer.packing.surroundings import Surroundings, look_around
from indexer.packing.tokens import SegmentTokenizer
from indexer.packing.view import IndexView
from indexer.parsing.languages import language_of
from indexer.parsing.lines import split_lines

SEARCH_HITS = 20
"""More hits than this are further from the cursor than they are worth."""

SEARCH_TIMEOUT_S = 0.5
"""What imports and names lead to is worth more than what a search adds: a slow one must not cost the pack."""

SEARCH_SHARE = 0.875
"""Search fills the budget up to here; the rest waits for what a moving cursor adds at the end of a kept
pack."""

WIDE_SHARE = 0.625
"""Large definitions are shown whole while the selection is below this share: search shall have room too."""

LEAST_BUDGET = 48
"""Tokens. Not even one signature with its path line fits into less."""

MAX_TEXT_CHARACTERS = 1_000_000
"""A larger document is generated: its names are not looked at."""


async def pack(
    request: PackRequest,
    view: IndexView,
    relative_path: str,
    tokenizer: SegmentTokenizer,
    memory: PackMemory | None = None,
) -> Pack:
    """The pack for the cursor of `request` in `relative_path`. Always a valid one: where there is nothing to
    show, its notes say why. Equal inputs (the memory's state is one) give equal packs."""
    why_nothing = _why_nothing(request, view, relative_path)
    if why_nothing:
        return _answer(request, view, relative_path, [], [*view.notes, why_nothing])
    lines = split_lines(request.text)
    around = look_around(lines, request.line, request.character)
    written = probed(lines, request.line, request.character, around, language_of(relative_path))
    candidates = ranked(view, relative_path, written, around, request.line)
    kept = memory.still_true(request, view, relative_path) if memory is not None else []
    selection = _select(request, view, tokenizer, around, candidates, kept)
    if kept and any(one.tier <= Tier.NEAR_NAME for one in selection.left_out):
        selection = _select(request, view, tokenizer, around, candidates, ())
    searched = await _search(request, view, relative_path, around, selection)
    notes = [*view.notes, *searched]  # search may have left notes of its own
    segments = selection.segments()
    if memory is not None:
        memory.remember(request, view, relative_path, segments)
    if selection.left_out:
        count = len(selection.left_out)
        notes.append(
            f"the budget of {request.budget} tokens had no room for {count} definitions that are used here"
        )
    if not segments and not notes:
        notes.append("nothing in this repository was found to be used here")
    return _answer(request, view, relative_path, segments, notes)


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


def _select(
    request: PackRequest,
    view: IndexView,
    tokenizer: SegmentTokenizer,
    around: Surroundings,
    candidates: Sequence[Candidate],
    kept: Sequence[Segment],
) -> Selection:
    selection = Selection(
        view,
        tokenizer,
        budget=request.budget,
        header_tokens=request.header_tokens,
        near_names=frozenset(use.name for use in around.near),
        expected=len(candidates),
        kept=kept,
    )
    for candidate in candidates:
        selection.take(candidate)
    selection.squeeze_in()
    selection.widen(int(request.budget * WIDE_SHARE))
    return selection


async def _search(
    request: PackRequest, view: IndexView, own_path: str, around: Surroundings, selection: Selection
) -> list[str]:
    """Adds what search finds; gives notes about what it could not."""
    limit = int(request.budget * SEARCH_SHARE)
    if not around.query or selection.tokens >= limit:
        return []
    if not view.ready:
        return ["the index is still being built: search was not asked"]
    try:
        hits = await asyncio.wait_for(view.search(around.query, SEARCH_HITS), SEARCH_TIMEOUT_S)
    except TimeoutError:
        return [f"the search took longer than {SEARCH_TIMEOUT_S} s and was left out"]
    for candidate in from_search(hits, own_path):
        selection.take(candidate, limit)
    return []


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
