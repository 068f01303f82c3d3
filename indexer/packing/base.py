"""The base: whole files that hardly change, in an order in which a change comes as late as it can.

Prompts begin with it, so the engine has read it already. What it holds is what a clean checkout of the merge-base has:
everybody who works on a repository shares its beginning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from indexer.messages import Segment, TokenizerRef
from indexer.packing.base_file import BYTES_PER_TOKEN, SPARE, FileWriter, Whole
from indexer.packing.census import Census
from indexer.packing.token_lines import TokenLines
from indexer.packing.tokens import SegmentTokenizer
from indexer.packing.view import IndexView
from indexer.parsing.languages import language_of

LARGEST_SHARE = 8
"""One file takes at most this part (1/8) of the base; a larger one is shown by its signatures."""

LEAST_ROOM = 64
"""Tokens. The end of the budget is left empty rather than filled with whatever happens to be that small."""

_ID_BYTES = 12

Memo = dict[tuple[str, str], Whole]
"""By path and identity of the content; of one tokenizer and budget."""


class Facts(Protocol):
    """What is stored of all files of a root, told of many at once."""

    def names_used(self) -> Mapping[str, Iterable[str]]:
        """Path → the names that it refers to. Blocks."""
        ...

    def size(self, path: str) -> int:
        """Bytes on disk; 0 for what has none."""
        ...

    def counted(self, paths: Sequence[str]) -> Mapping[str, TokenLines]:
        """The ids of those of these files that are counted already. Blocks."""
        ...


class BaseKey(msgspec.Struct, frozen=True):
    """What a base is made for."""

    tokenizer: TokenizerRef
    budget: int
    header_tokens: int

    def counts_as(self, other: BaseKey) -> bool:
        """Whether segments that are made for the other have the same ids and take as many tokens."""
        return (self.tokenizer, self.header_tokens) == (other.tokenizer, other.header_tokens)


class Base(msgspec.Struct, frozen=True):
    """Made once, never changed."""

    id: str
    """Of its content and of what it is made for: one model's ids mean nothing to another."""
    made_for: BaseKey
    segments: tuple[Segment, ...]
    keys: Mapping[str, str]
    """Path → identity of the content that is shown."""
    tokens: int

    def usable(self, view: IndexView, own_paths: Collection[str], limit: int = -1) -> int:
        """How many segments, from the first, a prompt for a cursor in one of `own_paths` may begin with: up to the
        first of those files or of one that has changed, and of no more than `limit` tokens (-1: all)."""
        tokens = 0
        for number, segment in enumerate(self.segments):
            tokens += segment.tokens
            changed = segment.path in own_paths or view.key_of(segment.path) != self.keys[segment.path]
            if changed or 0 <= limit < tokens:
                return number
        return len(self.segments)

    def beginning(self, segments: int) -> dict[str, Whole]:
        """The files of so many segments, in order, without the last if not all of it is among them."""
        found: dict[str, list[Segment]] = {}
        for segment in self.segments[:segments]:
            found.setdefault(segment.path, []).append(segment)
        if segments < len(self.segments):
            found.pop(self.segments[segments].path, None)
        return {path: tuple(shown) for path, shown in found.items()}

    def beside(self, known: Base) -> tuple[list[Segment], list[int]]:
        """The segments that `known` does not have, and for each segment its number there, or -1. One that is counted
        otherwise has none of them."""
        there = {_place(segment, known): number for number, segment in enumerate(known.segments)}
        places = [there.get(_place(segment, self), -1) for segment in self.segments]
        fresh = [segment for segment, place in zip(self.segments, places, strict=True) if place < 0]
        return fresh, places


def _place(segment: Segment, of: Base) -> tuple[str, int, int, str, TokenizerRef, int]:
    lines = segment.path, segment.start_line, segment.end_line
    return *lines, of.keys[segment.path], of.made_for.tokenizer, of.made_for.header_tokens


NO_BASE = Base("", BaseKey(TokenizerRef(), 0, 0), (), {}, 0)


