"""Ties a child's life to its parent's: `python -I -m engine.tied PARENT_PID PROGRAM ARGUMENT…`.

A download or a conversion that outlived its starter would go on writing into a folder which the next attempt
clears. So the kernel ends it (on Linux), however the starter ended; `exec` keeps the process number, the exit
code and that wish.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
PARENT_PID = "FOREWORD_PARENT_PID"
"""Environment variable that tells a child of multiprocessing whose it is: multiprocessing itself knows only after
half a minute of imports."""


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, and go at once if the parent is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def tied(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` (a path and its arguments) for no longer than this process lives.

    The thread that starts it has to wait for it: what the kernel watches is that thread.
    """
    return [sys.executable, "-I", "-m", "engine.tied", str(os.getpid()), *argv]


def main(argv: list[str]) -> None:
    die_with_parent(int(argv[0]))
    os.execv(argv[1], argv[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
