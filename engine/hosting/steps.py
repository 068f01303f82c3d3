"""The step page: a few counters that the scheduler process writes and the host process reads without asking
it.

A small file mapped by both. The writer makes `sequence` odd while it writes, and ends with a checksum: where a
processor shows these writes to another process in a different order, the checksum does not fit and it reads again.
"""

from __future__ import annotations

import functools
import mmap
import operator
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

_RETRIES = 1000
_RETRY_WAIT_S = 0.0005
NEVER = -1


class Steps(msgspec.Struct, frozen=True):
    """What the scheduler did so far; a step is one forward pass."""

    steps: int
    """Forward passes since the start."""
    aborts: int
    """Abort messages that arrived at the scheduler."""
    last_abort_arrival_step: int
    """`steps` when the last abort arrived, -1 before the first."""
    idle_step: int
    """`steps` when the scheduler first had nothing to do after the last abort, -1 while it has not been."""
    running: int
    """Requests that wait, prefill or decode."""
    kv_free_tokens: int
    """Tokens that a new request could take: free, or held only by the prefix cache."""
    kv_total_tokens: int
    waiting: int = 0
    """Of `running`, those that have not begun."""
    requests: int = 0
    """Prompts that were read to their end, since the start."""
    prompt_tokens: int = 0
    """Of these prompts."""
    cached_tokens: int = 0
    """Of these prompts' tokens, those that the prefix cache had."""
    gave_way: int = 0
    """Prompts that were put back between two chunks, for work of higher priority."""
    dropped: int = 0
    """Requests whose abort was here before them, and which were never read."""
    urgent_arrival_step: int = NEVER
    """`steps` when the last request above an edit arrived, -1 before the first."""
    urgent_read_step: int = NEVER
    """`steps` after the last such prompt was read to its end, -1 while it has not been."""
    arrived_ns: int = 0
    """When the scheduler got its last request, by the machine's monotonic clock (`time.monotonic_ns`)."""
    launched_ns: int = 0
    """When its last step began."""
    stepped_ns: int = 0
    """When its last step was done."""


_FIELDS = len(Steps.__struct_fields__)
_BYTES = 8 * (1 + _FIELDS + 1)
"""The sequence number, one word for each field, and the checksum."""


class StepPage:
    """One mapping of the page. Exactly one process writes; any number read."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _BYTES)
        self._words = memoryview(self._map).cast("q")

    @staticmethod
    def create(path: Path) -> None:
        """Lay an empty page at `path`, readable by its owner alone."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(b"\0" * _BYTES)
        page = StepPage(path)
        page.write(Steps(0, 0, NEVER, NEVER, 0, 0, 0))

    def write(self, steps: Steps) -> None:
        words = self._words
        words[0] += 1
        values: tuple[int, ...] = msgspec.structs.astuple(steps)
        for at, value in enumerate(values, start=1):
            words[at] = value
        words[1 + _FIELDS] = checksum(words[0] + 1, values)
        words[0] += 1

    def read(self) -> Steps:
        """The last whole record. Raises RuntimeError if the writer died in the middle of one."""
        for _ in range(_RETRIES):
            before = self._words[0]
            *values, told = [int(word) for word in self._words[1:]]
            if before % 2 == 0 and before == self._words[0] and told == checksum(before, values):
                return Steps(*values)
            time.sleep(_RETRY_WAIT_S)
        raise RuntimeError("The scheduler stopped while it wrote its step page; the engine is going down.")


def checksum(sequence: int, values: Iterable[int]) -> int:
    """Of a whole record. The sequence number is part of it, so that no earlier record's checksum fits."""
    return functools.reduce(operator.xor, values, sequence)
