"""Starts SGLang's processes as forks of the host, so that they share what all of them import.

SGLang starts each in a new interpreter that imports everything again: some 10 s of a core and 0.7 GiB each.
A fork has it all already, and shares the pages with the host until one of them is written. A process with
threads must not be forked, for locks that another thread holds stay locked in the child; so this is done where
the host has no such thread yet, on Linux, for models that run on the CPU. Otherwise SGLang does as it does.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engine.tied import PARENT_PID, die_with_parent

TASKS = Path("/proc/self/task")
"""One entry for each thread of this process, those of libraries among them."""
HARMLESS = ("jemalloc_bg_thd",)
"""Threads that a fork may be without: jemalloc takes its locks before a fork, and lets go of them on both sides
(its `background_thread_prefork`)."""
NO_FORK = "The next process of SGLang is no fork"
"""How the host's log says so."""
ENGINE = "sglang.srt.entrypoints.engine"
SECOND_FORK = f"{ENGINE}.Engine._launch_detokenizer_subprocesses"


class Forking:
    """How multiprocessing starts processes while SGLang launches its own, and what it did before."""

    def __init__(self) -> None:
        self._before = ""

    @property
    def on(self) -> bool:
        return bool(self._before)

    def prefer(self) -> None:
        """Fork from here on, if that is safe now."""
        if names := other_threads():
            print(f"{NO_FORK}, for the host has threads: {names}.", flush=True)
            return
        self._before = multiprocessing.get_start_method()
        multiprocessing.set_start_method("fork", force=True)
        gc.collect()
        gc.freeze()  # what exists by now is not looked at again, so its pages stay shared

    def look_again(self) -> None:
        """Go back to new interpreters where a thread has come since."""
        if self._before and (names := other_threads()):
            print(f"{NO_FORK}, for the host has threads: {names}.", flush=True)
            self.end()

    def end(self) -> None:
        """Start processes as before; whoever starts one later knows nothing of what this module looks after."""
        if self._before:
            multiprocessing.set_start_method(self._before, force=True)
            self._before = ""


def fork_children_of(device: str) -> Forking:
    """Have SGLang fork, if that is safe when it comes to it. Call before its `load_plugins`, and `end` what is
    returned once its processes are there."""
    forking = Forking()
    if device != "cpu" or sys.platform != "linux":
        return forking
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    def after_settings(_: None, *_arguments: Any) -> None:
        """SGLang has just asked for new interpreters."""
        forking.prefer()

    def before_second(*_arguments: Any, **_named: Any) -> None:
        """Between the scheduler and the detokenizer."""
        forking.look_again()

    HookRegistry.register(f"{ENGINE}._set_envs_and_config", after_settings, HookType.AFTER)
    HookRegistry.register(SECOND_FORK, before_second, HookType.BEFORE)
    return forking


def other_threads() -> list[str]:
    """Names of the threads beside this one that a fork could not do without."""
    names: list[str] = []
    for task in TASKS.iterdir():
        if int(task.name) != os.getpid():
            # a thread that ends meanwhile is none: its folder is gone, or is still there and no longer read
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                names.append((task / "comm").read_text().strip())
    return [name for name in names if name not in HARMLESS]


class Child:
    """What one of SGLang's processes does first, however it was started; then `run`."""

    def __init__(self, run: Callable[..., None], host_files: Sequence[int], forking: Forking) -> None:
        """`host_files` are descriptors that are the host's alone: its lock, and the socket that it listens on."""
        self._run = run
        self._host_files = tuple(host_files)
        self._forking = forking

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        parent = multiprocessing.parent_process()
        if self._forking.on and parent is not None and parent.pid is not None:
            self._forking.end()  # this process has threads soon, and whatever it starts must be no fork
            die_with_parent(parent.pid)
            os.environ[PARENT_PID] = str(os.getpid())  # for children of its own
            for number in (signal.SIGTERM, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            for descriptor in self._host_files:
                os.close(descriptor)
        self._run(*args, **kwargs)
