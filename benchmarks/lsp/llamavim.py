"""llama.vim's method: its context around the cursor, its ring of chunks, its cache, and what it shows of an answer.

Written anew after ggml-org/llama.vim at a1c8e6e (autoload/llama.vim); functions there are named where it matters. Time
and the server are passed in. Not counted against it: the `curl` that it starts for every request.
"""

from __future__ import annotations

import random
import re
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

N_PREFIX, N_SUFFIX = 256, 64
"""Lines before and behind the cursor's."""
N_PREDICT = 128
T_MAX_PROMPT_MS = 500
T_MAX_PREDICT_MS, T_MAX_FIRST_MS = 1000, 250
"""For what is asked ahead, and for what is shown."""
MAX_LINE_SUFFIX = 8
"""With more characters behind the cursor nothing is asked."""
MAX_CACHE_KEYS = 250
RING_CHUNKS, RING_CHUNK_LINES, RING_SCOPE = 16, 64, 1024
QUEUED_CHUNKS = 16
RING_UPDATE_S, RING_QUIET_S = 1.0, 3.0
"""How often a chunk that waits is taken into the ring, and how long the cursor must have stood still for that."""
RETRY_S = 0.1
"""While a request is under way, the next one is tried again after so long: its debounce."""
LOOKED_BACK = 128
"""Characters in which an earlier answer is looked for."""
HASHES = 3
"""Lines by which the prefix may have moved on for an answer to be found again."""
EVICTED_QUEUED, EVICTED_AT_REQUEST = 0.9, 0.5
"""Likeness of chunks from which on the older one goes."""
PICK_DISTANCE_LINES = 32
"""From the place at which chunks were picked last."""

Lines = list[str]
_WORDS = re.compile(r"\W+")
Place = tuple[str, str, str]
"""What an answer is kept by: prefix, middle, suffix."""


class Context(msgspec.Struct, frozen=True):
    """`fim_ctx_local`."""

    prefix: str
    middle: str
    suffix: str
    indent: int
    line_suffix: str

    @property
    def places(self) -> list[Place]:
        """The place, and the same without the first one, two, three lines of its prefix."""
        found, prefix = [(self.prefix, self.middle, self.suffix)], self.prefix
        for _ in range(HASHES):
            prefix = prefix.partition("\n")[2]
            if not prefix:
                break
            found.append((prefix, self.middle, self.suffix))
        return found


def context_at(lines: Lines, x: int, y: int, shown: Sequence[str] = (), indent: int = 0) -> Context:
    """At column `x` of line `y`; with `shown` as if that had been accepted there, in which case `indent` is that of the
    request before."""
    below = lines[y + 1 : y + 1 + N_SUFFIX]
    if not shown:
        line = lines[y]
        above = lines[max(0, y - N_PREFIX) : y]
        if not line.strip():
            middle, rest, indent = "", "", 0
        else:
            middle, rest, indent = line[:x], line[x:], len(line) - len(line.lstrip())
    else:
        above = lines[max(0, y - N_PREFIX + len(shown) - 1) : y]
        rest = ""
        if len(shown) == 1:
            middle = lines[y] + shown[0]
        else:
            middle = shown[-1]
            above = [*above, lines[y] + shown[0], *shown[1:-1]]
    return Context(_joined(above), middle, f"{rest}\n{_joined(below)}", indent, rest)


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


class Cache:
    """Answers by places, those that were used last kept."""

    def __init__(self) -> None:
        self._known: OrderedDict[Place, str] = OrderedDict()

    def add(self, places: Sequence[Place], answer: str) -> None:
        for place in places:
            if len(self._known) > MAX_CACHE_KEYS - 1:
                self._known.popitem(last=False)
            self._known[place] = answer
            self._known.move_to_end(place)

    def get(self, place: Place) -> str | None:
        if place in self._known:
            self._known.move_to_end(place)
        return self._known.get(place)

    def left_at(self, context: Context) -> str | None:
        """`fim_try_hint`: the answer for this place, or what is left of one that was given up to 128 characters
        before it; of several the longest."""
        found = self.get((context.prefix, context.middle, context.suffix))
        if found is not None:
            return found
        before, best = context.prefix + context.middle, 0
        for back in range(1, min(LOOKED_BACK, len(before) - 1) + 1):
            typed, earlier = before[-back:], before[:-back]
            answer = self._of(earlier, context.suffix)
            if answer is None or answer[:back] != typed or len(answer) == back:
                continue
            if found is None or len(answer) - back > best:
                best = 0 if found is None else len(answer) - back
                found = answer[back:]
        return found

    def _of(self, before: str, suffix: str) -> str | None:
        """It keeps a hash of prefix and middle as one text; here the middle is what follows the last line break."""
        prefix, newline, middle = before.rpartition("\n")
        return self.get((prefix + newline, middle, suffix))