def make_base(
    view: IndexView,
    census: Census,
    tokenizer: SegmentTokenizer,
    facts: Facts,
    key: BaseKey,
    *,
    left_out: Collection[str],
    memo: Memo,
    before: Base = NO_BASE,
) -> Base:
    """The base for `key`, whose tokenizer this is, without the files that are `left_out`, beginning as `before` does as
    far as that is still true: so far nothing is read again. Equal inputs give equal bases; `memo` only saves work, and
    holds what was looked at this time. Blocks on disk and parsing."""
    budget = key.budget
    largest = budget // LARGEST_SHARE
    candidates = _candidates(view, facts, left_out, largest)
    ranked = _ranked(candidates, census, left_out, budget)
    known = dict(memo)
    memo.clear()
    counted = facts.counted(_missing(view, ranked, candidates, known, budget))
    writer = FileWriter(view, tokenizer, key.header_tokens, largest)
    stays = before.beginning(before.usable(view, left_out))
    room, chosen = budget - sum(map(tokens_of, stays.values())), dict(stays)
    memo.update(((path, view.key_of(path)), shown) for path, shown in stays.items())
    for path in ranked:
        if path in stays:
            continue
        if room < LEAST_ROOM:
            break
        if candidates[path] > room * SPARE:
            continue  # it may be smaller than it seems, but others serve as well
        content = (path, view.key_of(path))
        shown = memo[content] = known[content] if content in known else writer.file(path, counted.get(path))
        if shown and tokens_of(shown) <= room:
            chosen[path] = shown
            room -= tokens_of(shown)
    return _laid_out(view, key, chosen, view.history.rate, stays)


def _candidates(view: IndexView, facts: Facts, left_out: Collection[str], largest: int) -> dict[str, float]:
    """Path → tokens that it takes, about. Of several files with the same content the first; only source text."""
    found: dict[str, float] = {}
    seen: set[str] = set()
    for path in sorted(view.files()):
        if path in left_out or view.is_overlay(path) or language_of(path) is None:
            continue
        size, key = facts.size(path), view.key_of(path)
        if size and key not in seen:
            seen.add(key)
            found[path] = min(size / BYTES_PER_TOKEN, largest)
    return found


def _ranked(
    candidates: Mapping[str, float], census: Census, left_out: Collection[str], budget: int
) -> list[str]:
    """By value for a token, the best first; all in order of their names where all fit."""
    if sum(candidates.values()) * SPARE <= budget:
        return list(candidates)
    left_out = frozenset(left_out)
    worth = {path: census.value(path, left_out) / tokens for path, tokens in candidates.items()}
    return sorted(candidates, key=lambda path: (-worth[path], path))


def _missing(
    view: IndexView, ranked: Iterable[str], candidates: Mapping[str, float], memo: Memo, budget: int
) -> list[str]:
    """The files that will be looked at and have not been before."""
    tokens, found = 0.0, list[str]()
    for path in ranked:
        tokens += candidates[path]
        if (path, view.key_of(path)) not in memo:
            found.append(path)
        if tokens > budget * SPARE:
            break
    return found


def _laid_out(
    view: IndexView,
    key: BaseKey,
    chosen: Mapping[str, Whole],
    rate: Callable[[str], float],
    first: Mapping[str, Whole],
) -> Base:
    """The `first` as they are, the others by Smith's rule: with p the rate at which a file changes and t its tokens,
    ascending p/t costs the fewest tokens that are read again (W. E. Smith, 1956, on jobs in one queue: here a change
    makes all after it wait)."""
    rest = [path for path in chosen if path not in first]
    order = [*first, *sorted(rest, key=lambda path: (rate(path) / tokens_of(chosen[path]), path))]
    segments = tuple(segment for path in order for segment in chosen[path])
    keys = {path: view.key_of(path) for path in order}
    spans = [(keys[one.path], one.path, one.start_line, one.end_line) for one in segments]
    told = msgspec.msgpack.encode((key, spans))
    digest = hashlib.blake2b(told, digest_size=_ID_BYTES).hexdigest()
    return Base(digest if segments else "", key, segments, keys, tokens_of(segments))


def tokens_of(segments: Iterable[Segment]) -> int:
    return sum(segment.tokens for segment in segments)
