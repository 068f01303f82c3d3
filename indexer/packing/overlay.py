"""The overlay: what differs from the base, shown after it and in the order in which it was changed.

What was changed last stands last, since it is what changes next.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from indexer.messages import PackRequest, Segment
from indexer.packing.base_file import signatures
from indexer.packing.spans import Span, merged
from indexer.packing.tokens import SegmentTokenizer
from indexer.packing.view import IndexView
from indexer.parsing.languages import language_of
from indexer.parsing.lines import segment_text, split_lines, trim_span

OF_BASE = 16
"""The overlay takes at most this part (1/16) of what the base may take. Its room hangs on nothing that changes while
somebody types, as the budget of one request does: whatever else comes in at the front moves all that follows."""

MOST_TOKENS = 2_048
"""The same for large bases: what is used at the cursor matters more than what was changed elsewhere."""

OF_BUDGET = 2
"""And never more than this part (1/2) of the budget."""

WHOLE_SHARE = 3
"""A changed file is shown whole where that takes at most this part (1/3) of the overlay."""

AROUND_LINES = 5
"""Shown on either side of a changed place."""

MOST_FILES = 16
"""Changed files that are looked at, the last changed first."""


def overlay(
    request: PackRequest,
    view: IndexView,
    own_path: str,
    tokenizer: SegmentTokenizer,
    shown: Iterable[Segment],
) -> list[Segment]:
    """Segments of files that are not as the merge-base has them, the one that was changed last at the end. Nothing of
    the files that are `shown` as they are now."""
    known = {segment.path for segment in shown}
    history = view.history
    changed = history.changed.difference(known, [own_path])
    room = overlay_room(request)
    found: list[tuple[float, str, list[Segment]]] = []
    latest = sorted(changed, key=lambda path: (-history.changed_s(path), path))
    there = (path for path in latest if language_of(path) is not None and view.key_of(path))
    for path in itertools.islice(there, MOST_FILES):
        for segments in _ways(request, view, path, tokenizer):
            tokens = sum(segment.tokens for segment in segments)
            if segments and tokens <= room:
                found.append((history.changed_s(path), path, segments))
                room -= tokens
                break
    return [segment for _, _, segments in sorted(found, key=lambda one: one[:2]) for segment in segments]


def overlay_room(request: PackRequest) -> int:
    """Tokens that it may take."""
    return min(request.base_budget // OF_BASE, MOST_TOKENS, request.budget // OF_BUDGET)


def _ways(
    request: PackRequest, view: IndexView, path: str, tokenizer: SegmentTokenizer
) -> Iterable[list[Segment]]:
    """The file whole if it is small, then where it was changed in this session, then what it offers."""
    lines = split_lines(view.text(path) or "")
    places = [place for place in view.history.edited if place.path == path]
    why = (
        "unsaved"
        if view.is_overlay(path)
        else "changed in this session"
        if places
        else "changed on this branch"
    )

    def segments(spans: Sequence[Span], why: str) -> list[Segment]:
        return [_segment(request, path, lines, span, why, tokenizer) for span in spans]

    whole = trim_span(lines, 0, len(lines))
    most = overlay_room(request) // WHOLE_SHARE
    if whole[0] < whole[1] and tokenizer.count(segment_text(lines, *whole)) <= most:
        yield segments([whole], f"{why}: the whole file")
    around = (
        trim_span(lines, max(0, place.start_line - AROUND_LINES), place.end_line + AROUND_LINES)
        for place in places
    )
    yield segments(merged(list(around), lines), f"{why}: these lines")
    yield segments(signatures(view.definitions_in(path), lines), f"{why}: what it defines")


def _segment(
    request: PackRequest,
    path: str,
    lines: Sequence[str],
    span: Span,
    why: str,
    tokenizer: SegmentTokenizer,
) -> Segment:
    text = segment_text(lines, *span)
    ids = tokenizer.encode(text)
    tokens = request.header_tokens + tokenizer.count(path + "\n") + (len(ids) or tokenizer.count(text))
    return Segment(path, *span, tokens, "overlay", why, text, ids)
