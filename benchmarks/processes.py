"""What a process and all below it take of the machine."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

import msgspec
import psutil

MB = 1e6


class Memory(msgspec.Struct, frozen=True):
    """Bytes of a process and all below it."""

    resident: int
    proportional: int
    """What they share among themselves counts once: what would be free without them."""


def tree(pid: int, without: Collection[int] = ()) -> list[psutil.Process]:
    """The process and all below it, less those of `without` and all below them; empty when it is gone. A service that
    a server has started is its child, and is counted by itself."""
    try:
        process = psutil.Process(pid)
        found = [process, *process.children(recursive=True)]
        apart = [each for each in found[1:] if each.pid in without]
        left_out = {each.pid for other in apart for each in (other, *other.children(recursive=True))}
    except psutil.NoSuchProcess:
        return []
    return [each for each in found if each.pid not in left_out]


def cpu_seconds(pid: int, without: Collection[int] = ()) -> float:
    """Of a process, its living children, and those that have ended meanwhile."""
    seconds = 0.0
    for process in tree(pid, without):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system
            seconds += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return seconds


def memory(pid: int, without: Collection[int] = ()) -> Memory:
    resident = proportional = 0
    for process in tree(pid, without):
        with contextlib.suppress(psutil.NoSuchProcess):
            found = process.memory_full_info()
            resident += found.rss
            proportional += getattr(found, "pss", found.rss)
    return Memory(resident, proportional)
