"""The process from which children are forked: started early, with what reading needs already loaded.

A child that is spawned loads everything anew, for half a second; one that is forked is there within milliseconds.
The service itself runs threads and must never be forked, so that Python's own fork server does it, a process with
one thread. It sleeps while nobody asks it for a child, is ended when that has been so for long, and ends by itself
when the service is gone, however that ended. Only on Linux: macOS' own libraries do not bear being forked.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import sys
from multiprocessing.context import BaseContext

_log = logging.getLogger(__name__)

IDLE_S = 600.0
"""It holds 40 MB and takes 0.2 s of a processor to start: kept over an hour of work, not over a night."""

_PRELOADED = ["indexer.children.warm"]

_forks = sys.platform == "linux"
_users = 0
_timer: asyncio.TimerHandle | None = None


def context() -> BaseContext:
    """How child processes are made on this system."""
    return multiprocessing.get_context("forkserver" if _forks else "spawn")


def start() -> None:
    """Starts it if it does not run; it loads what it preloads by itself. Blocks for some milliseconds."""
    if _forks and sys.platform == "linux":
        from multiprocessing import forkserver

        forkserver.set_forkserver_preload(_PRELOADED)
        forkserver.ensure_running()


async def start_early() -> None:
    """Before anybody needs a child; ended as if somebody had."""
    hold()
    try:
        await asyncio.to_thread(start)
    except OSError as failed:
        _log.warning("the fork server does not start, and is tried again with the first child: %s", failed)
    finally:
        release()


def give_up(failed: Exception) -> None:
    """It could not give a child: from now on children are spawned."""
    global _forks
    _log.error("the fork server does not work, children are spawned instead", exc_info=failed)
    _forks = False


def hold() -> None:
    """There are, or are about to be, children of it; on the event loop. To be followed by one `release`."""
    global _users
    _users += 1
    if _timer is not None:
        _timer.cancel()


def release() -> None:
    """Some of its children are ended, or are about to be; on the event loop."""
    global _users
    _users -= 1
    if not _users and _forks:
        _end_later()


def _end_later() -> None:
    global _timer
    if _timer is not None:
        _timer.cancel()
    _timer = asyncio.get_running_loop().call_later(IDLE_S, _end_soon)


def _end_soon() -> None:
    if multiprocessing.active_children():  # one is slow to go, and the server would wait for it
        _end_later()
    elif not _users:
        asyncio.get_running_loop().run_in_executor(None, _end)


def _end() -> None:
    """Asks it to go and waits until it has."""
    if sys.platform != "linux":
        return
    from multiprocessing import forkserver

    # there is no public way to end it before the process that started it ends
    forkserver._forkserver._stop()  # pyright: ignore
