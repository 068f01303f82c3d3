"""Remembers the last pack of each file, so that a cursor that moves a little does not move the prompt's
front.

What the engine has computed stays of use only as long as the prompt begins with it: segments that were chosen
before keep their place for as long as their text is still what the file holds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import msgspec

from indexer.messages import PackRequest, Segment, TokenizerRef
from indexer.packing.view import IndexView
from indexer.parsing.lines import segment_text, split_lines

REMEMBERED = 64
"""Packs kept: the files that one person has open. One of 8K tokens takes about 0.1 MB, ids shared with the
tokenizer."""


class PackKey(msgspec.Struct, frozen=True):
    """Packs of another root, file, budget or tokenizer have nothing in common."""

    root: str
    path: str
    budget: int
    tokenizer: TokenizerRef
    header_tokens: int


class PackMemory:
    """The last packs, least recently used first out. May be used from several threads."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._packs: OrderedDict[PackKey, list[Segment]] = OrderedDict()

    def still_true(self, request: PackRequest, view: IndexView, own_path: str) -> list[Segment]:
        """Segments of the last pack whose lines are unchanged, with their present line numbers, in their
        order. Ends before the first that is not: what follows it in the prompt has to be computed anew
        anyway."""
        found: list[Segment] = []
        for segment in self._packs.get(pack_key(request, view, own_path), []):
            present = _present(segment, view)
            if present is None:
                break
            found.append(present)
        return found

    def remember(self, request: PackRequest, view: IndexView, own_path: str, segments: list[Segment]) -> None:
        key = pack_key(request, view, own_path)
        with self._lock:
            self._packs[key] = segments
            self._packs.move_to_end(key)
            while len(self._packs) > self._limit:
                self._packs.popitem(last=False)


def pack_key(request: PackRequest, view: IndexView, own_path: str) -> PackKey:
    return PackKey(view.root, own_path, request.budget, request.tokenizer, request.header_tokens)


def _present(segment: Segment, view: IndexView) -> Segment | None:
    """The segment where its text stands now, None where it does not any more or has changed its layer."""
    text = view.text(segment.path)
    if text is None or view.is_overlay(segment.path) != (segment.layer == "overlay"):
        return None
    lines = split_lines(text)
    length = segment.end_line - segment.start_line
    if segment_text(lines, segment.start_line, segment.end_line) == segment.text:
        return segment
    first = segment.text.split("\n", 1)[0]
    for start, line in enumerate(lines):
        if line == first and segment_text(lines, start, start + length) == segment.text:
            return msgspec.structs.replace(segment, start_line=start, end_line=start + length)
    return None
