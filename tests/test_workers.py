"""Child processes: niced, isolated, replaced when they crash, ended when idle or left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from index_service import until
from processes import lives

from indexer import paths
from indexer.children import forkserver, reading
from indexer.children.children import NICENESS, ChildCrashed, Children
from indexer.children.reading import FileToRead, read_files
from indexer.children.workers import CRASHED, Workers
from indexer.files.listing import ListedFile
from indexer.roots import indexing
from indexer.roots.failures import Failures
from indexer.roots.languages_in_use import languages_in_use, remember
from indexer.roots.liveroot import LiveRoot

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="children are spawned elsewhere")


def end_abruptly(how: str) -> None:
    """As a parser does, or what is done to it."""
    if how == "abort":
        os.abort()
    elif how == "time-out":
        signal.alarm(1)
        signal.pause()
    else:
        os.kill(os.getpid(), signal.Signals[how])


def read_or_die(root: str, files: list[FileToRead]) -> bytes:
    """As `read_files`, with a parser that brings the process down on one file, named after how."""
    for file in files:
        if file.path.startswith("deadly"):
            end_abruptly(file.path.removeprefix("deadly.").removesuffix(".py"))
    return read_files(root, files)


def about_itself() -> dict[str, object]:
    process = psutil.Process()
    return {
        "niceness": process.nice(),
        "io": process.ionice().ioclass,
        "threads": process.num_threads(),
        "first to go": int(Path("/proc/self/oom_score_adj").read_text()),
        "threads of libraries": os.environ["OMP_NUM_THREADS"],
        "main": sys.modules["__main__"].__name__,
        "interrupt": signal.getsignal(signal.SIGINT),
    }


DEATHS = ["abort", "SIGSEGV", "SIGKILL", "time-out"]
"""A library's own check, a wild pointer, the system when memory is short, and the alarm for a parser that does not
come back."""


@pytest.mark.parametrize("how", DEATHS)
async def test_a_crash_is_said_and_the_next_job_gets_a_new_child(how):
    children = Children(1, idle_s=0.2)
    first = await children.run(os.getpid)
    assert await children.run(os.nice, 0) >= NICENESS
    with pytest.raises(ChildCrashed, match="end_abruptly"):
        await children.run(end_abruptly, how)
    assert await children.run(os.getpid) != first
    await until(lambda: not children.running)


@pytest.mark.parametrize("how", DEATHS)
async def test_only_the_file_that_crashes_the_parser_is_left_out(tmp_path, how):
    files: list[FileToRead] = []
    deadly = f"deadly.{how}.py"
    for name in [*(f"m{number}.py" for number in range(70)), deadly]:
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
    assert left_out == [deadly]
    assert done >= 7


def take_long(sleeps: bool) -> bool:
    """As a parser does that never comes back, or one that others keep from the processor."""
    reading.FILE_TIMEOUT_S = 0.1
    reading._watch_the_clock()
    end_s = time.monotonic() + 0.5
    while time.monotonic() < end_s:
        if sleeps:
            time.sleep(0.1)
        else:
            sum(range(1_000))
    reading._stop_the_clock()
    return True


async def test_only_the_processors_time_counts_against_a_file():
    children = Children(1, idle_s=0.2)
    assert await children.run(take_long, sleeps=True)
    with pytest.raises(ChildCrashed):
        for _ in range(20):  # however little of the processor it gets
            await children.run(take_long, sleeps=False)
    children.stop()


async def test_what_crashes_the_parser_is_not_read_again_while_it_stays_as_it_is(tmp_path, monkeypatch):
    from indexer.store.store import Store  # not above: children load this module

    monkeypatch.setattr("indexer.children.workers.read_files", read_or_die)
    path = tmp_path / "deadly.SIGKILL.py"
    path.write_text("def f():\n    pass\n")
    failures, live = Failures(), LiveRoot({}, {})
    store, workers = Store(tmp_path / "store", "test"), Workers(1)

    async def reads(mtime_ns: int) -> bool:
        """Whether a pass has the file read; it is left out either way."""
        said: list[object] = []

        def report(*progress: object) -> None:
            said.append(progress)

        work = indexing.Pass(tmp_path, live, store, workers, report, here=False, failures=failures)
        await work.run([ListedFile(path.name, 18, mtime_ns)], [])
        assert work.problems == [indexing.Problem(path.name, CRASHED)]
        return bool(said)

    assert [await reads(mtime_ns) for mtime_ns in (1, 1, 2, 2)] == [True, False, True, False]
    workers.stop()
    store.close()


@linux_only
async def test_a_child_makes_itself_small():
    children = Children(1, idle_s=0.2)
    assert await children.run(about_itself) == {
        "niceness": NICENESS,
        "io": psutil.IOPRIO_CLASS_IDLE,
        "threads": 1,
        "first to go": 500,
        "threads of libraries": "1",
        "main": "__main__",
        "interrupt": signal.SIG_IGN,
    }
    children.stop()


# ---------------------------------------------------------------- nothing is left behind

PARENT = """
import asyncio
from indexer.children.children import Children

