"""What every target of a benchmark shares: how it fails, how it is told of, how its process is ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Generator

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


@contextlib.contextmanager
def ended_tidily(kind: type[Exception] = TargetError) -> Generator[None]:
    """SIGTERM ends the run as Ctrl-C does: children go, and so do some hundred megabytes of scratch files. Raises
    `kind` then."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asked: list[bool] = []

    def leave() -> None:
        asked.append(True)
        if task is not None:
            task.cancel()

    loop.add_signal_handler(signal.SIGTERM, leave)
    try:
        yield
    except asyncio.CancelledError:
        if asked:
            raise kind("the benchmark was ended before it was done; nothing was kept") from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
