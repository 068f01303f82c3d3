"""Notices, once in a while, what no event tells: that the machine slept, that a root is another folder now, that
rules outside of it say something else."""

from __future__ import annotations

import time
from pathlib import Path

from indexer.files import git
from indexer.files.folders import rules_above

PULSE_S = 60.0
"""A few microseconds of work; the clock of this does not run while the machine sleeps."""

GONE_PULSE_S = 2.0
"""While a root is not there: somebody may be about to put it back."""

_SLEPT_S = 2.0
"""Two clocks, one of which stands still while the machine sleeps, otherwise go together."""

_JUMPED_S = 60.0
"""Where there are no such clocks: the wall clock is set by less than this as a rule."""


class Heartbeat:
    """Of one root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._drift_s = _drift_s()
        self._rules: list[Path] = []
        self._seen: tuple[object, ...] = ()

    def take(self) -> bool:
        """Everything is about to be looked at; whether the root is another folder than the last time. Blocks on the
        disk and on git."""
        before = self._seen[:1]
        self._rules = [git.user_excludes(), *rules_above(self._root)]
        self._drift_s, self._seen = _drift_s(), self._look()
        return bool(before) and before != self._seen[:1]

    def why_rescan(self) -> str:
        """What has happened since, else empty. Blocks on the disk."""
        before, self._drift_s = self._drift_s, _drift_s()
        if abs(self._drift_s - before) > (_SLEPT_S if _HAS_BOOT_TIME else _JUMPED_S):
            return "the machine was asleep, or its clock was set"
        if self._seen and self._look() != self._seen:
            return "the folder was replaced, or the rules for ignored files were changed"
        return ""

    def _look(self) -> tuple[object, ...]:
        return (_identity(self._root), *map(_stamp, self._rules))


_HAS_BOOT_TIME = hasattr(time, "CLOCK_BOOTTIME")


def _drift_s() -> float:
    now = time.clock_gettime(time.CLOCK_BOOTTIME) if _HAS_BOOT_TIME else time.time()
    return now - time.monotonic()


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        state = folder.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        state = file.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns
