"""Which of many nested spans a place is in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence


class Nesting:
    """Spans by number, innermost first found by bisection. A span that begins in one and ends outside it is cut
    off at that end."""

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        """`spans`: [start, end), by start, the longer first."""
        self.parents: list[int] = []
        """Of each span, the one around it; -1 at the top."""
        self._places: list[int] = [-1]
        self._innermost: list[int] = [-1]
        stack: list[tuple[int, int]] = []  # end and number
        for number, (start, end) in enumerate(spans):
            while stack and stack[-1][0] <= start:
                self._leave(stack)
            if stack:
                end = min(end, stack[-1][0])
            self.parents.append(stack[-1][1] if stack else -1)
            stack.append((end, number))
            self._mark(start, number)
        while stack:
            self._leave(stack)

    def at(self, place: int) -> int:
        """The number of the innermost span that holds this place, -1 if none does."""
        return self._innermost[bisect_right(self._places, place) - 1]

    def at_each(self, places: Iterable[int]) -> list[int]:
        """The same of many places in ascending order."""
        starts, innermost = self._places, self._innermost
        found: list[int] = []
        here, last = 0, len(starts) - 1
        for place in places:
            while here < last and starts[here + 1] <= place:
                here += 1
            found.append(innermost[here])
        return found

    def _leave(self, stack: list[tuple[int, int]]) -> None:
        end, _ = stack.pop()
        self._mark(end, stack[-1][1] if stack else -1)

    def _mark(self, place: int, number: int) -> None:
        if self._places[-1] == place:
            self._innermost[-1] = number
        else:
            self._places.append(place)
            self._innermost.append(number)