class Chunk(msgspec.Struct, frozen=True):
    lines: tuple[str, ...]
    path: str

    @property
    def text(self) -> str:
        return _joined(self.lines)


def likeness(one: Sequence[str], other: Sequence[str]) -> float:
    """`chunk_sim`: 0 to 1."""
    first, second = _words(one), _words(other)
    if not first and not second:
        return 1.0
    known = set(first)
    return 2 * sum(word in known for word in second) / (len(first) + len(second))


def _words(lines: Sequence[str]) -> list[str]:
    return [word for word in _WORDS.split("\n".join(lines)) if word]


class Ring:
    """Chunks of what was looked at, edited and saved; those that wait, and those that every request carries."""

    def __init__(self, drawn: random.Random) -> None:
        self.chunks: list[Chunk] = []
        self.queued: list[Chunk] = []
        self._drawn = drawn

    def pick(self, lines: Sequence[str], path: str, *, evict: bool) -> None:
        """`pick_chunk`: half a chunk's lines from a place that is drawn."""
        if len(lines) < 3:
            return
        chunk = Chunk(tuple(lines) if len(lines) + 1 < RING_CHUNK_LINES else self._part(lines), path)
        if any(each.lines == chunk.lines for each in (*self.chunks, *self.queued)):
            return
        for kept in (self.queued, self.chunks):
            alike = [each for each in kept if likeness(each.lines, chunk.lines) > EVICTED_QUEUED]
            if alike and not evict:
                return
            for each in alike:
                kept.remove(each)
        if len(self.queued) == QUEUED_CHUNKS:
            del self.queued[0]
        self.queued.append(chunk)

    def take_one(self) -> bool:
        """`ring_update`: whether there is one more in the ring now."""
        if not self.queued:
            return False
        if len(self.chunks) == RING_CHUNKS:
            del self.chunks[0]
        self.chunks.append(self.queued.pop(0))
        return True

    def make_room(self, around: Sequence[str]) -> None:
        """Chunks like what stands around the cursor would only be repeated."""
        part = self._part(around)
        self.chunks = [each for each in self.chunks if likeness(each.lines, part) <= EVICTED_AT_REQUEST]

    def _part(self, lines: Sequence[str]) -> tuple[str, ...]:
        half = RING_CHUNK_LINES // 2
        first = self._drawn.randint(0, max(0, len(lines) - half))
        return tuple(lines[first : min(first + half, len(lines)) + 1])


def shown_of(answer: str, lines: Lines, x: int, y: int) -> list[str]:
    """`fim_render`: the lines that are shown at the cursor; empty where that says nothing."""
    content = answer.split("\n")
    while content and content[-1] == "":
        content.pop()
    if not content:
        return []
    line = lines[y]
    if not line.strip():
        lead = min(len(content[0]) - len(content[0].lstrip()), len(line))
        line, content[0] = content[0][:lead], content[0][lead:]
    before, rest = line[:x], line[x:]
    if repeats(content, lines, y, before, rest):
        return []
    return content if "".join(content).strip() or rest.strip() else []


def repeats(content: Lines, lines: Lines, y: int, before: str, rest: str) -> bool:
    """Whether it says what stands behind the cursor already."""
    following = lines[y + 1 : y + len(content)]
    if len(content) > 1 and content[0] == "" and content[1:] == following:
        return True
    if len(content) == 1 and content[0] in ("", rest):
        return True
    below = y + 1
    while below < len(lines) - 1 and not lines[below].strip():
        below += 1
    if below >= len(lines) or before + content[0] != lines[below]:
        return False
    if len(content) == 1:
        return True
    if len(content) == 2:
        return below + 1 < len(lines) and lines[below + 1].startswith(content[1])
    return content[1:] == lines[below + 1 : below + len(content)]
