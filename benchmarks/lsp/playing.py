"""Plays keys in real time to one side, and keeps what that side shows."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from benchmarks.context.replay import Event
from benchmarks.lsp.keystrokes import Run
from benchmarks.lsp.scoring import Ghost, Played

BEFORE_S = 1.0
"""At a place before the first key, and after the last one."""


class Screen:
    """What is shown during one run. A side tells it; the player says when a key comes."""

    def __init__(self, keys: int) -> None:
        self.number = -1
        """Of the last key."""
        self.key_at = 0.0
        """By the machine's monotonic clock."""
        self.ghosts: list[Ghost | None] = [None] * keys
        self.shown_at: list[float] = [0.0] * keys
        self.key_times: list[float] = [0.0] * keys

    def key(self, at: float) -> None:
        self.number += 1
        self.key_at = self.key_times[self.number] = at

    def show(self, number: int, text: str) -> None:
        """For the key with this number: nothing where another one has come since, or the text is blank. What is shown
        first for a key counts."""
        if number != self.number or not text.strip() or self.ghosts[number] is not None:
            return
        now = time.monotonic()
        self.shown_at[number] = now
        self.ghosts[number] = Ghost(now - self.key_at, text)


class Side(Protocol):
    """One of those that are compared."""

    @property
    def name(self) -> str: ...

    async def carry_out(self, event: Event) -> None:
        """What an editor does between two runs, at once."""
        ...

    async def begin(self, run: Run, screen: Screen) -> tuple[str, str]:
        """The cursor stands where the run begins; the texts before and after it."""
        ...

    def type(self, number: int, text: str) -> None:
        """A key; nothing slow."""
        ...

    async def end(self, played: Played, screen: Screen) -> None:
        """Nothing is under way any more. Fills in what the run has cost."""
        ...


async def play(run: Run, side: Side) -> Played:
    """At most as fast as it was typed. Raises TargetError where the side fails."""
    screen = Screen(len(run.keys))
    before, after = await side.begin(run, screen)
    await asyncio.sleep(BEFORE_S)
    due = time.monotonic()
    for number, key in enumerate(run.keys):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        now = time.monotonic()
        screen.key(now)
        side.type(number, key.text)
        due = now + key.then_s
    await asyncio.sleep(max(0.0, due - time.monotonic()) + BEFORE_S)
    played = Played(run, before, after, screen.ghosts, [False] * len(run.keys))
    await side.end(played, screen)
    return played
