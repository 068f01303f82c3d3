"""Fills a token budget with runs of whole lines, file by file: merged, without overlap, never over the
budget."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from indexer.messages import Definition, Layer, Segment
from indexer.packing.candidates import Candidate, Tier
from indexer.packing.spans import (
    CONSTRUCTORS,
    Span,
    headers,
    inside,
    merged,
    outline,
    signature,
    skeleton,
    without,
)
from indexer.packing.tokens import SegmentTokenizer
from indexer.packing.view import IndexView
from indexer.parsing.lines import segment_text, split_lines, trim_span

LARGEST_SHARE = 6
"""One definition may at first take at most this part (1/6) of the budget; a larger one is shown by its
headers."""

SMALLEST_SHARE = 16
"""The part when many definitions wait: better many signatures than few bodies."""

SMALLEST_SHARE_TOKENS = 96
"""Below this a share is no use: some 8 lines fit in it."""

MAX_CHARACTERS_PER_TOKEN = 8
"""Text with more characters than this for each token of its share is too large; it is not counted to find
out."""

MEMBERS = (60, 30, 15, 8, 4)
"""So many members of a class are shown, as many as fit."""

MEMBERS_SHARES = 3
"""Such a class may take so many shares: which member is meant is not known yet."""


class Chosen(msgspec.Struct):
    """Lines of one file that were taken, as disjoint spans in order, and why each part was."""

    spans: list[Span] = []
    reasons: list[tuple[Span, str]] = []
    tier: Tier = Tier.SEARCH
    tokens: int = 0


class Selection:
    """Takes candidates while they fit. Segments that are `kept` stay as they are, in front and in their
    order."""

    def __init__(
        self,
        view: IndexView,
        tokenizer: SegmentTokenizer,
        *,
        budget: int,
        header_tokens: int,
        near_names: frozenset[str],
        expected: int = 0,
        kept: Sequence[Segment] = (),
    ) -> None:
        """`expected` is how many candidates nearer than search there are."""
        self._view = view
        self._tokenizer = tokenizer
        self._budget = budget
        part = min(max(expected, LARGEST_SHARE), SMALLEST_SHARE)
        self._share = max(budget // part, SMALLEST_SHARE_TOKENS)
        self._header_tokens = header_tokens
        self._near_names = near_names
        self._kept = list(kept)
        self._kept_spans: dict[str, list[Span]] = {}
        for segment in kept:
            self._kept_spans.setdefault(segment.path, []).append((segment.start_line, segment.end_line))
        self._chosen: dict[str, Chosen] = {}
        self._lines: dict[str, list[str]] = {}
        self._headers: dict[str, int] = {}
        self._costs: dict[tuple[str, Span], int] = {}
        self.tokens = sum(segment.tokens for segment in kept)
        self.shortened: list[Candidate] = []
        """What is here by its headers only."""
        self.left_out: list[Candidate] = []
        """What found no room, not even shortened."""

    def take(self, candidate: Candidate, limit: int | None = None) -> bool:
        """Whether the candidate is in the selection now, whole or shortened. `limit` is a lower budget."""
        limit = self._budget if limit is None else min(limit, self._budget)
        whole = self._whole(candidate)
        if not whole:
            return True
        if self._fits_share(candidate.path, whole) and self._add(candidate, whole, limit):
            return True
        if candidate.tier is Tier.SEARCH:
            return False
        for spans in self._shorter(candidate):
            if self._add(candidate, spans, limit):
                self.shortened.append(candidate)
                return True
        self.left_out.append(candidate)
        return False

    def squeeze_in(self) -> None:
        """After all others had their share: signatures that are larger than one, as far as there is room."""
        waiting, self.left_out = self.left_out, []
        for candidate in waiting:
            own = candidate.definition
            line = [] if own is None else [signature(own, self._lines_of(candidate.path))]
            if self._add(candidate, line, self._budget):
                self.shortened.append(candidate)
            else:
                self.left_out.append(candidate)

    def widen(self, limit: int) -> None:
        """Where room is left, shows definitions whole that were shortened for their size, and more members of
        classes."""
        for candidate in [one for one in self.shortened if one.members]:
            for way in self._skeletons(candidate):
                if self._countable(candidate.path, way, limit) and self._add(candidate, way, limit):
                    break
        for candidate in [one for one in self.shortened if not (one.outline or one.members)]:
            if self._countable(candidate.path, self._whole(candidate), limit) and self._add(
                candidate, self._whole(candidate), limit
            ):
                self.shortened.remove(candidate)

    def segments(self) -> list[Segment]:
        """Kept ones first, then the new ones: overlays before what was retrieved, imports before search, each
        file's in line order."""
        found = list(self._kept)
        for path in sorted(self._chosen, key=self._place):
            chosen = self._chosen[path]
            for span in chosen.spans:
                reasons = dict.fromkeys(why for part, why in chosen.reasons if inside(part, span))
                found.append(self._segment(path, span, "; ".join(reasons)))
        return found

    def _place(self, path: str) -> tuple[bool, int, str]:
        """Steady while the cursor moves a little: by what the file was taken for, not by how near."""
        group = {Tier.NEAR_NAME: 1, Tier.OVERLAY: 1, Tier.SEARCH: 2}.get(self._chosen[path].tier, 0)
        return (self._layer(path) != "overlay", group, path)

    def _whole(self, candidate: Candidate) -> list[Span]:
        lines = self._lines_of(candidate.path)
        end = len(lines) if candidate.outline else candidate.end_line
        start, end = trim_span(lines, candidate.start_line, end)
        return [(start, end)] if start < end else []

    def _shorter(self, candidate: Candidate) -> list[list[Span]]:
        """Ever shorter ways to show a candidate, down to one signature."""
        lines = self._lines_of(candidate.path)
        definitions = self._view.definitions_in(candidate.path)
        own = candidate.definition
        if own is None:
            return [outline(definitions, lines)]
        if candidate.members and (ways := self._skeletons(candidate)):
            return [way for way in ways if self._fits_share(candidate.path, way, MEMBERS_SHARES)]
        ways = [headers(own, definitions, lines, self._near_names), headers(own, definitions, lines, ())]
        ways.append([signature(own, lines)])
        return [way for way in ways if self._fits_share(candidate.path, way)]

    def _skeletons(self, candidate: Candidate) -> list[list[Span]]:
        """Ever fewer members of a class; nothing for what has none."""
        own, lines = candidate.definition, self._lines_of(candidate.path)
        members = self._members(own, self._view.definitions_in(candidate.path)) if own is not None else []
        if own is None or not members:
            return []
        return [skeleton(own, members[:count], lines) for count in MEMBERS]

    def _members(self, own: Definition, definitions: Sequence[Definition]) -> list[Definition]:
        """Of a class, those first that the cursor's surroundings name, then what most files of the root name."""
        found = [
            one
            for one in definitions
            if own.start_line < one.start_line < own.end_line and one.container == own.name
        ]
        return sorted(
            found,
            key=lambda one: (
                one.name not in self._near_names,
                one.name.startswith("_") and one.name not in CONSTRUCTORS,
                -len(self._view.referring(one.name)),
                one.start_line,
            ),
        )

    def _fits_share(self, path: str, spans: Sequence[Span], shares: int = 1) -> bool:
        room = shares * self._share
        return self._countable(path, spans, room) and sum(self._cost(path, span) for span in spans) <= room

    def _countable(self, path: str, spans: Sequence[Span], limit: int) -> bool:
        lines = self._lines_of(path)
        characters = sum(len(line) for start, end in spans for line in lines[start:end])
        return characters <= limit * MAX_CHARACTERS_PER_TOKEN

    def _add(self, candidate: Candidate, spans: Sequence[Span], limit: int) -> bool:
        path, lines = candidate.path, self._lines_of(candidate.path)
        kept = self._kept_spans.get(path, [])
        wanted = [piece for span in spans for piece in without(span, kept, lines)]
        if not spans:
            return False
        before = self._chosen.get(path, Chosen())
        together = merged([*before.spans, *wanted], lines)
        cost = before.tokens if together == before.spans else sum(self._cost(path, span) for span in together)
        if cost > before.tokens and self.tokens - before.tokens + cost > limit:
            return False
        if together:
            self.tokens += cost - before.tokens
            reasons = [*before.reasons, *((span, candidate.reason) for span in wanted)]
            self._chosen[path] = Chosen(together, reasons, min(before.tier, candidate.tier), cost)
        return True

    def _cost(self, path: str, span: Span) -> int:
        """Asked again and again for the same few spans."""
        known = self._costs.get((path, span))
        if known is None:
            header = self._headers.get(path)
            if header is None:
                header = self._headers[path] = self._tokenizer.count(path + "\n") + self._header_tokens
            known = self._costs[path, span] = header + self._tokenizer.count(self._text(path, span))
        return known

    def _segment(self, path: str, span: Span, reason: str) -> Segment:
        text = self._text(path, span)
        ids = self._tokenizer.encode(text)
        return Segment(path, span[0], span[1], self._cost(path, span), self._layer(path), reason, text, ids)

    def _layer(self, path: str) -> Layer:
        return "overlay" if self._view.is_overlay(path) else "retrieved"

    def _text(self, path: str, span: Span) -> str:
        return segment_text(self._lines_of(path), *span)

    def _lines_of(self, path: str) -> list[str]:
        known = self._lines.get(path)
        if known is None:
            known = self._lines[path] = split_lines(self._view.text(path) or "")
        return known
