"""A completion under way, and who goes along with it.

Whoever types on while it is written need not ask anew as long as what is written goes through what was typed: then the
newer request follows the same stream, and what was typed is taken off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

from lsp.offers.freshness import Setting, Source, is_fresh
from lsp.offers.suggestions import are_closed, closers_between, plain, typed_between
from lsp.offers.sureness import Sureness

if TYPE_CHECKING:
    from lsp.requests.asking import Written

Told = Callable[[str], None]


class InFlight:
    """One request at the engine for the text between `before` and `after`. Its result outlives it: `result` may be
    asked for by as many as like."""

    def __init__(
        self,
        name: str,
        before: str,
        after: str,
        *,
        joinable: bool = True,
        supposed: bool = False,
        setting: Setting | None = None,
    ) -> None:
        """`supposed` as of `Question`; `setting` is that in which it was asked."""
        self.before = before
        self.after = after
        self.written = ""
        """So far, the line under way included."""
        self.sureness: Sureness | None = None
        """Of that; None where it is not known."""
        self.ended_because = ""
        """Why it was ended before its end, if we did it."""
        self.claimed: asyncio.Future[None] | None = None
        """While nobody waits for it: set when somebody does again."""
        self._name = name
        self._joinable = joinable
        self._supposed = supposed
        self._setting = setting
        self._task: asyncio.Task[Written | str] | None = None
        self._listeners: list[Told] = []

    def start(self, work: Coroutine[None, None, Written | str]) -> None:
        """`work` tells what it writes to `grown`."""
        self._task = asyncio.create_task(work, name=self._name)

    @property
    def task(self) -> asyncio.Task[Written | str]:
        assert self._task is not None, "a request in flight was started"
        return self._task

    @property
    def under_way(self) -> bool:
        return self._task is not None and not self._task.done()

    def end(self, why: str) -> None:
        """Ends it in the engine."""
        if self.under_way:
            self.ended_because = why
            self.task.cancel()

    def weighed(self, sureness: Sureness) -> None:
        """How sure the model is of what is told next."""
        self.sureness = sureness

    def grown(self, text: str) -> None:
        self.written = plain(text)
        for listener in tuple(self._listeners):
            listener(self.written)

    # ------------------------------------------------------------ who goes along

    def typed_at(self, before: str, after: str) -> str | None:
        """What was typed since it was asked for, if what is written so far goes through that; else None."""
        if not self._joinable or not before.startswith(self.before):
            return None
        typed, closers = plain(before[len(self.before) :]), closers_between(after, self.after)
        if closers is None or not are_closed(typed, closers):
            return None
        return typed if self._goes_through(typed) else None

    def is_old(self, setting: Setting) -> bool:
        """Whether something else would be asked now."""
        return self._setting is not None and not is_fresh(Source(self._setting), setting, {})

    def fits(self, text: str) -> bool:
        """Whether the whole text of the document may be one on the way through it, wherever the cursor is."""
        return self._supposed or any(
            self._goes_through(each) for each in typed_between(text, self.before, self.after)
        )

    async def followed(self, typed: str, told: Told) -> Written | str | None:
        """What came of it, a completion or why there is none; None as soon as it does not go through `typed`. `told`
        gets what is written beyond that."""
        stray: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def grown(written: str) -> None:
            if not stray.done() and not _goes_along(written, typed):
                stray.set_result(None)
            elif len(written) > len(typed):
                told(written[len(typed) :])

        self._listeners.append(grown)
        grown(self.written)
        try:
            await asyncio.wait({self.task, stray}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._listeners.remove(grown)
        if stray.done():
            return None
        return self.ended_because if self.task.cancelled() else self.task.result()

    def _goes_through(self, typed: str) -> bool:
        return _goes_along(self.written, typed)


def _goes_along(written: str, typed: str) -> bool:
    return written.startswith(typed) or typed.startswith(written)
