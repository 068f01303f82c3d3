"""What every target of a benchmark shares: how it fails, how it is told of, how its process is ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

Say = Callable[[str], None]
"""Takes one line of progress for the person who waits."""
END_TIMEOUT_S = 20.0


class TargetError(Exception):
    """A target cannot be had or did not answer as it should; the message says which, what and what to do."""


async def end(process: asyncio.subprocess.Process) -> None:
    """Ask it to leave, then insist, and wait until it has."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
