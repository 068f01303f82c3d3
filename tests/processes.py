"""Whether a process still runs, asked of the system without a race: it may end between two looks."""

from __future__ import annotations

import psutil


def lives(process: int | psutil.Process) -> bool:
    """A process that has ended and is not yet awaited by its parent does not live."""
    try:
        seen = psutil.Process(process) if isinstance(process, int) else process
        return seen.is_running() and seen.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
