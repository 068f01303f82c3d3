"""Lays a completion prompt out from the most stable part to the most volatile, as token ids and as raw text.

Qwen family (repository-level fill in the middle, Qwen2.5-Coder technical report, section 3.2):

    <|repo_name|>NAME⏎ { <|file_sep|>PATH⏎ TEXT }… <|file_sep|>PATH⏎
    <|fim_prefix|>window up to the cursor<|fim_suffix|>suffix<|fim_middle|>

A family without fill in the middle (SmolLM2) gets the same from left to right, ending with the window. Every
part is encoded by itself and ids are concatenated, so a part that did not change keeps its ids and its place
in the prefix cache. Control tokens come from the profile's ids only, never from text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from engine.healing import Healed, begun_in
from engine.tokens import well_formed
from engine.window import Window, cut_suffix, cut_window

if TYPE_CHECKING:
    from engine.profiles import Profile

SEGMENT_TOKENS = 4
"""Of a segment beside its text and path: the separator, a line break, and what cutting texts apart may cost."""

CONTROL_TEXT = re.compile(
    r"<(?=\|(?:repo_name|file_sep|fim_\w+|endoftext|im_start|im_end)\|>"
    r"|(?:repo_name|reponame|file_sep|filename|gh_stars|issue_\w+|jupyter_\w+|empty_output)>)"
)
"""Where source text spells a control token of one of our families (only raw text needs care: see
`Prompt.text`)."""


class Tokenizer(Protocol):
    """What a prompt asks of a tokenizer. `encode` reads control tokens that a text spells as plain text."""

    @property
    def has_ids(self) -> bool:
        """False where tokens are only estimated: prompts then carry text alone."""
        ...

    def encode(self, text: str) -> list[int]: ...

    def count(self, text: str) -> int: ...


class ContextSegment(msgspec.Struct, frozen=True):
    """A run of whole lines of another file. `ids` are those of `text` alone; empty means: encoded here."""

    path: str
    text: str
    ids: list[int] = []


class Sources(msgspec.Struct, frozen=True):
    """What a prompt was laid out from beside its window and suffix: enough to lay it out for another model."""

    repo_name: str
    path: str
    segments: Sequence[ContextSegment]


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Prompt(msgspec.Struct, frozen=True):
    """One completion prompt, ready for either kind of endpoint."""

    ids: list[int] | None
    """None where the tokenizer gives no ids."""
    text: str
    """The same prompt as raw text, control tokens spelled out, for endpoints that take no ids. There a `<` is
    followed by a blank wherever the sources themselves spell a control token, since such an endpoint would
    obey it."""
    window: str
    suffix: str
    """Text after the cursor that the prompt holds; for endpoints that take it as a field of its own."""
    taken_off: str
    """Blanks between the window's end and the cursor, left out because models continue badly after them."""
    window_start_line: int
    tokens: int
    """Exact where `ids` are given, else an estimate."""
    sources: Sources | None = None
    messages: tuple[Message, ...] = ()
    """The same request as a conversation, for endpoints that only chat; without it they ask for the completion
    in words of their own (`engine.endpoints.chat`)."""
    healed: Healed | None = None
    """The same prompt without the part of an identifier in which the window ends, where it is one that the answer
    should complete; for endpoints that can hold an answer to it."""


class Markers(msgspec.Struct, frozen=True):
    """How a family spells its control tokens in raw text."""

    repo_name: str
    file_sep: str
    fim_prefix: str = ""
    fim_suffix: str = ""
    fim_middle: str = ""


