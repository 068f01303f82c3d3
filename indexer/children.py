"""Child processes that never outlive, outrank or outlast the service: niced, orphan-proof, ended when
idle."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

import psutil

NICENESS = 10
"""Work in the background yields to an editor and a model that want the processor now."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


class ChildCrashed(Exception):
    """The child process that did this work ended in the middle of it."""


def settle_in() -> None:
    """First thing in every child."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when its children go
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    process = psutil.Process()
    if psutil.LINUX:
        process.ionice(psutil.IOPRIO_CLASS_IDLE)
    threading.Thread(target=_die_with_parent, daemon=True, name="orphan guard").start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class Children:
    """A pool of spawned processes that is started by the first job and ended `idle_s` after the last one."""

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
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    self._count, multiprocessing.get_context("spawn"), self._initializer
                )
            pool = self._pool
            try:
                # submitting may spawn a process, which takes too long for the event loop
                future: Future[_R] = await asyncio.to_thread(_submit, pool, job, *args, **kwargs)
                return await asyncio.wrap_future(future)
            except BrokenProcessPool as broken:
                if self._pool is pool:
                    self._pool = None
                    await asyncio.to_thread(pool.shutdown, wait=False)
                raise ChildCrashed(f"the process that ran {job.__name__} ended abruptly") from broken
        finally:
            self._jobs -= 1
            if not self._jobs:
                self._timer = asyncio.get_running_loop().call_later(self._idle_s, self.stop)

    def stop(self) -> None:
        """Ends the children once they are done with what they have; the next job starts new ones."""
        if self._timer is not None:
            self._timer.cancel()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _submit(
    pool: ProcessPoolExecutor, job: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
) -> Future[_R]:
    try:
        return pool.submit(job, *args, **kwargs)
    except RuntimeError as ended:  # another job broke this pool between our asking for it and now
        raise BrokenProcessPool(str(ended)) from ended
