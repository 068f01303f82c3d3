"""The window as the model reads it: what stands where, why, how many tokens it takes and which of them are cached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby, pairwise
from typing import TYPE_CHECKING

import msgspec

from engine.endpoints.endpoint import TellsCached
from engine.endpoints.faults import EngineRequestError
from engine.prompts import Prompt, path_line
from lsp.documents import Snapshot, position_at

if TYPE_CHECKING:
    from engine.endpoints.endpoint import Endpoint
    from engine.profiles import Profile
    from indexer.messages import Segment
    from lsp.completion import Reading, Tokenizer

LAYERS = {
    "header": "the name of the repository",
    "base": "what seldom changes: the same for every cursor",
    "overlay": "files that differ from the base, unsaved text included",
    "retrieved": "chosen for this cursor",
    "window": "the file itself, up to the cursor",
    "suffix": "the file itself, after the cursor",
}
"""Every layer in the order of the prompt, from most stable to most volatile, and what stands there."""

CONTROL_TOKENS = 2
"""Around the cursor's window, and around the suffix; they count only where tokens are estimated."""


class Cached(msgspec.Struct, frozen=True):
    """How much of a prompt an engine holds in its prefix cache."""

    tokens: int | None
    """None where nobody knows."""
    note: str
    """Who says so, or why nobody does."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One block of the window."""

    layer: str
    path: str
    start_line: int | None
    """None of what has no lines: the header."""
    end_line: int | None
    """Exclusive."""
    tokens: int
    """Its control tokens and path line included."""
    reason: str
    text: str
    cached_tokens: int | None = None
    """Of its tokens, those that are cached; None where nobody knows."""

    @property
    def cached(self) -> bool | None:
        """Whether all of it is."""
        return None if self.cached_tokens is None else self.cached_tokens >= self.tokens


