"""The life of one completion, without any protocol: snapshot → pack → prompt → stream → trim.

The server, the command line and the demo all go through `complete`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from engine.prompts import ContextSegment, Prompt, completion_prompt
from engine.prompts import Tokenizer as PromptTokenizer
from indexer.messages import Pack, PackRequest, Segment, TokenizerRef
from lsp.documents import Snapshot, line_around, line_ending, position_at
from lsp.measured import waiting
from lsp.offers.sureness import Sureness
from lsp.requests.choices import choices, ranked
from lsp.settings import Settings
from lsp.trim import Place
from lsp.trimming.overlap import CLOSERS
from lsp.writing import LINE_TOKENS as LINE_TOKENS
from lsp.writing import MAX_BLOCK_TOKENS, Answer, Trimmers, sampling_at, write

if TYPE_CHECKING:
    from engine.endpoints.endpoint import Endpoint, Sampling
    from engine.profiles import Profile
    from indexer.client import IndexClient
    from lsp.links.base_keeper import BaseInUse

DEFAULT_BUDGET_TOKENS = 1_536
"""Of a whole prompt where nothing else is known: some 3 s of cold prefill for the embedded model on one
core."""

WINDOW_SHARE = 3
"""The text before the cursor has one part in so many of the budget, needed or not: a pack whose size followed the
length of a file would be another one after every jump."""
MAX_WINDOW_TOKENS = 4_096
SUFFIX_SHARE = 20
MAX_SUFFIX_TOKENS = 512
"""The suffix follows the cursor in the prompt, so every keystroke computes it anew: it stays short."""
HEADER_RESERVE_TOKENS = 64
"""Repository name, path line and control tokens of the cursor's own file."""

PACK_TIMEOUT_S = 3.0
"""A pack takes tens of milliseconds; a completion without context is better than one that waits longer."""


OnPack = Callable[[Pack | None, str], Awaitable[None]]
"""Gets the pack, or None and why there is none."""


class Tokenizer(PromptTokenizer, Protocol):
    """A tokenizer that can also be named to the index service."""

    @property
    def file(self) -> Path | None: ...


class Choice(msgspec.Struct, frozen=True):
    """Another text for the same place."""

    text: str
    replaced: int


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """`text` goes in at the cursor in place of `replaced` characters after it; without text there is a
    `reason`."""

    text: str
    reason: str = ""
    replaced: int = 0
    block: bool = False
    completion_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int | None = None
    base_tokens: int = 0
    """Of the prompt, what belongs to the base."""
    read_s: float = 0.0
    """From the request at the engine to its first token."""
    ttft_s: float = 0.0
    total_s: float = 0.0
    segments: list[Segment] = []
    notes: list[str] = []
    """Why context that one would expect was not read."""
    sureness: Sureness | None = None
    """Of `text` as models write it, with `\\n`; None where it was not asked for or is not told."""
    others: list[Choice] = []
    """To choose from beside `text`, the better first."""


