"""What this user edits and looks at while a root is open: which lines, in which order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

REMEMBERED = 64
"""Places; those before them are no longer what somebody works on."""

NEAR_LINES = 10
"""Edits with no more lines than this between them are one place."""

AROUND_LINES = 10
"""Lines on either side of a cursor that was completed at: what was in view."""


class Place(msgspec.Struct, frozen=True):
    """Lines of a file as it is now."""

    path: str
    start_line: int
    end_line: int
    when_s: float
    """Unix time of the last event there."""


class EditLog:
    """From any thread. Places keep their lines while text is edited above them."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._edited: list[Place] = []
        self._viewed: list[Place] = []

    @property
    def edited(self) -> tuple[Place, ...]:
        """The most recent first."""
        return tuple(reversed(self._edited))

    @property
    def viewed(self) -> tuple[Place, ...]:
        """Where completions were asked for, each file once, the most recent first."""
        return tuple(reversed(self._viewed))

    def changed(self, path: str, before: str, after: str) -> None:
        """The text of a file became another one."""
        span = changed_lines(before, after)
        if span is None:
            return
        start, end, moved = span
        with self._lock:
            kept = [_moved(place, path, start, end - moved, moved) for place in self._edited]
            self._viewed = [_moved(place, path, start, end - moved, moved) for place in self._viewed]
            near = [place for place in kept if _near(place, path, start, end)]
            start = min([start, *(place.start_line for place in near)])
            end = max([end, *(place.end_line for place in near)])
            kept = [place for place in kept if place not in near]
            self._edited = [*kept, Place(path, start, end, self._clock())][-REMEMBERED:]

    def looked(self, path: str, line: int) -> None:
        """A completion was asked for on this line."""
        place = Place(path, max(0, line - AROUND_LINES), line + AROUND_LINES + 1, self._clock())
        with self._lock:
            others = [one for one in self._viewed if one.path != path]
            self._viewed = [*others, place][-REMEMBERED:]


def changed_lines(before: str, after: str) -> tuple[int, int, int] | None:
    """(first line, end line in `after`, by how many lines the rest has moved) of the one run of lines in which two
    texts differ; None where they do not. At a deletion the run is the line that followed."""
    old, new = before.split("\n"), after.split("\n")
    if old == new:
        return None
    shorter = min(len(old), len(new))
    start = _common(old, new, shorter)
    tail = _common(old[::-1], new[::-1], shorter - start)
    end = len(new) - tail
    return start, max(end, start + 1), len(new) - len(old)


def _common(one: Sequence[str], other: Sequence[str], most: int) -> int:
    return next((at for at in range(most) if one[at] != other[at]), most)


def _moved(place: Place, path: str, start: int, end: int, moved: int) -> Place:
    """Where a place is after lines `start` to `end` (of the text before) became `moved` lines more."""
    if place.path != path or place.end_line <= start or moved == 0:
        return place
    if place.start_line >= end:
        return msgspec.structs.replace(
            place, start_line=max(0, place.start_line + moved), end_line=max(1, place.end_line + moved)
        )
    return msgspec.structs.replace(place, end_line=max(place.start_line + 1, place.end_line + moved))


def _near(place: Place, path: str, start: int, end: int) -> bool:
    return (
        place.path == path and place.start_line - NEAR_LINES <= end and start <= place.end_line + NEAR_LINES
    )
