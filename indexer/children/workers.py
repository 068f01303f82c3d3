"""Reads many files in child processes; a file that brings a child down is left out, with the reason, and no
other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence

from indexer.batches import batched_by_weight
from indexer.children.children import ChildCrashed, Children
from indexer.children.reading import (
    FileToRead,
    HashedFile,
    ReadFile,
    decode_hashed,
    decode_read,
    hash_files,
    read_files,
)

_MOST_WORKERS = 4
"""Parsing is fast (4 MB/s and core); more processes cost 80 MB each and an editor's responsiveness."""

_IDLE_S = 15.0
"""A new child takes half a second, so children are kept only while files keep coming."""

_FILES_PER_JOB = 32
_BYTES_PER_JOB = 512 * 1024
"""About 0.2 s of parsing: short enough for progress to be seen, long enough for the hand-over not to
matter."""

_HASHED_PER_JOB = 500

CRASHED = "its parser crashed or took too long"
_STUCK = "unreadable: reading it took too long"


class Workers:
    """The reading processes of the service, shared by all roots."""

    def __init__(self, count: int | None = None) -> None:
        self._children = Children(count or min(_MOST_WORKERS, os.cpu_count() or 1), _IDLE_S)

    async def hash(self, root: str, files: Sequence[FileToRead]) -> AsyncIterator[list[HashedFile]]:
        jobs = list(batched_by_weight(files, _HASHED_PER_JOB, 16 * _BYTES_PER_JOB, lambda file: file.size))
        async for body, failed in self._each(hash_files, root, jobs):
            hashed = decode_hashed(body) if body is not None else []
            yield hashed + [HashedFile(file.path, error=_STUCK, fault="moment") for file in failed]

    async def read(self, root: str, files: Sequence[FileToRead]) -> AsyncIterator[list[ReadFile]]:
        jobs = list(batched_by_weight(files, _FILES_PER_JOB, _BYTES_PER_JOB, lambda file: file.size))
        async for body, failed in self._each(read_files, root, jobs):
            read = decode_read(body) if body is not None else []
            yield read + [ReadFile(file.path, error=CRASHED, fault="content") for file in failed]

    def stop(self) -> None:
        self._children.stop()

    async def _each(
        self, task: Callable[[str, list[FileToRead]], bytes], root: str, jobs: list[list[FileToRead]]
    ) -> AsyncIterator[tuple[bytes | None, list[FileToRead]]]:
        """Results as they come, two jobs for each child under way; (None, [file]) for a file that crashes."""
        waiting = list(reversed(jobs))
        suspects: list[FileToRead] = []
        running: dict[asyncio.Task[bytes], list[FileToRead]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < 2 * self._children.count:
                    job = waiting.pop()
                    running[asyncio.create_task(self._children.run(task, root, job))] = job
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for finished in done:
                    job = running.pop(finished)
                    try:
                        yield finished.result(), []
                    except ChildCrashed:
                        suspects.extend(job)  # one of them, or of a job that ran beside it, is guilty
            for file in suspects:
                try:
                    yield await self._children.run(task, root, [file]), []
                except ChildCrashed:
                    yield None, [file]
        finally:
            for left in running:
                left.cancel()
