"""Lines of a root's files and what they cost in tokens, for the time of one pack."""

from __future__ import annotations

import sys
import threading
import weakref
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import accumulate

import msgspec

from indexer.messages import Definition, Layer, Segment
from indexer.packing.evidence import Candidate
from indexer.packing.spans import CONTAINERS, Span, merged
from indexer.packing.tokens import SegmentTokenizer
from indexer.packing.versions import Version, versions_of
from indexer.packing.view import IndexView
from indexer.parsing.lines import segment_text, split_lines

CHARACTERS_PER_TOKEN = 3.5
"""Of source code under the tokenizers that we know (3 to 4), to compare candidates by."""

KEPT_BYTES = 64 * 1024 * 1024
"""Of lines that are remembered: of some 1,000 files of 500 lines, what packs of a few parts of large roots are made
of."""

_BYTES_PER_VERSIONS = 700
"""Of one definition's, with their spans and key."""

_BYTES_PER_COST = 250
"""Of one run of lines, with its key."""


class FileLines:
    """Of one text."""

    def __init__(self, text: str) -> None:
        self.lines = split_lines(text)
        self.characters = array("I", [0, *accumulate(len(line) + 1 for line in self.lines)])
        """Before each line, and before the end."""
        self.versions: dict[tuple[int, str], tuple[Version, ...]] = {}
        """By first line and name."""
        self.owners: dict[str, tuple[tuple[int, int, int], ...]] | None = None
        """Of types by name: first line, end line and the line with the name."""
        self.costs: dict[Span, int] = {}
        """Tokens of lines, as `counted_by` has counted them."""
        self.counted_by: weakref.ref[SegmentTokenizer] | None = None
        self._bytes = sum(map(sys.getsizeof, (self.lines, self.characters, *self.lines)))

    def size(self) -> int:
        """Bytes in memory, roughly; grows with `versions` and `costs`."""
        return self._bytes + len(self.versions) * _BYTES_PER_VERSIONS + len(self.costs) * _BYTES_PER_COST

    def cost(self, span: Span, tokenizer: SegmentTokenizer) -> int:
        """Tokens of these lines."""
        if self.counted_by is None or self.counted_by() is not tokenizer:
            self.counted_by, self.costs = weakref.ref(tokenizer), {}
        costs = self.costs  # another thread may count with another tokenizer, and puts its own in this place
        known = costs.get(span)
        if known is None:
            known = costs[span] = tokenizer.count(segment_text(self.lines, *span))
        return known


class LineMemory:
    """The lines of texts that were asked for last, by their content: one for all who ask. From any thread."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[FileLines, int]] = OrderedDict()
        """With the bytes that were counted for them last."""
        self._held = 0

    def of(self, key: str, text: Callable[[], str | None]) -> FileLines:
        """Without lines where there is no text now, which is asked for again next time: it may be about to be
        written."""
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._put(key, known[0])
                return known[0]
        read = text()
        found = FileLines(read or "")
        if key and read is not None:
            with self._lock:
                self._put(key, found)
        return found

    def _put(self, key: str, lines: FileLines) -> None:
        """As the one asked for last; what was asked for longest ago goes."""
        _, before = self._known.pop(key, (None, 0))
        now = lines.size()
        self._known[key] = lines, now
        self._held += now - before
        while self._held > self._limit:
            _, (_, dropped) = self._known.popitem(last=False)
            self._held -= dropped


class Texts:
    def __init__(
        self,
        view: IndexView,
        tokenizer: SegmentTokenizer,
        header_tokens: int,
        memory: LineMemory | None = None,
    ) -> None:
        self._view = view
        self._tokenizer = tokenizer
        self._header_tokens = header_tokens
        self._memory = memory if memory is not None else LineMemory()
        self._files: dict[str, FileLines] = {}
        self._headers: dict[str, int] = {}
        self._costs: dict[tuple[str, Span], int] = {}

    def lines(self, path: str) -> list[str]:
        return self._file(path).lines

    def versions(self, candidate: Candidate) -> tuple[Version, ...]:
        """The ways to show it."""
        file = self._file(candidate.path)
        own = candidate.definition
        if own is None:
            return tuple(versions_of(candidate, file.lines))
        key = own.start_line, own.name
        known = file.versions.get(key)
        if known is None:
            known = file.versions[key] = tuple(versions_of(candidate, file.lines))
        return known

    def owner(self, definition: Definition) -> Span | None:
        """The line that names the type which a member belongs to; None where its file has none of that name around
        it."""
        file = self._file(definition.path)
        if file.owners is None:
            found: dict[str, list[tuple[int, int, int]]] = {}
            for tag in self._view.tags_in(definition.path):
                if tag.kind in CONTAINERS:
                    found.setdefault(tag.name, []).append((tag.start_line, tag.end_line, tag.name_line))
            file.owners = {name: tuple(places) for name, places in found.items()}
        for start, end, line in file.owners.get(definition.container, ()):
            if start < definition.start_line < end and start <= line < len(file.lines):
                return line, line + 1
        return None

    def _file(self, path: str) -> FileLines:
        known = self._files.get(path)
        if known is None:
            key = self._view.key_of(path)
            known = self._files[path] = self._memory.of(key, lambda: self._view.text(path))
        return known

    def exact(self, path: str, span: Span) -> int:
        """Tokens of these lines alone."""
        known = self._costs.get((path, span))
        if known is None:
            known = self._costs[path, span] = self._file(path).cost(span, self._tokenizer)
        return known

    def roughly(self, path: str, span: Span) -> int:
        known = self._costs.get((path, span))
        if known is not None:
            return known
        characters = self._file(path).characters
        return 1 + int((characters[span[1]] - characters[span[0]]) / CHARACTERS_PER_TOKEN)

    def header(self, path: str) -> int:
        """What the first segment of a path costs beside its text."""
        known = self._headers.get(path)
        if known is None:
            known = self._headers[path] = self._tokenizer.count(path + "\n") + self._header_tokens
        return known

    def layer(self, path: str) -> Layer:
        return "overlay" if self._view.is_overlay(path) else "retrieved"

    def segments(self, path: str, runs: Sequence[Span]) -> list[Segment]:
        """In line order; what only blank lines separate is one. The path's line is paid for by the first."""
        found: list[Segment] = []
        for span in self._together(path, sorted(runs)):
            text = segment_text(self.lines(path), *span)
            tokens = self.exact(path, span) + (0 if found else self.header(path))
            ids = self._tokenizer.encode(text)
            found.append(Segment(path, span[0], span[1], tokens, self.layer(path), "", text, ids))
        return found

    def recounted(self, segments: Sequence[Segment]) -> list[Segment]:
        """The same, each path paid for by the first of its segments that stand together."""
        found: list[Segment] = []
        for segment in segments:
            again = bool(found) and found[-1].path == segment.path
            tokens = len(segment.ids) or self._tokenizer.count(segment.text)
            tokens += 0 if again else self.header(segment.path)
            found.append(
                segment if tokens == segment.tokens else msgspec.structs.replace(segment, tokens=tokens)
            )
        return found

    def _together(self, path: str, runs: Sequence[Span]) -> list[Span]:
        """Where that costs nothing more."""
        found: list[Span] = []
        for span in runs:
            both = merged([*found[-1:], span], self.lines(path))
            if len(both) == 1 and found:
                apart = self.exact(path, found[-1]) + self.exact(path, span)
                if self.exact(path, both[0]) <= apart:
                    found[-1] = both[0]
                    continue
            found.append(span)
        return found
