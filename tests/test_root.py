"""One open root in this process: what goes wrong with a file, a folder or the store stays with it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from index_service import until, write

from indexer.children import reading
from indexer.children.workers import Workers
from indexer.embedding.embedding import Embedding
from indexer.files.batcher import Changes
from indexer.files.listing import list_files
from indexer.files.times import changed_ns
from indexer.roots import root as rooting
from indexer.roots import roots as roots_module
from indexer.roots.facilities import Facilities
from indexer.roots.live import TextCache
from indexer.roots.root import Root
from indexer.roots.roots import Roots
from indexer.store.store import Store
from indexer.store.upkeep import index_text

KEY = "-----BEGIN PRIVATE " + "KEY-----\n" + "A" * 64 + "\n"
RESCAN = Changes(rescan=True)


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("FOREWORD_EMBEDDER", "none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def facilities(store: Callable[[], Awaitable[Store]], workers: Workers) -> Facilities:
    return Facilities(store, index_text, lambda: None, workers, Embedding(), TextCache())


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Root]:
    """Indexed once and kept in step."""
    store, workers = Store(folder.parent / "store", "test"), Workers(1)

    async def get() -> Store:
        return store

    root = Root(folder, facilities(get, workers))
    running = asyncio.create_task(root.run())
    await root.settled(vectors=False)
    try:
        yield root
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        workers.stop()
        store.close()


async def after(root: Root, changes: Changes) -> dict[str, str]:
    """Why files are skipped once these changes are followed."""
    root.changed(changes)
    await root.settled(vectors=False)
    assert root.status(None).state == "ready"
    return {it.path: it.reason for it in root.status(None).skipped_examples}


def age(path: Path) -> None:
    """Makes it a file that has not been changed for long, by both of its times."""
    os.utime(path, (1e9, 1e9))
    time.sleep(0.03)  # its entry was changed just now, and may not be trusted before


async def test_a_fault_in_a_parser_costs_one_file_and_one_try(tmp_path, monkeypatch, caplog):
    folder = tmp_path / "work"
    write(folder / "good.py", "def good():\n    pass\n")
    read: list[bytes] = []
    plain = reading.facts_of

    def facts_of(data: bytes, *how: object) -> object:
        read.append(data)
        if b"bad" in data:
            raise IndexError(f"what stands in {data!r}")
        return plain(data, *how)

    monkeypatch.setattr(reading, "facts_of", facts_of)
    async with opened(folder) as root:
        for name in ("bad.py", "better.py"):
            write(folder / name, f"def {name[:3]}():\n    pass\n")
            age(folder / name)
        with caplog.at_level(logging.ERROR):
            skipped = await after(root, Changes({"bad.py", "better.py"}))
        assert skipped == {"bad.py": skipped["bad.py"]}
        assert skipped["bad.py"].startswith("its parser failed: IndexError in test_root.py:")
        assert str(folder / "bad.py") in caplog.text and "what stands in" not in caplog.text
        assert list(root.live.defining("bet"))
        tries = len(read)
        assert await after(root, RESCAN) == await after(root, Changes({"bad.py"})) == skipped
        assert len(read) == tries, "it was read again although it has not changed"
        write(folder / "bad.py", "def mended():\n    pass\n")
        assert await after(root, Changes({"bad.py"})) == {}
        assert list(root.live.defining("mended"))


async def test_saves_of_one_file_do_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(rooting, "_SPARE_CONTENTS", 10)
    folder = tmp_path / "work"
    write(folder / "a.py", "def f(): ...\n")
    async with opened(folder) as root:
        for number in range(40):
            write(folder / "a.py", f"def f(): return {number}\n")
            await after(root, Changes({"a.py"}))
            assert len(root.live.contents) <= 12
        assert [content.key for _, content in root.live.defining("f")] == [root.live.manifest["a.py"].key]


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        (errno.EMFILE, True),
        (errno.EIO, True),
        (errno.ESTALE, True),
        (errno.EACCES, False),
        (errno.ELOOP, False),
    ],
)
async def test_what_may_pass_makes_no_file_forgotten_and_is_asked_again(tmp_path, monkeypatch, code, stays):
    folder = tmp_path / "work"
    write(folder / "a.py", "def before(): ...\n")
    age(folder / "a.py")
    plain, troubled = reading.load, [True]

    def load(path: Path) -> tuple[bytes, int]:
        if troubled:
            raise OSError(code, os.strerror(code))
        return plain(path)

    async with opened(folder) as root:
        monkeypatch.setattr(reading, "load", load)
        monkeypatch.setattr(rooting, "_RETRY_S", 0.05)
        write(folder / "a.py", "def afterwards(): ...\n")
        age(folder / "a.py")
        said = await after(root, Changes({"a.py"}))
        assert said == {"a.py": f"unreadable: {os.strerror(code)}"}
        assert bool(list(root.live.defining("before"))) is stays
        troubled.clear()
        if stays:
            await until(lambda: list(root.live.defining("afterwards")))


@pytest.mark.parametrize("changes", [Changes({"a.py"}), RESCAN], ids=["one file", "all"])
@pytest.mark.parametrize(("code", "stays"), [(errno.EIO, True), (errno.ESTALE, True), (errno.EACCES, False)])
async def test_a_disk_that_tells_nothing_of_a_file_makes_it_no_file_that_is_gone(
    tmp_path, monkeypatch, code, stays, changes
):
    folder = tmp_path / "work"
    write(folder / "a.py", "def before(): ...\n")
    age(folder / "a.py")
    plain_lstat, plain_load, troubled = os.lstat, reading.load, [True]

    def lstat(path: str | Path, **how: int) -> os.stat_result:
        if troubled and str(path).endswith("work/a.py"):
            raise OSError(code, os.strerror(code))
        return plain_lstat(path, **how)

    def load(path: Path) -> tuple[bytes, int]:
        if troubled:
            raise OSError(code, os.strerror(code))
        return plain_load(path)

    async with opened(folder) as root:
        monkeypatch.setattr(os, "lstat", lstat)
        monkeypatch.setattr(reading, "load", load)
        monkeypatch.setattr(rooting, "_RETRY_S", 0.05)
        write(folder / "a.py", "def afterwards(): ...\n")
        said = await after(root, changes)
        assert said == {"a.py": f"unreadable: {os.strerror(code)}"}
        assert bool(list(root.live.defining("before"))) is stays
        troubled.clear()
        if stays:
            await until(lambda: list(root.live.defining("afterwards")))


async def test_a_folder_that_is_gone_is_told_in_one_line(tmp_path, caplog):
    """Whoever deletes a folder that is open has made no mistake, and reads no traceback."""
    folder = tmp_path / "work"
    write(folder / "a.py", "def before(): ...\n")
    async with opened(folder) as root:
        shutil.rmtree(folder)
        root.changed(RESCAN)
        await root.settled(vectors=False)
        assert root.status(None).error == "the folder is gone"
    # who watches the disk may have seen it first, so that it is told twice
    told = [each for each in caplog.records if "failed" in each.message]
    assert {each.message for each in told} == {f"indexing {folder} failed: the folder is gone"}
    assert not any(each.exc_info for each in told)


async def test_many_failures_in_a_row_are_retried_once(tmp_path):
    """As when somebody saves while the disk is full."""
    (tmp_path / "work").mkdir()
    tries: list[None] = []

    async def full() -> Store:
        tries.append(None)
        raise OSError(errno.ENOSPC, "No space left on device")

    workers = Workers(1)
    root = Root(tmp_path / "work", facilities(full, workers))
    running = asyncio.create_task(root.run())
    timers: list[asyncio.TimerHandle] = []
    for _ in range(5):
        await after_failure(root)
        assert root._retrying is not None
        timers.append(root._retrying)
    assert len(tries) == 5
    assert [timer.cancelled() for timer in timers] == [True, True, True, True, False]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert timers[-1].cancelled()
    workers.stop()


async def after_failure(root: Root) -> None:
    root.changed(RESCAN)
    await root.settled(vectors=False)
    assert root.status(None).state == "failed"


@pytest.mark.parametrize(
    ("name", "text"), [("key.txt", KEY), ("app.js", "var a=1;" * 10_000)], ids=["a key", "minified"]
)
async def test_a_file_is_read_anew_when_it_is_taken_back_in_and_when_not_any_more(tmp_path, name, text):
    """It does not change meanwhile; what is left out for its content is not when it is named."""
    folder = tmp_path / "work"
    write(folder / name, text)
    age(folder / name)

    def skipped(root: Root) -> bool:
        return bool(root.live.contents[root.live.manifest[name].key].skipped)

    async with opened(folder) as root:
        assert skipped(root)
        for rules, expected in ((f"!{name}\n", False), ("", True), (f"!{name}\n", False)):
            write(folder / ".forewordignore", rules)
            await after(root, RESCAN)
            assert skipped(root) is expected, rules


def test_a_file_that_was_written_just_now_is_not_known_by_its_time(tmp_path):
    """However late its facts are taken over: it may have been written again within the same tick of the clock."""
    write(tmp_path / "fresh.py", "x = 1\n")
    write(tmp_path / "old.py", "x = 1\n")
    time.sleep(0.05)
    old_ns = changed_ns((tmp_path / "old.py").stat())
    files = [reading.FileToRead(file.path, file.size) for file in list_files(tmp_path).files]
    os.utime(tmp_path / "fresh.py")
    read = reading.decode_read(reading.read_files(str(tmp_path), files, time_limit=False))
    os.utime(tmp_path / "fresh.py")
    hashed = reading.decode_hashed(reading.hash_files(str(tmp_path), files, time_limit=False))
    for found in (read, hashed):
        assert {it.path: it.mtime_ns for it in found} == {"fresh.py": 0, "old.py": old_ns}


def test_what_was_moved_over_a_file_of_its_size_and_time_shows(tmp_path):
    """As two files of a checkout, written within one tick of the clock, one of which then takes the other's place."""
    write(tmp_path / "one.py", "x = 1\n")
    write(tmp_path / "two.py", "y = 2\n")
    for name in ("one.py", "two.py"):
        age(tmp_path / name)
    before = {file.path: file for file in list_files(tmp_path).files}
    time.sleep(0.05)
    (tmp_path / "one.py").replace(tmp_path / "two.py")
    (after,) = list_files(tmp_path).files
    assert after.path == "two.py" and after.size == before["two.py"].size
    assert after.mtime_ns != before["two.py"].mtime_ns


