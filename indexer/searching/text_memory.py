"""The texts that the full-text index on disk lacks, cut into words when somebody asks for them first."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator

import msgspec

from indexer.store.rows import ContentRows

MOST_CHUNKS = 20_000
"""That memory holds, about 50 MB; what a pass over a large repository reads beyond them is searched when the
pass indexes it at its end."""

_REMEMBERED = 100_000
"""Words whose stem is known, at about 150 bytes each; then all are forgotten."""


class Content(msgspec.Struct):
    """The chunks of one content as memory searches them."""

    rows: ContentRows
    having: dict[str, list[tuple[int, int]]]
    """Stem → which chunks have it, and how often."""
    lengths: list[int]
    """Words of each chunk."""
    words: int
    """Of all of them."""


class TextMemory:
    """From any thread. Whoever adds or forgets waits for nobody who cuts texts into words, which takes seconds."""

    def __init__(self, stem: Callable[[str], list[str]]) -> None:
        """`stem`: the stems of words joined by blanks, as the index cuts them; may block."""
        self._stem = stem
        self._stems: dict[str, str] = {}
        """Changed by whoever holds `_cutting`."""
        self._cutting = threading.Lock()
        """One cuts at a time: two who ask at once would both do the same. Taken before `_lock`, never after it."""
        self._lock = threading.Lock()
        """Of everything below, for moments."""
        self._unread: dict[str, ContentRows] = {}
        """Added, and not yet cut into words: a burst of saves costs nothing until somebody asks."""
        self._contents: dict[str, Content] = {}
        self._without_room: dict[str, int] = {}
        """Content → number of chunks, of those that were added when memory was full."""
        self.chunks = 0
        """That are held."""
        self.left_out = 0
        """Chunks for which there was no room."""

    def add(self, contents: Iterable[ContentRows]) -> None:
        """From now on these are held, or known to be left out."""
        with self._lock:
            for rows in contents:
                if any(rows.key in known for known in (self._unread, self._contents, self._without_room)):
                    continue
                if self.chunks >= MOST_CHUNKS:
                    self._without_room[rows.key] = len(rows.starts)
                    self.left_out += len(rows.starts)
                else:
                    self._unread[rows.key] = rows
                    self.chunks += len(rows.starts)

    def forget(self, keys: Iterable[str]) -> None:
        """Somebody else has these, or nobody needs them."""
        with self._lock:
            for key in keys:
                self._unread.pop(key, None)
                self._contents.pop(key, None)
                self._without_room.pop(key, None)
            held = [*self._unread.values(), *(content.rows for content in self._contents.values())]
            self.chunks = sum(len(rows.starts) for rows in held)
            self.left_out = sum(self._without_room.values())

    def among(self, keys: Container[str]) -> list[str]:
        """The contents that are held or left out and are in `keys`."""
        with self._lock:
            return [
                key
                for known in (self._unread, self._contents, self._without_room)
                for key in known
                if key in keys
            ]

    def contents(self) -> list[Content]:
        """Blocks. All that are held at the moment of the call, cut into words."""
        with self._cutting:
            with self._lock:
                unread = dict(self._unread)
            fresh = list(self._cut(unread)) if unread else []
            with self._lock:
                for content in fresh:
                    if (
                        self._unread.pop(content.rows.key, None) is not None
                    ):  # else it was forgotten meanwhile
                        self._contents[content.rows.key] = content
                return list(self._contents.values())

    def _cut(self, unread: dict[str, ContentRows]) -> Iterator[Content]:
        cut = {key: [text.split() for text in rows.words] for key, rows in unread.items()}
        self._learn({word for chunks in cut.values() for words in chunks for word in words})
        stems = self._stems
        for key, rows in unread.items():
            having: dict[str, list[tuple[int, int]]] = {}
            for chunk, words in enumerate(cut[key]):
                for stem, count in Counter([stems[word] for word in words]).items():
                    having.setdefault(stem, []).append((chunk, count))
            lengths = [len(words) for words in cut[key]]
            yield Content(rows, having, lengths, sum(lengths))

    def _learn(self, words: set[str]) -> None:
        if len(self._stems) > _REMEMBERED:
            self._stems = {}
        waiting = [sorted(words - self._stems.keys())]
        while waiting:
            some = waiting.pop()
            stems = self._stem(" ".join(some))
            if len(stems) == len(some):
                self._stems.update(zip(some, stems, strict=True))
            elif len(some) > 1:  # the index cuts one of them further, or drops it
                waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
            else:
                self._stems[some[0]] = "".join(stems)
