"""Whatever happens on disk, the index comes to say what a fresh index would say."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from index_service import client, git, isolate, repository, stop_service, until, until_symbol, write

from indexer.files.disk import Disk
from indexer.files.watch import MOST_PATHS, Batcher, Changes, Watch

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="inotify")


@pytest.fixture
async def service(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)
    yield
    await stop_service()


def _define(name: str) -> str:
    return f"def {name}():\n    pass\n"


async def _paths_of(connected, root, name):
    return [each.path for each in (await connected.symbols(str(root), name=name)).definitions]


async def test_edits_of_every_kind_arrive(service, tmp_path):
    root = repository(
        tmp_path / "work", {"a.py": _define("a"), "sub/b.py": _define("b"), "c.py": _define("c")}
    )
    async with client() as connected:
        await connected.open_root(str(root), wait=True)

        write(root / "a.py", _define("written_in_place"))
        await until_symbol(connected, root, "written_in_place")
        await until_symbol(connected, root, "a", present=False)

        write(root / ".a.py.swp", _define("saved_atomically"))
        (root / ".a.py.swp").replace(root / "a.py")
        await until_symbol(connected, root, "saved_atomically")

        (root / "sub/b.py").rename(root / "sub/moved.py")
        async with asyncio.timeout(10):
            # Between the two the name may be nowhere for a moment.
            while (await _paths_of(connected, root, "b")) != ["sub/moved.py"]:
                await asyncio.sleep(0.02)

        (root / "c.py").unlink()
        await until_symbol(connected, root, "c", present=False)

        write(root / "fresh/deep/down/d.py", _define("in_a_new_folder"))
        await until_symbol(connected, root, "in_a_new_folder")
        write(root / "fresh/deep/down/d.py", _define("again_in_it"))
        await until_symbol(connected, root, "again_in_it")

        (root / "fresh").rename(root / "elsewhere")
        write(root / "elsewhere/deep/down/d.py", _define("after_the_move"))
        await until_symbol(connected, root, "after_the_move")

        write(root / ".gitignore", "elsewhere/\n")
        await until_symbol(connected, root, "after_the_move", present=False)
        write(root / "elsewhere/deep/e.py", _define("ignored"))
        write(root / "a.py", _define("last"))
        await until_symbol(connected, root, "last")
        await until_symbol(connected, root, "ignored", present=False)


@pytest.mark.parametrize("linked", [False, True])
async def test_what_is_newly_ignored_by_gits_own_exclude_goes(service, tmp_path, linked):
    main = repository(tmp_path / "main", {"a.py": _define("a")})
    root = main
    if linked:
        root = tmp_path / "linked"
        git(main, "worktree", "add", "-q", str(root))
    write(root / "local.py", _define("local"))
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        assert await _paths_of(connected, root, "local") == ["local.py"]
        write(main / ".git/info/exclude", "local.py\n")
        await until_symbol(connected, root, "local", present=False)


async def test_an_empty_folder_is_watched_before_it_has_a_file(service, tmp_path):
    root = repository(tmp_path / "work", {"a.py": _define("a")})
    (root / "empty/below").mkdir(parents=True)
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        write(root / "empty/below/b.py", _define("b"))
        await until_symbol(connected, root, "b")


async def test_a_branch_switch_arrives_and_comes_back(service, tmp_path):
    root = repository(tmp_path / "work", {f"m{n}.py": _define(f"main_{n}") for n in range(300)})
    git(root, "checkout", "-q", "-b", "other")
    for n in range(300):
        write(root / f"m{n}.py", _define(f"other_{n}"))
    git(root, "commit", "-q", "-am", "second")
    git(root, "checkout", "-q", "main")
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        git(root, "checkout", "-q", "other")
        for n in (0, 150, 299):
            await until_symbol(connected, root, f"other_{n}")
            await until_symbol(connected, root, f"main_{n}", present=False)
        git(root, "checkout", "-q", "main")
        for n in (0, 150, 299):
            await until_symbol(connected, root, f"main_{n}")
        status = await connected.open_root(str(root), wait=True)
        assert (status.files, status.symbols) == (300, 300)


async def test_a_root_that_is_removed_is_said(service, tmp_path):
    root = tmp_path / "work"
    write(root / "a.py", _define("a"))
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        (root / "a.py").unlink()
        root.rmdir()
        async with asyncio.timeout(10):
            while (await connected.status()).roots[0].state != "failed":
                await asyncio.sleep(0.05)
        assert "the folder is gone" in (await connected.status()).roots[0].error


@linux_only
async def test_an_overflow_of_the_kernels_queue_asks_for_a_rescan(tmp_path):
    from watchdog.observers.inotify_c import InotifyFD

    reports: list[Changes] = []
    batcher = Batcher(asyncio.get_running_loop(), reports.append)
    watch = Watch(tmp_path, batcher)
    watch.update({""}, [])
    go_on = threading.Event()
    queue = InotifyFD.get_instance()
    # the reading thread is kept busy while the kernel's queue fills and runs over, as a slow machine would
    plain, queue.handle_event = queue.handle_event, lambda event: (go_on.wait(), plain(event))
    try:
        limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        for number in range(limit // 3 + 100):  # create, close and remove
            path = tmp_path / f"{number}"
            path.write_bytes(b"x")
            path.unlink()
    finally:
        queue.handle_event = plain
        go_on.set()
    await until(lambda: any(report.rescan for report in reports))
    async with asyncio.timeout(10):  # all roots of a process share the queue: leave it empty to the next test
        while "last" not in reports[-1].paths:
            write(tmp_path / "last", "x")
            await asyncio.sleep(0.1)
    watch.close()
    batcher.close()


@linux_only
async def test_reading_is_no_event_and_ignored_folders_are_not_watched(tmp_path):
    reports: list[Changes] = []
    write(tmp_path / "a.py", "x")
    write(tmp_path / "ignored/b.py", "x")
    batcher = Batcher(asyncio.get_running_loop(), reports.append)
    watch = Watch(tmp_path, batcher)
    watch.update({""}, [])
    (tmp_path / "a.py").read_bytes()
    list(tmp_path.iterdir())
    write(tmp_path / "ignored/b.py", "y")
    await asyncio.sleep(0.3)
    assert reports == []
    write(tmp_path / "a.py", "y")
    await until(lambda: reports)
    assert reports == [Changes({"a.py"})]
    watch.close()
    batcher.close()


CLOSED = os.strerror(errno.EACCES).lower()
TOO_LONG = os.strerror(errno.ENAMETOOLONG).lower()


@linux_only
async def test_a_folder_that_cannot_be_watched_keeps_no_other_from_it():
    """With the rights of a user to whom a folder is closed, which the superuser takes on for one thread."""
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        root.chmod(0o755)
        deep = "/".join(["f" * 200] * 30)
        for name in ("closed", "closed too", "open"):
            (root / name).mkdir()
        reports: list[Changes] = []
        batcher = Batcher(asyncio.get_running_loop(), reports.append)
        watch = Watch(root, batcher)
        for name in ("closed", "closed too"):
            (root / name).chmod(0)
        libc = ctypes.CDLL(None)
        before = libc.setfsuid(os.getuid() or 65534)
        try:
            for new in (True, False):
                assert watch.update({"", "closed", "closed too", deep, "open"}, []) is new
                assert watch.unwatched == {"closed": CLOSED, "closed too": CLOSED, deep: TOO_LONG}
        finally:
            libc.setfsuid(before)
        write(root / "open/a.py", "x")
        await until(lambda: any("open/a.py" in report.paths for report in reports))
        (root / "closed").chmod(0o700)
        assert watch.update({"", "closed", "open"}, []) is True
        assert watch.unwatched == {}
        watch.close()
        batcher.close()


@linux_only
async def test_what_cannot_be_watched_is_said_and_the_rest_is_not_polled(tmp_path):
    write(tmp_path / "work/zz/a.py", "x")
    here = os.open(tmp_path / "work", os.O_RDONLY)
    for _ in range(25):  # more than a path may have
        os.mkdir("f" * 200, dir_fd=here)
        below = os.open("f" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    disk = Disk(tmp_path / "work", lambda _changes: None, lambda _path: False)
    await disk.listing()
    assert disk.watching == "events"
    assert disk.note.startswith("changes in fff") and disk.note.endswith(f"are not seen at once: {TOO_LONG}")
    assert len(disk.note) < 300
    await disk.close()


async def test_a_flood_of_paths_becomes_a_rescan():
    reports: list[Changes] = []
    batcher = Batcher(asyncio.get_running_loop(), reports.append)
    for number in range(MOST_PATHS + 1):
        batcher.add(str(number))
    await until(lambda: reports)
    assert len(reports) == 1 and reports[0].rescan


@pytest.fixture
async def batches():
    reports: list[Changes] = []
    batcher = Batcher(asyncio.get_running_loop(), reports.append, knows=lambda path: path == "known.py")
    yield batcher, reports
    batcher.close()


async def test_what_is_complete_does_not_wait_for_what_may_not_be(batches):
    batcher, reports = batches
    batcher.add("moved_aside.py")
    batcher.add("written.py")
    batcher.add("written.py", soon=True)
    await until(lambda: len(reports) == 2)
    assert reports == [Changes({"written.py"}), Changes({"moved_aside.py"})]


async def test_one_file_that_is_written_without_end_is_reported_all_the_same(batches):
    batcher, reports = batches
    async with asyncio.timeout(10):
        while not reports:
            batcher.add("endless.log", soon=True)
            await asyncio.sleep(0.001)
    assert reports[0] == Changes({"endless.log"})


async def test_many_files_at_once_are_taken_together(batches):
    batcher, reports = batches
    written = {f"f{number}.py" for number in range(500)}
    for path in written:
        batcher.add(path, soon=True)
    await until(lambda: set().union(*(report.paths for report in reports)) == written)
    assert len(reports) <= 3


async def test_while_git_works_everything_waits_for_it(batches):
    batcher, reports = batches
    batcher.git_lock("tree", held=True)
    batcher.git_lock("submodule", held=True)
    for number in range(20):
        batcher.add(f"f{number}.py", soon=True)
        batcher.add_folder(f"folder{number}")
        await asyncio.sleep(0.01)
    batcher.add_git()
    batcher.git_lock("submodule", held=False)
    await asyncio.sleep(0.1)
    assert reports == []
    batcher.git_lock("tree", held=False)
    await until(lambda: reports)
    everything = Changes({f"f{n}.py" for n in range(20)}, False, {f"folder{n}" for n in range(20)}, True)
    assert reports == [everything]


async def test_a_lock_that_stays_holds_up_nothing(batches):
    batcher, reports = batches
    batcher.git_lock("tree", held=True)
    batcher.add("a.py", soon=True)
    await until(lambda: reports == [Changes({"a.py"})])


async def test_nothing_is_reported_after_the_end(batches):
    batcher, reports = batches
    batcher.add("a.py", soon=True)
    batcher.close()
    batcher.add("b.py", soon=True)
    batcher.add(None)
    await asyncio.sleep(0.2)
    assert reports == []


@linux_only
@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda root: write(root / "known.py", "x"), Changes({"known.py"})),
        (lambda root: (root / "new.tmp").replace(root / "known.py"), Changes({"known.py"})),
        (lambda root: (root / "known.py").rename(root / "known.py~"), Changes({"known.py", "known.py~"})),
        (lambda root: (root / "known.py").unlink(), Changes({"known.py"})),
        (lambda root: (root / "known.py").rename(root / "Known.py"), Changes({"known.py", "Known.py"})),
        (lambda root: (root / "link").symlink_to("known.py"), Changes({"link"})),
        (lambda root: (root / "fresh").mkdir(), Changes(folders={"fresh"})),
        (lambda root: (root / "folder").rename(root / "moved"), Changes(folders={"folder", "moved"})),
        (lambda root: (root / "folder").rmdir(), Changes(folders={"folder"})),
        (lambda root: write(root / "folder/.gitignore", "x"), Changes(rescan=True)),
        (lambda root: write(root / ".forewordignore", "x"), Changes(rescan=True)),
        (lambda root: (root / ".git").mkdir(), Changes(rescan=True)),
        (lambda root: (root / "known.py").chmod(0o600), None),
    ],
    ids=range(13),
)
async def test_what_the_system_tells(tmp_path, change, first):
    for name in ("known.py", "new.tmp"):
        write(tmp_path / name, "x")
    (tmp_path / "folder").mkdir()
    reports: list[Changes] = []
    batcher = Batcher(asyncio.get_running_loop(), reports.append, knows=lambda path: path == "known.py")
    watch = Watch(tmp_path, batcher)
    watch.update({"", "folder"}, [])
    change(tmp_path)
    if first is None:
        await asyncio.sleep(0.3)
        assert reports == []
    else:
        together = Changes()
        await until(lambda: reports)
        await asyncio.sleep(0.2)
        for report in reports:
            together.add(report)
        assert together.rescan == first.rescan
        if not first.rescan:
            together.paths.discard("new.tmp")
            assert together == first
    watch.close()
    batcher.close()


@linux_only
async def test_without_watches_changes_are_looked_for(monkeypatch, tmp_path):
    """The limit of the system is met by a root in this process, since lowering it takes the superuser."""
    from indexer.children.workers import Workers
    from indexer.embedding.embedding import Embedding
    from indexer.files import disk
    from indexer.roots import root as rooting
    from indexer.roots.live import TextCache
    from indexer.store.store import Store
    from indexer.store.upkeep import index_text

    monkeypatch.setenv("FOREWORD_EMBEDDER", "none")
    monkeypatch.setattr(disk, "POLL_S", 0.2)
    folder = repository(tmp_path / "work", {"a.py": _define("a")})
    store = Store(tmp_path / "store", "test")

    async def opened() -> Store:
        return store

    def refuse(self, folders, git_folders):
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(disk.Watch, "update", refuse)
    workers = Workers()
    facilities = rooting.Facilities(opened, index_text, lambda: None, workers, Embedding(), TextCache())
    root = rooting.Root(folder, facilities)
    running = asyncio.create_task(root.run())
    await root.settled(vectors=False)
    status = root.status(store)
    assert (status.state, status.watching) == ("ready", "polling")
    assert "max_user_watches" in status.note
    write(folder / "b.py", _define("b"))
    await until(lambda: list(root.live.defining("b")))
    running.cancel()
    workers.stop()
