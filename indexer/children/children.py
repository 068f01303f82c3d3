"""Child processes that never outlive, outrank or outlast the service: niced, orphan-proof, ended when
idle."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import ParamSpec, TypeVar

import psutil

from indexer.children import forkserver

NICENESS = 10
"""Work in the background yields to an editor and a model that want the processor now."""

_OOM_SCORE = 500
"""Out of 1,000, added to a child's share of the memory: when there is none left, the system should end a child,
whose work is done again, and no editor."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


class ChildCrashed(Exception):
    """The child process that did this work ended in the middle of it."""


def settle_in() -> None:
    """First thing in every child."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when its children go
    _end_with_parent()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if sys.platform == "linux":
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))


def _end_with_parent() -> None:
    """The parent holds the other end of a pipe for as long as it lives."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform != "linux":
        threading.Thread(target=_die_after, args=(parent.join,), daemon=True, name="orphan guard").start()
        return
    import fcntl

    # the kernel ends this process when the pipe is closed: a thread would have to wait for a parser to give the
    # interpreter's lock back
    pipe = parent.sentinel
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    gone = select.poll()
    gone.register(pipe, 0)
    if gone.poll(0):  # closed before we asked to be told
        os._exit(1)


def _die_after(wait: Callable[[], None]) -> None:
    wait()
    os._exit(1)


class Children:
    """A pool of processes that is started by the first job and ended `idle_s` after the last one."""

    def __init__(self, count: int, idle_s: float, initializer: Callable[[], None] = settle_in) -> None:
        self._count = count
        self._idle_s = idle_s
        self._initializer = initializer
        self._pool: ProcessPoolExecutor | None = None
        self._jobs = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        return self._pool is not None

    @property
    def count(self) -> int:
        return self._count

    async def run(self, job: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """The result of `job` in a child. Raises ChildCrashed, and whatever the job itself raises."""
        if self._timer is not None:
            self._timer.cancel()
        self._jobs += 1
        try:
            return await self._run(functools.partial(job, *args, **kwargs))
        finally:
            self._jobs -= 1
            if not self._jobs:
                self._timer = asyncio.get_running_loop().call_later(self._idle_s, self.stop)

    async def _run(self, job: functools.partial[_R]) -> _R:
        while True:
            if self._pool is None:
                forkserver.hold()
                self._pool = ProcessPoolExecutor(self._count, forkserver.context(), self._initializer)
            pool = self._pool
            try:
                # submitting may start a process, which takes too long for the event loop
                return await asyncio.wrap_future(await asyncio.to_thread(_submit, pool, job))
            except BrokenProcessPool as broken:
                await self._drop(pool)
                raise ChildCrashed(f"the process that ran {job.func.__name__} ended abruptly") from broken
            except _NoForkServer:
                await self._drop(pool)

    async def _drop(self, pool: ProcessPoolExecutor) -> None:
        if self._pool is pool:
            self._pool = None
            forkserver.release()
            await asyncio.to_thread(pool.shutdown, wait=False)

    def stop(self) -> None:
        """Ends the children once they are done with what they have; the next job starts new ones."""
        if self._timer is not None:
            self._timer.cancel()
        pool, self._pool = self._pool, None
        if pool is not None:
            forkserver.release()
            pool.shutdown(wait=False, cancel_futures=True)


class _NoForkServer(Exception):
    """The fork server is gone, and children are spawned from now on."""


def _submit(pool: ProcessPoolExecutor, job: Callable[[], _R]) -> Future[_R]:
    try:
        forkserver.start()
        return pool.submit(job)
    except RuntimeError as ended:  # another job broke this pool between our asking for it and now
        raise BrokenProcessPool(str(ended)) from ended
    except (EOFError, ConnectionError, ChildProcessError) as failed:
        forkserver.give_up(failed)
        raise _NoForkServer from failed
