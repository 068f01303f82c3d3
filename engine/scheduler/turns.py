"""Whose prompt is read in the next step: the rule of priorities, as pure logic.

Only requests of the highest priority that waits or is being answered have their prompts read; all others
are held back, also between two chunks of one prompt. So a completion waits for one step of a warm-up at most,
and an answer that is being written for people does not stall behind a long prompt of less priority.

Ageing: an edit that made no progress for `AGEING_S` gets one step to itself, whatever else waits. Work below an
edit (warm-up, prefetch) has nobody who waits for it and does not age.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

EDIT = 0
"""`engine.endpoints.endpoint.Priority.EDIT`, and what a request without a priority has. Lower is background work."""
AGEING_S = 0.75
"""An edit keeps about a sixth of the machine beside people who complete without pause (a step takes some 0.15 s), and
they wait for one step in each such time."""


class Ranked(Protocol):
    """A request, as far as its turn goes."""

    @property
    def rid(self) -> str: ...

    @property
    def priority(self) -> int | None: ...


class Turns:
    """Remembers since when each request waits for its turn."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since_s: dict[str, float] = {}

    def allowed(
        self, waiting: Sequence[Ranked], begun: Ranked | None, answering: Iterable[Ranked]
    ) -> frozenset[str]:
        """Ids of the requests whose prompts may be read in the next step.

        `waiting` have not begun or had to give way, `begun` has been read in part, in the last step, and
        `answering` are past their prompts.
        """
        now_s = self._clock()
        candidates = [*waiting, begun] if begun is not None else list(waiting)
        self._since_s = {each.rid: self._since_s.get(each.rid, now_s) for each in candidates}
        if begun is not None:
            self._since_s[begun.rid] = now_s
        levels = [rank(each) for each in (*candidates, *answering)]
        if not levels:
            return frozenset()
        top = max(levels)
        due = [each for each in candidates if self._is_due(each, top, now_s)]
        if due:
            first = min(due, key=lambda each: self._since_s[each.rid])
            self._since_s[first.rid] = now_s  # its turn is spent, even if there is no memory for it now
            return frozenset((first.rid,))
        return frozenset(each.rid for each in candidates if rank(each) == top)

    def _is_due(self, request: Ranked, top: int, now_s: float) -> bool:
        return EDIT <= rank(request) < top and now_s - self._since_s[request.rid] >= AGEING_S


def rank(request: Ranked) -> int:
    return EDIT if request.priority is None else request.priority