MARKERS: dict[str, Markers] = {
    "qwen": Markers("<|repo_name|>", "<|file_sep|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    "smollm": Markers("<repo_name>", "<file_sep>"),
}


class Part(msgspec.Struct, frozen=True):
    """One piece of a prompt: a control token (id and spelling) or text (with its ids if they are known)."""

    text: str
    control_id: int | None = None
    ids: list[int] | None = None


def completion_prompt(
    *,
    profile: Profile,
    tokenizer: Tokenizer,
    repo_name: str,
    segments: Sequence[ContextSegment],
    path: str,
    before: str,
    after: str,
    max_window_tokens: int,
    max_suffix_tokens: int,
    heal: bool = False,
) -> Prompt:
    """The prompt for a cursor between `before` and `after` in `path`, with `segments` as read context. With `heal` an
    identifier in which `before` ends may go on in the answer.

    The window takes at most `max_window_tokens`, the suffix at most `max_suffix_tokens`; keeping the sum of
    all below the model's context is the caller's budget.
    """
    window, suffix = _cut_around(profile, tokenizer, before, after, max_window_tokens, max_suffix_tokens)
    return _prompt(profile, tokenizer, Sources(repo_name, path, segments), window, suffix, heal)


def front_ids(
    profile: Profile, tokenizer: Tokenizer, repo_name: str, segments: Sequence[ContextSegment]
) -> list[int]:
    """The ids with which every prompt begins that has these segments first: what an engine may read ahead. Only for
    a tokenizer that gives ids."""
    return _ids_of(list(_context(profile, repo_name, segments)), tokenizer)


def before_cursor(prompt: Prompt, profile: Profile) -> list[int]:
    """The ids of a completion prompt up to the cursor: what typing there leaves as it is. Without ids: none."""
    ids = prompt.ids or []
    if profile.fim is None or profile.fim.suffix not in ids:
        return ids
    return ids[: ids.index(profile.fim.suffix)]


def relaid(prompt: Prompt, profile: Profile, tokenizer: Tokenizer, room: int) -> Prompt:
    """The same request laid out for another model: its control tokens, its ids, and of the context the first
    segments that fit into `room` tokens. A prompt that is no completion of ours comes back without ids."""
    sources = prompt.sources
    if sources is None:
        return msgspec.structs.replace(prompt, ids=None, healed=None)
    window = Window(prompt.window, prompt.window_start_line, prompt.taken_off)
    suffix = prompt.suffix if profile.fim is not None else ""
    bare = _prompt(profile, tokenizer, msgspec.structs.replace(sources, segments=()), window, suffix)
    left, kept = room - bare.tokens, 0
    for segment in sources.segments:
        left -= SEGMENT_TOKENS + tokenizer.count(segment.path) + tokenizer.count(segment.text)
        if left < 0:
            break
        kept += 1
    # Ids of another model's tokenizer are not this one's: each text is encoded anew.
    segments = [ContextSegment(each.path, each.text) for each in sources.segments[:kept]]
    fitting = msgspec.structs.replace(sources, segments=segments)
    laid_out = _prompt(profile, tokenizer, fitting, window, suffix, heal=prompt.healed is not None)
    return msgspec.structs.replace(laid_out, messages=prompt.messages)


def _prompt(
    profile: Profile, tokenizer: Tokenizer, sources: Sources, window: Window, suffix: str, heal: bool = False
) -> Prompt:
    parts = list(_layout(profile, sources.repo_name, sources.segments, sources.path, window.text, suffix))
    ids = _ids_of(parts, tokenizer) if tokenizer.has_ids else None
    return Prompt(
        ids=ids,
        text="".join(part.text if part.control_id is not None else defused(part.text) for part in parts),
        window=window.text,
        suffix=suffix,
        taken_off=window.taken_off,
        window_start_line=window.start_line,
        tokens=_count(parts, tokenizer) if ids is None else len(ids),
        sources=sources,
        healed=_healed(profile, tokenizer, sources, window, suffix) if heal and ids is not None else None,
    )


def _healed(
    profile: Profile, tokenizer: Tokenizer, sources: Sources, window: Window, suffix: str
) -> Healed | None:
    begun = "" if window.taken_off else begun_in(window.text)
    if not begun:
        return None
    text = window.text[: -len(begun)]
    parts = list(_layout(profile, sources.repo_name, sources.segments, sources.path, text, suffix))
    return Healed(_ids_of(parts, tokenizer), begun)


def path_line(path: str) -> str:
    """The line that names a file. A line break inside a name would begin a line of its own: it becomes a
    blank."""
    return path.replace("\r", " ").replace("\n", " ") + "\n"


def defused(text: str) -> str:
    """Source text in which no endpoint finds a control token."""
    return CONTROL_TEXT.sub("< ", well_formed(text))


def _cut_around(
    profile: Profile, tokenizer: Tokenizer, before: str, after: str, max_window: int, max_suffix: int
) -> tuple[Window, str]:
    """Models write `\\n`: a document of another convention is read in theirs, and `lsp` writes it back in its
    own."""
    window = cut_window(well_formed(before).replace("\r\n", "\n"), tokenizer.count, max_window)
    if profile.fim is None:
        return window, ""
    return window, cut_suffix(well_formed(after).replace("\r\n", "\n"), tokenizer.count, max_suffix)


def _context(profile: Profile, repo_name: str, segments: Sequence[ContextSegment]) -> Iterator[Part]:
    """The stable front: repository and context files. Nothing in it depends on the cursor."""
    markers = MARKERS[profile.family]
    if profile.repo_name_id is not None:
        yield Part(markers.repo_name, profile.repo_name_id)
        yield Part(path_line(repo_name))
    last = None
    for segment in segments:
        if segment.path != last:  # runs of lines of one file, one after the other, are named once
            if profile.file_sep_id is not None:
                yield Part(markers.file_sep, profile.file_sep_id)
            yield Part(path_line(segment.path))
        last = segment.path
        yield Part(segment.text, ids=segment.ids or None)


def _layout(
    profile: Profile, repo_name: str, segments: Sequence[ContextSegment], path: str, window: str, suffix: str
) -> Iterator[Part]:
    markers = MARKERS[profile.family]
    yield from _context(profile, repo_name, segments)
    if profile.file_sep_id is not None:
        yield Part(markers.file_sep, profile.file_sep_id)
    yield Part(path_line(path))
    if profile.fim is None:
        yield Part(window)
        return
    yield Part(markers.fim_prefix, profile.fim.prefix)
    yield Part(window)
    yield Part(markers.fim_suffix, profile.fim.suffix)
    yield Part(suffix)
    yield Part(markers.fim_middle, profile.fim.middle)


def _ids_of(parts: Sequence[Part], tokenizer: Tokenizer) -> list[int]:
    ids: list[int] = []
    for part in parts:
        if part.control_id is not None:
            ids.append(part.control_id)
        else:
            ids.extend(part.ids if part.ids is not None else tokenizer.encode(part.text))
    return ids


def _count(parts: Sequence[Part], tokenizer: Tokenizer) -> int:
    return sum(1 if part.control_id is not None else tokenizer.count(part.text) for part in parts)
