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

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._packs: OrderedDict[PackKey, list[Segment]] = OrderedDict()
        self.lines = LineMemory()

    def still_true(self, key: PackKey, view: IndexView, shown: Sequence[Segment] = ()) -> list[Segment]:
        """Segments of the last pack whose lines are unchanged, with their present line numbers, in their
        order. Ends before the first that is not: what follows it in the prompt has to be computed anew
        anyway. Those are left out of which a line is `shown` before them by now."""
        taken: dict[str, list[Segment]] = {}
        for one in shown:
            taken.setdefault(one.path, []).append(one)
        found: list[Segment] = []
        for segment in self._packs.get(key, []):
            present = self._present(segment, view)
            if present is None:
                break
            if not any(_share_a_line(present, one) for one in taken.get(present.path, ())):
                found.append(present)
        return found

    def _present(self, segment: Segment, view: IndexView) -> Segment | None:
        """The segment where its text stands now, None where it does not any more or has changed its layer."""
        if view.is_overlay(segment.path) != (segment.layer == "overlay"):
            return None
        key = view.key_of(segment.path)
        lines = self.lines.of(key, lambda: view.text(segment.path) or "").lines if key else []
        length = segment.end_line - segment.start_line
        if segment_text(lines, segment.start_line, segment.end_line) == segment.text:
            return segment
        first = segment.text.split("\n", 1)[0]
        for start, line in enumerate(lines):
            if line == first and segment_text(lines, start, start + length) == segment.text:
                return msgspec.structs.replace(segment, start_line=start, end_line=start + length)
        return None

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


def _share_a_line(one: Segment, other: Segment) -> bool:
    return one.start_line < other.end_line and other.start_line < one.end_line
