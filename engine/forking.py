"""Starts SGLang's processes as forks of the host, so that they share what all of them import.

SGLang starts each in a new interpreter that imports everything again: some 10 s of a core and 0.7 GiB each.
A fork has it all already, and shares the pages with the host until one of them is written. A process with
threads must not be forked, for locks that another thread holds stay locked in the child; so this is done where
the host has no such thread yet, on Linux, for models that run on the CPU. Otherwise SGLang does as it does.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.tied import die_with_parent

PARENT_PID = "FOREWORD_PARENT_PID"
"""As `engine.host` has it."""
TASKS = Path("/proc/self/task")
"""One entry for each thread of this process, those of libraries among them."""
HARMLESS = ("jemalloc_bg_thd",)
"""Threads that a fork may be without: jemalloc takes its locks before a fork, and lets go of them on both sides
(its `background_thread_prefork`)."""
ENGINE = "sglang.srt.entrypoints.engine"


def fork_children_of(device: str) -> None:
    """Have SGLang fork, if that is safe when it comes to it. Call before its `load_plugins`."""
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    def prefer_fork(_: None, *_arguments: Any) -> None:
        """After `_set_envs_and_config`, which asks for new interpreters."""
        if device == "cpu" and sys.platform == "linux" and not other_threads():
            multiprocessing.set_start_method("fork", force=True)
            gc.collect()
            gc.freeze()  # what exists by now is not looked at again, so its pages stay shared

    HookRegistry.register(f"{ENGINE}._set_envs_and_config", prefer_fork, HookType.AFTER)


def other_threads() -> list[str]:
    """Names of the threads beside this one that a fork could not do without."""
    names = [(task / "comm").read_text().strip() for task in TASKS.iterdir() if int(task.name) != os.getpid()]
    return [name for name in names if name not in HARMLESS]


class Child:
    """What one of SGLang's processes does first, however it was started; then `run`."""

    def __init__(self, run: Callable[..., None], host_files: Sequence[int]) -> None:
        """`host_files` are descriptors that are the host's alone: its lock, and the socket that it listens on."""
        self._run = run
        self._host_files = tuple(host_files)
        self._host_pid = os.getpid()

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        if multiprocessing.get_start_method() == "fork":
            die_with_parent(self._host_pid)
            os.environ[PARENT_PID] = str(os.getpid())  # for children of its own
            for number in (signal.SIGTERM, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            for descriptor in self._host_files:
                os.close(descriptor)
        self._run(*args, **kwargs)
