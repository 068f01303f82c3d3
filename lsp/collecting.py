"""Keeps Python's collector from going through everything that lives as long as the server: modules and what they hold
are a hundred thousand objects, and a tenth of a second in which no thread does anything else."""

from __future__ import annotations

import asyncio
import gc
import sys

LOOK_S = 1.0
"""What is imported at the first completion comes within this, and is young until then."""

NEVER = 1 << 30
"""Collections of the younger generation before one of all that comes by itself, at whatever moment."""

DUE = 10
"""Collections of the younger generation before one of all is worth it; Python's own number."""


async def set_aside() -> None:
    """Until it is cancelled: what is there when something was imported is never gone through again, and of the rest all
    is gone through once in a while, which takes milliseconds on whatever it falls."""
    usual = gc.get_threshold()
    gc.set_threshold(*usual[:2], NEVER)
    modules = 0
    try:
        while True:
            if len(sys.modules) != modules:
                modules = len(sys.modules)
                gc.freeze()
            elif gc.get_count()[2] >= DUE:
                gc.collect()
            await asyncio.sleep(LOOK_S)
    finally:
        gc.set_threshold(*usual)