async def test_a_folder_that_does_not_answer_holds_up_nobody_else(tmp_path, monkeypatch):
    """As on a network mount whose server is gone."""
    answers = threading.Event()
    plain = roots_module._folder
    asked: list[str] = []

    def folder(root: str) -> Path:
        asked.append(root)
        if root.endswith("hung"):
            assert answers.wait(20)
        return plain(root)

    monkeypatch.setattr(roots_module, "_folder", folder)
    for name in ("hung", "fine"):
        (tmp_path / name).mkdir()

    async def none() -> Store:
        raise OSError(errno.EIO, "there is none")

    workers = Workers(1)
    roots = Roots(facilities(none, workers))
    waiting = [asyncio.create_task(roots.hold(str(tmp_path / "hung"), self)) for self in range(100)]
    ends = asyncio.create_task(roots.release(str(tmp_path / "hung"), 7))
    await asyncio.sleep(0)
    assert (await roots.hold(str(tmp_path / "fine"), 1)).path == tmp_path / "fine"
    assert not any(task.done() for task in (*waiting, ends))
    assert asked.count(str(tmp_path / "hung")) == 1
    answers.set()
    held = await asyncio.gather(*waiting)
    await ends
    assert len({id(root) for root in held}) == 1
    assert (roots.held_by(7), roots.held_by(8)) == ([], [held[0]])
    await roots.close()
    workers.stop()
