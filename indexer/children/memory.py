"""Gives memory back to the system that the allocators would keep.

Reading a large repository, compacting and indexing take hundreds of megabytes for seconds. Afterwards glibc keeps
most of it in the arenas of the threads that did the work, and Arrow keeps its own; both only give it back when
they are asked to."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_M_ARENA_MAX = -8
"""malloc.h of glibc."""

_ARENAS = 2
"""By default eight for each processor: every one keeps what it once had. Our threads hardly ever wait for each other
in malloc, since Python's own objects are not made there."""


def limit_arenas() -> None:
    """First thing in the service, before there are threads. Without effect where malloc is not glibc's."""
    if (mallopt := _of_libc("mallopt")) is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Blocks for up to a tenth of a second, without Python's lock."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    if (trim := _of_libc("malloc_trim")) is not None:
        trim(0)


def _of_libc(name: str) -> Any:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), name, None)