class ContextWindow(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    line: int
    character: int
    """Of the cursor, in code points."""
    model: str
    budget: int
    """Tokens that segments of the repository may take."""
    used: int
    """Tokens that they take."""
    limit: int
    """Tokens that the model can read."""
    parts: list[Part]
    cached: Cached
    notes: list[str]
    """What was left out, and why."""

    @property
    def tokens(self) -> int:
        return sum(part.tokens for part in self.parts)

    @property
    def free(self) -> int:
        """Room for more of the repository."""
        return max(0, self.budget - self.used)


async def cached_by(endpoint: Endpoint, prompt: Prompt) -> Cached:
    """How much of `prompt` this engine would not have to read again. Nothing is computed for the answer."""
    if not isinstance(endpoint, TellsCached):
        return Cached(None, f"{endpoint.name} does not tell what it has cached")
    if not prompt.ids:
        return Cached(
            None, f"tokens are estimated for {endpoint.name}, and a cache is looked up by their ids"
        )
    try:
        tokens = await endpoint.cached(prompt.ids)
    except EngineRequestError as failed:
        return Cached(None, str(failed))
    if tokens is None:
        return Cached(None, f"{endpoint.name} does not tell what it has cached")
    return Cached(tokens, f"{endpoint.name} holds the first {tokens:,} tokens")


def window_of(
    snapshot: Snapshot,
    reading: Reading,
    profile: Profile,
    tokenizer: Tokenizer,
    *,
    cached: Cached,
    limit: int,
    notes: Sequence[str] = (),
) -> ContextWindow:
    """The window that `reading` laid out, with what its parts are called."""
    pack, prompt = reading.pack, reading.prompt
    segments = pack.segments if pack else []
    lengths = section_lengths(prompt.ids, profile, segments)
    whole = cached.tokens if lengths is not None else None
    parts = list(_parts(snapshot, reading, segments, reads_on=profile.fim is not None))
    if lengths is None:
        lengths = [_estimated(part, tokenizer) for part in parts]
        for at, segment in enumerate(segments, start=1):
            lengths[at] = segment.tokens
    preamble = snapshot.preamble.count("\n")
    line, character = position_at(reading.place.before, len(reading.place.before), "utf-32")
    if profile.fim is None and reading.place.after.strip():
        notes = (*notes, f"{profile.name} reads nothing that follows the cursor")
    return ContextWindow(
        path=prompt.sources.path if prompt.sources else "",
        line=line - preamble,
        character=character,
        model=profile.name,
        budget=pack.budget if pack else 0,
        used=pack.tokens if pack else 0,
        limit=limit,
        parts=_measured(parts, lengths, whole),
        cached=cached,
        notes=[*(pack.notes if pack else []), *([reading.note] if reading.note else []), *notes],
    )


def section_lengths(
    ids: Sequence[int] | None, profile: Profile, segments: Sequence[Segment]
) -> list[int] | None:
    """Tokens of the header, of each segment, of the window and, where the model has one, of the suffix.

    Sections begin at control tokens, which no text can spell. Segments of one file that follow one another share a
    section: its control token and path line are the first one's. None where there are no ids, or other sections.
    """
    if ids is None or profile.file_sep_id is None:
        return None
    files = [[each.tokens for each in run] for _, run in groupby(segments, lambda each: each.path)]
    cuts = [at for at, token in enumerate(ids) if token == profile.file_sep_id]
    if profile.fim is not None:
        cuts += [at for at, token in enumerate(ids) if token == profile.fim.suffix]
    if len(cuts) != len(files) + (1 if profile.fim is None else 2):
        return None
    header, *sections = (end - start for start, end in pairwise((0, *cuts, len(ids))))
    of_files = zip(files, sections, strict=False)
    chosen = [[section - sum(tokens[1:]), *tokens[1:]] for tokens, section in of_files]
    if any(tokens[0] <= 0 for tokens in chosen):
        return None
    return [header, *chain.from_iterable(chosen), *sections[len(files) :]]


def _parts(
    snapshot: Snapshot, reading: Reading, segments: Sequence[Segment], *, reads_on: bool
) -> Iterator[Part]:
    """In the order of the prompt, not measured yet. `reads_on`: the model reads what follows the cursor."""
    prompt = reading.prompt
    repository, path = ("", "") if prompt.sources is None else (prompt.sources.repo_name, prompt.sources.path)
    yield _part("header", "", (None, None), "so that the model knows where it is", path_line(repository))
    for segment in segments:
        lines = (segment.start_line, segment.end_line)
        yield _part(segment.layer, segment.path, lines, segment.reason, segment.text)
    preamble = snapshot.preamble.count("\n")
    cursor = reading.place.before.count("\n") - preamble
    start = max(0, prompt.window_start_line - preamble)
    why = "from the first line to the cursor"
    if prompt.window_start_line > 0:
        why = f"the nearest lines before the cursor; the first {prompt.window_start_line:,} have no room"
    yield _part("window", path, (start, cursor + 1), why, prompt.window)
    if not reads_on:
        return
    following, shown = line_count(reading.place.after), line_count(prompt.suffix)
    why = f"the nearest {shown:,} of {following:,} lines: what stands here is read anew at every keystroke"
    if shown == following:
        why = "all that follows the cursor" if following else "nothing follows the cursor"
    yield _part("suffix", path, (cursor, cursor + shown), why, prompt.suffix)


def line_count(text: str) -> int:
    """Lines of the text without blank ones at its end."""
    kept = text.rstrip()
    return kept.count("\n") + 1 if kept else 0


def _part(layer: str, path: str, lines: tuple[int | None, int | None], reason: str, text: str) -> Part:
    return Part(
        layer=layer, path=path, start_line=lines[0], end_line=lines[1], tokens=0, reason=reason, text=text
    )


def _measured(parts: Sequence[Part], lengths: Sequence[int], cached: int | None) -> list[Part]:
    """The parts with their tokens, and of these what lies within the first `cached` of the prompt."""
    measured: list[Part] = []
    start = 0
    for part, tokens in zip(parts, lengths, strict=True):
        known = None if cached is None else max(0, min(tokens, cached - start))
        measured.append(msgspec.structs.replace(part, tokens=tokens, cached_tokens=known))
        start += tokens
    return measured


def _estimated(part: Part, tokenizer: Tokenizer) -> int:
    named = tokenizer.count(path_line(part.path)) if part.path and part.layer != "suffix" else 0
    return CONTROL_TOKENS + named + tokenizer.count(part.text)


def is_segment(part: Part) -> bool:
    """Whether it is a part of the pack."""
    return part.layer not in ("header", "window", "suffix")
