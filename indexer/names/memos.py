"""Answers that are computed once and again only when something that they have looked at has changed.

A memo holds a value, the memos that its computation asked for, and when it last changed. Whatever comes from
outside is a memo without any of those, read anew after each `advance`. Asking for a memo after that verifies what
it depends on, and computes it again only if one of those *says something else* than before: a saved file whose
new facts lead to the same answers ends there. (The scheme is that of Salsa, https://salsa-rs.github.io/salsa/.)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar, TypeVarTuple

_T = TypeVar("_T")
_A = TypeVarTuple("_A")


class _Memo:
    """`deps` is None for what comes from outside."""

    __slots__ = ("arguments", "changed", "computing", "deps", "function", "held", "used", "value", "verified")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Hashable, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.value: Any = None
        self.deps: tuple[_Memo, ...] | None = ()
        self.verified = 0
        self.changed = 0
        self.computing = False
        self.used = 0
        """How often its value was asked for."""
        self.held: _Frame | None = None
        """The computation in whose circle the value was found: it counts until that ends."""


_DEEPEST = 50
"""Computations within one another; each takes some ten calls of Python's thousand. Real code needs about fifteen."""

_DROPPED: Any = object()
"""Stands for a value that is worked out again when it is asked for, although nothing has changed."""


class _Frame:
    """A computation under way. What is part of a circle depends on where that was entered, and is not kept."""

    __slots__ = ("active", "deps", "entered", "memo", "met", "place")

    def __init__(self, memo: _Memo, place: int) -> None:
        self.memo = memo
        self.place = place
        self.entered = place
        """The outermost frame that this one's value depends on while that is half done."""
        self.deps: dict[_Memo, None] = {}
        self.met = False
        """Whether it is part of a circle."""
        self.active = True


class Question(Generic[*_A, _T]):
    """A function of hashable arguments whose answers are kept. `in_cycle`: what is answered when a computation
    asks for itself. `outside`: it reads what `advance` announces to have changed."""

    def __init__(
        self,
        memos: Memos,
        function: Callable[[*_A], _T],
        *,
        in_cycle: Callable[[], _T] | None = None,
        outside: bool = False,
    ) -> None:
        self._memos = memos
        self._function = function
        self._in_cycle = in_cycle
        self._outside = outside
        self._known: dict[tuple[*_A], _Memo] = {}

    def __call__(self, *arguments: *_A) -> _T:
        memo = self._known.get(arguments)
        if memo is None:
            memo = _Memo(self._function, arguments)
            if self._outside:
                memo.deps = None
            self._known[arguments] = memo
        return self._memos.ask(memo, self._in_cycle)

    def __len__(self) -> int:
        return len(self._known)

    def forget(self) -> None:
        """Lets go of all answers; only between two questions. What depends on them keeps its own."""
        self._known.clear()

    def drop_values(self, asked: Iterable[tuple[*_A]], keep: int) -> list[tuple[*_A]]:
        """Gives the memory of these answers back, not of what they depend on; only between two questions. Keeps so
        many, those that were asked for most, and gives them."""
        live = [
            memo for one in asked if (memo := self._known.get(one)) is not None and memo.value is not _DROPPED
        ]
        live.sort(key=lambda memo: -memo.used)
        for memo in live[keep:]:
            memo.value = _DROPPED
        for memo in live:
            memo.used //= 2  # what was asked for long ago counts less and less
        kept: list[Any] = [memo.arguments for memo in live[:keep]]
        return kept


class Memos:
    """Belongs to one thread at a time."""

    def __init__(self) -> None:
        self._epoch = 1
        self._frames: list[_Frame] = []

    def advance(self) -> None:
        """Something outside may have changed."""
        self._epoch += 1

    def ask(self, memo: _Memo, in_cycle: Callable[[], Any] | None) -> Any:
        """The value of a memo, which the computation that asks depends on from now on."""
        if memo.verified != self._epoch:
            if memo.held is not None and memo.held.active:
                self._circle(memo.held.place)
            elif memo.computing or (len(self._frames) >= _DEEPEST and in_cycle is not None):
                return self._met_again(memo, in_cycle)
            else:
                self._refresh(memo)
        memo.used += 1
        if memo.value is _DROPPED:
            memo.value = memo.function(
                *memo.arguments
            )  # what it asks for, who asks here depends on too: no harm
        if self._frames:
            frame = self._frames[-1]
            if memo.verified == self._epoch:
                frame.deps[memo] = None
            else:  # found within a circle and not kept: what it has looked at counts for who asked
                frame.deps.update(dict.fromkeys(memo.deps or ()))
        return memo.value

    def _met_again(self, memo: _Memo, in_cycle: Callable[[], Any] | None) -> Any:
        if in_cycle is None:
            raise RuntimeError(f"{memo.function.__name__}{memo.arguments} asks for itself")
        met = (frame.place for frame in self._frames if frame.memo is memo)
        self._circle(next(met, 0))
        return in_cycle()

    def _circle(self, place: int) -> None:
        """The frames from this one on are part of one."""
        for frame in self._frames[place:]:
            frame.entered = min(frame.entered, place)
            frame.met = True

    def _refresh(self, memo: _Memo) -> None:
        if memo.deps is None:
            value = memo.function(*memo.arguments)
            if memo.verified == 0 or value != memo.value:
                memo.value, memo.changed = value, self._epoch
            memo.verified = self._epoch
            return
        if memo.verified and not self._outdated(memo):
            memo.verified = self._epoch
            return
        self._compute(memo)

    def _outdated(self, memo: _Memo) -> bool:
        for dep in memo.deps or ():
            if dep.computing:  # it asks, from now on, for what has once asked for it
                return True
            if dep.verified != self._epoch:
                self._refresh(dep)
            if dep.changed > memo.verified:
                return True
        return False

    def _compute(self, memo: _Memo) -> None:
        frame = _Frame(memo, len(self._frames))
        self._frames.append(frame)
        memo.computing = True
        try:
            value = memo.function(*memo.arguments)
        finally:
            memo.computing = frame.active = False
            self._frames.pop()
        memo.deps = tuple(frame.deps)
        frame.deps.clear()
        if memo.verified == 0 or value != memo.value:
            memo.value, memo.changed = value, self._epoch
        memo.verified = 0 if frame.met else self._epoch
        memo.held = self._frames[frame.entered] if frame.entered < frame.place else None
