"""Child processes: niced, isolated, replaced when they crash, ended when idle."""

from __future__ import annotations

import asyncio
import os

import pytest
from index_service import until

from indexer.children import NICENESS, ChildCrashed, Children
from indexer.reading import FileToRead, read_files
from indexer.workers import Workers


def read_or_die(root: str, files: list[FileToRead]) -> bytes:
    """As `read_files`, with a parser that brings the process down on one file."""
    if any(file.path == "deadly.py" for file in files):
        os.abort()
    return read_files(root, files)


async def test_a_crash_is_said_and_the_next_job_gets_a_new_child():
    children = Children(1, idle_s=0.2)
    first = await children.run(os.getpid)
    assert await children.run(os.nice, 0) >= NICENESS
    with pytest.raises(ChildCrashed, match="abort"):
        await children.run(os.abort)
    assert await children.run(os.getpid) != first
    await until(lambda: not children.running)


async def test_only_the_file_that_crashes_the_parser_is_left_out(tmp_path):
    files: list[FileToRead] = []
    for name in [*(f"m{number}.py" for number in range(70)), "deadly.py"]:
        (tmp_path / name).write_text("def f():\n    pass\n")
        files.append(FileToRead(name, 20))
    workers = Workers(2)
    jobs = [files[:32], files[32:64], files[64:]]
    left_out: list[str] = []
    done = 0
    async for body, failed in workers._each(read_or_die, str(tmp_path), jobs):
        done += body is not None
        left_out += [file.path for file in failed]
    workers.stop()
    assert left_out == ["deadly.py"]
    assert done >= 7


async def test_unreadable_files_have_a_reason(tmp_path):
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "a.py").write_text("def a():\n    pass\n")
    workers = Workers(1)
    read = {}
    names = ["a.py", "gone.py", "link.py", "folder.py"]
    async for files in workers.read(str(tmp_path), [FileToRead(name, 1) for name in names]):
        read |= {file.path: file for file in files}
    workers.stop()
    assert read["a.py"].facts.definitions[0].name == "a"
    assert read["gone.py"].error == "vanished"
    for name in ("link.py", "folder.py"):
        assert read[name].facts is None and read[name].error.startswith("unreadable")


async def test_a_cancelled_wait_harms_nobody():
    children = Children(1, idle_s=0.2)
    waiting = asyncio.create_task(children.run(os.getpid))
    await asyncio.sleep(0)
    waiting.cancel()
    assert await children.run(os.getpid)
    children.stop()