async def main():
    children = Children(2, 60)
    # the interpreter's lock is held all the while, as by a parser
    jobs = [asyncio.create_task(children.run(pow, 3, 10 ** 9)) for _ in range(2)]
    await asyncio.sleep(1)
    print("ready", flush=True)
    await asyncio.gather(*jobs)

if __name__ == "__main__":
    asyncio.run(main())
"""


HELPERS = 4
"""The fork server, the tracker that `multiprocessing` starts beside it, and two children."""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
async def test_no_helper_outlives_its_service(tmp_path, signum):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    try:
        assert await parent.stdout.readline() == b"ready\n"
        service = psutil.Process(parent.pid)
        await until(lambda: len(service.children(recursive=True)) == HELPERS)
        helpers = service.children(recursive=True)
        parent.send_signal(signum)
        await parent.wait()
    finally:  # they would compute for hours
        if parent.returncode is None:
            parent.kill()
    await until(lambda: not any(map(lives, helpers)))


def _fork_servers() -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "forkserver" in " ".join(process.cmdline()) and process.ppid() == os.getpid():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@linux_only
async def test_the_fork_server_is_ended_when_nobody_needs_it_and_started_again(monkeypatch):
    monkeypatch.setattr(forkserver, "IDLE_S", 0.3)
    children = Children(1, idle_s=0.1)
    assert await children.run(os.getpid)
    assert len(_fork_servers()) == 1
    await until(lambda: not _fork_servers())
    assert await children.run(os.getpid)
    children.stop()


@linux_only
async def test_a_fork_server_that_was_killed_is_replaced():
    children = Children(1, idle_s=60)
    first = await children.run(os.getpid)
    (server,) = _fork_servers()
    server.kill()
    await until(lambda: not lives(server))
    psutil.Process(first).kill()
    with pytest.raises(ChildCrashed):
        while True:  # until the pool has seen it
            await children.run(os.getpid)
    assert await children.run(os.getpid) != first
    children.stop()


@linux_only
async def test_where_the_fork_server_does_not_work_children_are_spawned(monkeypatch, tmp_path, caplog):
    (tmp_path / "breaks_when_loaded.py").write_text("raise ValueError('a fault of ours')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(forkserver, "_PRELOADED", ["breaks_when_loaded"])
    monkeypatch.setattr(forkserver, "_forks", True)
    await asyncio.to_thread(forkserver._end)
    children = Children(1, idle_s=0.2)
    try:
        assert await children.run(os.getpid)
    finally:
        children.stop()
    assert "children are spawned instead" in caplog.text


def test_languages_are_remembered_for_the_next_fork_server(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert languages_in_use() == ["python"]
    paths.cache_folder().mkdir()
    remember(["markdown", "rust", "typescript", "rust"])
    assert languages_in_use() == ["rust", "typescript"]
    remember([])
    assert languages_in_use() == ["rust", "typescript"]
    (paths.cache_folder() / "languages").write_bytes(b"\xff\xfe")
    assert languages_in_use() == ["python"]


# ---------------------------------------------------------------- reading


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
    assert read["a.py"].rows.content.definitions[0].name == "a"
    assert read["gone.py"].error == "vanished"
    for name in ("link.py", "folder.py"):
        assert read[name].rows is None and read[name].error.startswith("unreadable")


async def test_a_cancelled_wait_harms_nobody():
    children = Children(1, idle_s=0.2)
    waiting = asyncio.create_task(children.run(os.getpid))
    await asyncio.sleep(0)
    waiting.cancel()
    assert await children.run(os.getpid)
    children.stop()


async def test_after_a_start_even_a_single_file_is_read_in_a_child(tmp_path, monkeypatch):
    """The service reads one saved file itself; were that what brought it down, it would come down again and again."""

    def refuse(*arguments: object, **options: object) -> bytes:
        raise AssertionError("read in this process")

    from indexer.store.store import Store  # not above: children load this module

    monkeypatch.setattr(indexing, "read_files", refuse)
    (tmp_path / "a.py").write_text("def f():\n    pass\n")
    store, workers = Store(tmp_path / "store", "test"), Workers(1)
    work = indexing.Pass(tmp_path, LiveRoot({}, {}), store, workers, lambda *_: None, here=False)
    await work.run([ListedFile("a.py", 18, 1)], [])
    workers.stop()
    store.close()
    assert (work.read, work.problems) == (1, [])