async def complete(
    snapshot: Snapshot,
    index: IndexClient | None,
    endpoint: Endpoint,
    tokenizer: Tokenizer,
    profile: Profile,
    settings: Settings,
    on_text: Callable[[str], None] | None = None,
    *,
    offset: int,
    root: str | None = None,
    base: BaseInUse | None = None,
    candidates: int = 1,
    weighed: bool = False,
    priority: int | None = None,
    on_sure: Callable[[Sureness], None] | None = None,
    on_pack: OnPack | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Completion:
    """What belongs at `offset` of `snapshot`; `base` is what the engine has read ahead. `candidates` is how many texts
    are written, of which the different ones are kept, the best as the completion and the others beside it. `on_pack`
    gets what the index has, before the model reads it. `on_text` gets the text so far each time it has changed, the
    line under way included; what is still growing may be taken back. With `weighed` it is also asked how sure the model
    is of a line, and `on_sure` is told that before `on_text`; not of blocks, since that is written slower.

    Raises EngineRequestError when the engine fails. Trouble with the index costs the context, not the
    completion. Cancelling this ends the request in the engine.
    """
    started, trimmers = clock(), Trimmers()
    ending = line_ending(_with_preamble(snapshot).text)

    def told(text: str) -> None:
        if on_text is not None:
            on_text(text.replace("\n", ending))

    try:
        reading = await read(
            snapshot,
            index,
            tokenizer,
            profile,
            settings,
            offset=offset,
            root=root,
            context_tokens=endpoint.context_tokens,
            base=base,
            on_place=trimmers.begin,
            on_pack=on_pack,
        )

        async def write_one(sampling: Sampling, on_text: Callable[[str], None]) -> Answer:
            return await write(
                endpoint,
                reading.prompt,
                await trimmers.one(reading.place),
                sampling,
                wait_s=settings.wait_s,
                priority=priority,
                on_text=on_text,
                on_sure=on_sure or (lambda _: None),
                clock=clock,
            )

        asks_logprobs = candidates > 1 or (weighed and not reading.place.block)
        sampling = sampling_at(reading.place, settings, logprobs=asks_logprobs)
        answers = await choices(write_one, sampling, candidates, told)
    finally:
        trimmers.close()
    return _completion(reading, answers, ending, started, clock())


def _completion(
    reading: Reading, answers: Sequence[Answer], ending: str, started: float, ended: float
) -> Completion:
    """What came of the streams, the first of which is the one that is told of."""
    pack, note = reading.pack, reading.note
    answer, kept = answers[0], ranked(answers)
    decision = kept[0].decision if kept else answer.decision
    chunk, tokens = answer.chunk, sum(each.chunk.completion_tokens for each in answers if each.chunk)
    first_at = answer.first_at or ended
    return Completion(
        text=decision.text.replace("\n", ending),
        reason=decision.why,
        replaced=decision.replaced,
        block=reading.place.block,
        completion_tokens=tokens,
        prompt_tokens=chunk.prompt_tokens if chunk else reading.prompt.tokens,
        cached_tokens=chunk.cached_tokens if chunk else None,
        base_tokens=reading.base_tokens,
        read_s=first_at - answer.asked_at,
        ttft_s=first_at - started,
        total_s=ended - started,
        segments=pack.segments if pack else [],
        notes=[*(pack.notes if pack else []), *([note] if note else [])],
        sureness=kept[0].sureness if kept else None,
        others=[
            Choice(each.decision.text.replace("\n", ending), each.decision.replaced) for each in kept[1:]
        ],
    )


class Reading(msgspec.Struct, frozen=True):
    """What the model reads for one cursor, laid out."""

    place: Place
    pack: Pack | None
    note: str
    """Why there is no pack."""
    prompt: Prompt

    @property
    def base_tokens(self) -> int:
        """Of the prompt, what belongs to the base."""
        pack = self.pack
        return sum(each.tokens for each in pack.segments[: pack.base_segments]) if pack else 0


async def read(
    snapshot: Snapshot,
    index: IndexClient | None,
    tokenizer: Tokenizer,
    profile: Profile,
    settings: Settings,
    *,
    offset: int,
    root: str | None,
    context_tokens: int,
    context_budget: int | None = None,
    base: BaseInUse | None = None,
    pack_timeout_s: float = PACK_TIMEOUT_S,
    unhurried: bool = False,
    on_place: Callable[[Place], None] | None = None,
    on_pack: OnPack | None = None,
) -> Reading:
    """What `complete` has the model read at `offset`; `context_tokens` is the model's window. With
    `context_budget` so much of the repository instead of what this place has room for; `base` goes before all.
    `unhurried`: nobody waits for it. `on_place` gets the place before the index is asked, `on_pack` what it has while
    the prompt is laid out."""
    document = _with_preamble(snapshot)
    place = await asyncio.to_thread(place_at, document, offset + len(snapshot.preamble), settings.max_lines)
    if on_place is not None:
        on_place(place)
    room = context_tokens - (base.limit if base is not None else 0)
    shares = _shares(settings.budget_tokens or DEFAULT_BUDGET_TOKENS, room)
    budget = shares.context if context_budget is None else context_budget
    pack, note = await _read(index, document, place, budget, tokenizer, root, base, pack_timeout_s, unhurried)
    laid_out = asyncio.to_thread(_prompt, profile, tokenizer, document, place, pack, shares)
    if on_pack is None:
        return Reading(place, pack, note, await laid_out)
    prompt, _ = await asyncio.gather(laid_out, on_pack(pack, note))
    return Reading(place, pack, note, prompt)


def place_at(document: Snapshot, offset: int, max_lines: int) -> Place:
    """The place of a completion, and whether it is one for a block: never where code follows on the line."""
    from indexer.packing.syntax import (  # parsers: only where something is completed
        at_block_start,
        language_of,
    )

    text = document.text
    language = document.language or (language_of(document.path) if document.path else None)
    _, following = line_around(text, offset)
    free = all(char in CLOSERS or char in ";, " for char in following.strip())
    block = free and max_lines > 1 and at_block_start(text, offset, language)
    return Place(text[:offset], text[offset:], block, language, max_lines)


def _with_preamble(snapshot: Snapshot) -> Snapshot:
    if not snapshot.preamble:
        return snapshot
    return msgspec.structs.replace(snapshot, text=snapshot.preamble + snapshot.text, preamble="")


# ---------------------------------------------------------------- what the model reads


class Shares(msgspec.Struct, frozen=True):
    """Tokens of the prompt's parts."""

    context: int
    window: int
    suffix: int


def _shares(budget: int, context_tokens: int) -> Shares:
    budget = min(budget, context_tokens - MAX_BLOCK_TOKENS)
    window = min(budget // WINDOW_SHARE, MAX_WINDOW_TOKENS)
    suffix = min(budget // SUFFIX_SHARE, MAX_SUFFIX_TOKENS)
    context = budget - window - suffix - HEADER_RESERVE_TOKENS
    return Shares(max(0, context), window, suffix)


async def _read(
    index: IndexClient | None,
    document: Snapshot,
    place: Place,
    budget: int,
    tokenizer: Tokenizer,
    root: str | None,
    base: BaseInUse | None,
    timeout_s: float,
    unhurried: bool,
) -> tuple[Pack | None, str]:
    """The pack for this cursor, or None and why there is none."""
    if index is None or document.path is None or budget <= 0:
        return None, ""
    from indexer.client import IndexServiceError

    line, character = position_at(document.text, len(place.before), "utf-32")
    request = PackRequest(
        path=document.path,
        text=document.text,
        line=line,
        character=character,
        budget=budget,
        tokenizer=TokenizerRef(str(tokenizer.file) if tokenizer.file else None),
        root=root,
        unhurried=unhurried,
    )
    if base is not None:
        request = msgspec.structs.replace(
            request, base=base.id, base_budget=base.budget, base_limit=base.limit
        )
    try:
        with waiting("pack"):
            return await index.pack(request, timeout_s=timeout_s), ""
    except IndexServiceError as failed:
        return None, str(failed)


def _prompt(
    profile: Profile,
    tokenizer: Tokenizer,
    document: Snapshot,
    place: Place,
    pack: Pack | None,
    shares: Shares,
) -> Prompt:
    name = Path(document.path).name if document.path else "untitled"
    segments = pack.segments if pack else []
    return completion_prompt(
        profile=profile,
        tokenizer=tokenizer,
        repo_name=(pack.repo_name if pack else "") or "workspace",
        segments=[ContextSegment(segment.path, segment.text, segment.ids) for segment in segments],
        path=(pack.relative_path if pack else "") or name,
        before=place.read_before,
        after=place.after,
        max_window_tokens=shares.window,
        max_suffix_tokens=shares.suffix,
        heal=place.heals,
    )
