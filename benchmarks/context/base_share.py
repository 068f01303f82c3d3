"""How much of a base stays of use while somebody edits, in the order that it has and in the order of its paths."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from indexer.messages import Segment

Text = Callable[[str], bytes | None]
"""What a path holds now, unsaved text included."""


class Kept(msgspec.Struct, frozen=True):
    """For one prompt: the share of the base's tokens before the first segment that is not true there."""

    ours: float
    by_path: float


class BaseShare:
    """One base from when it was made until the next one is."""

    def __init__(self, name: str, segments: Sequence[Segment], text: Text) -> None:
        self.name = name
        self.ours = list(segments)
        self.by_path = sorted(segments, key=lambda segment: (segment.path, segment.start_line))
        self._text = text
        self._made_of = {segment.path: text(segment.path) for segment in segments}

    @property
    def tokens(self) -> int:
        return sum(segment.tokens for segment in self.ours)

    def kept(self, own_path: str) -> Kept:
        """For a cursor in `own_path`: of its own file a prompt has no other text."""
        untrue = {path for path, content in self._made_of.items() if self._text(path) != content}
        untrue.add(own_path)
        return Kept(share(self.ours, untrue), share(self.by_path, untrue))


def read_again(bases: Sequence[BaseShare]) -> Kept:
    """Of the tokens of all bases but the first, the share that no base before begins with too: what an engine reads
    when a base is made anew, in either order."""
    total = sum(base.tokens for base in bases[1:])
    if not total:
        return Kept(0.0, 0.0)
    ours, by_path = 0, 0
    for at, base in enumerate(bases[1:], 1):
        ours += base.tokens - max(_common(base.ours, before.ours) for before in bases[:at])
        by_path += base.tokens - max(_common(base.by_path, before.by_path) for before in bases[:at])
    return Kept(ours / total, by_path / total)


def _common(one: Sequence[Segment], other: Sequence[Segment]) -> int:
    """Tokens of the segments that both begin with."""
    tokens = 0
    for a, b in zip(one, other, strict=False):
        if (a.path, a.text) != (b.path, b.text):
            break
        tokens += a.tokens
    return tokens


def share(segments: Sequence[Segment], untrue: Collection[str]) -> float:
    """Of all tokens, those before the first segment of a path that is `untrue`."""
    total = kept = 0
    cut = False
    for segment in segments:
        cut = cut or segment.path in untrue
        total += segment.tokens
        kept += 0 if cut else segment.tokens
    return kept / total if total else 0.0
