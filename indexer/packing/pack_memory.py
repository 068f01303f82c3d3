"""Remembers the last pack of each file, so that a cursor that moves a little does not move the prompt's
front.

What the engine has computed stays of use only as long as the prompt begins with it: segments that were chosen
before keep their place for as long as their text is still what the file holds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from indexer.messages import PackRequest, Segment, TokenizerRef
from indexer.packing.spans import Span
from indexer.packing.texts import LineMemory
from indexer.packing.view import IndexView
from indexer.parsing.lines import segment_text

REMEMBERED = 64
"""Packs kept: the files that one person has open. One of 8K tokens takes about 0.1 MB, ids shared with the
tokenizer."""


class PackKey(msgspec.Struct, frozen=True):
    """Packs of another root, file or tokenizer, or after other segments of a base, have nothing in common."""

    root: str
    path: str
    tokenizer: TokenizerRef
    header_tokens: int
    base: str
    base_segments: int


class PackMemory:
    """The last packs, least recently used first out. May be used from several threads."""

    def __init__(self, limit: int = REMEMBERED, lines: LineMemory | None = None) -> None:
        """`lines`: shared with others that read the same texts."""
        self._limit = limit
        self._lock = threading.Lock()
        self._packs: OrderedDict[PackKey, list[Segment]] = OrderedDict()
        self.lines = lines if lines is not None else LineMemory()

    def still_true(self, key: PackKey, view: IndexView, shown: Sequence[Segment] = ()) -> list[Segment]:
        """Segments of the last pack whose lines are unchanged, with their present line numbers, in their
        order. Ends before the first that is not: what follows it in the prompt has to be computed anew
        anyway. Those are left out of which a line is `shown` before them by now."""
        taken: dict[str, list[Segment]] = {}
        for one in shown:
            taken.setdefault(one.path, []).append(one)
        found: list[Segment] = []
        moved: dict[str, _Moved] = {}
        for segment in self._packs.get(key, []):
            present = self._present(segment, view, moved.setdefault(segment.path, _Moved()))
            if present is None:
                break
            if not any(_share_a_line(present, one) for one in taken.get(present.path, ())):
                found.append(present)
        return found

    def _present(self, segment: Segment, view: IndexView, moved: _Moved) -> Segment | None:
        """The segment where its text stands now, None where it does not any more or has changed its layer."""
        if view.is_overlay(segment.path) != (segment.layer == "overlay"):
            return None
        key = view.key_of(segment.path)
        lines = self.lines.of(key, lambda: view.text(segment.path)).lines if key else []
        start = moved.place_of(segment, lines)
        if start is None:
            return None
        end = start + segment.end_line - segment.start_line
        moved.by = start - segment.start_line
        moved.given.append((start, end))
        return msgspec.structs.replace(segment, start_line=start, end_line=end)

    def remember(self, key: PackKey, segments: list[Segment]) -> None:
        with self._lock:
            self._packs[key] = segments
            self._packs.move_to_end(key)
            while len(self._packs) > self._limit:
                self._packs.popitem(last=False)


def pack_key(
    request: PackRequest, view: IndexView, own_path: str, base: str = "", base_segments: int = 0
) -> PackKey:
    return PackKey(view.root, own_path, request.tokenizer, request.header_tokens, base, base_segments)


class _Moved:
    """Where segments of one path stand now. Others may have the same text: what stood together stays together."""

    def __init__(self) -> None:
        self.by = 0
        """Lines, the last one that was found."""
        self.given: list[Span] = []
        """No segment stands where another one does."""

    def place_of(self, segment: Segment, lines: Sequence[str]) -> int | None:
        """The first line of the nearest free place with its text."""
        expected, length = segment.start_line + self.by, segment.end_line - segment.start_line

        def stands_at(start: int) -> bool:
            end = start + length
            free = all(end <= first or last <= start for first, last in self.given)
            return free and segment_text(lines, start, end) == segment.text

        if expected >= 0 and stands_at(expected):
            return expected
        first_line = segment.text.split("\n", 1)[0]
        places = (start for start, line in enumerate(lines) if line == first_line and stands_at(start))
        return min(places, key=lambda start: abs(start - expected), default=None)


def _share_a_line(one: Segment, other: Segment) -> bool:
    return one.start_line < other.end_line and other.start_line < one.end_line
