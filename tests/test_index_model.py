"""Random sequences of what people and tools do to files leave the index equal to a fresh one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from index_service import git, repository, write

from indexer.children.workers import Workers
from indexer.embedding.embedding import Embedding
from indexer.files.listing import list_files
from indexer.parsing.facts import content_key
from indexer.parsing.languages import language_of
from indexer.roots.facilities import Facilities
from indexer.roots.indexing import Pass
from indexer.roots.live import LiveRoot, TextCache
from indexer.roots.root import Root
from indexer.store.dump import dump, strays
from indexer.store.store import Store
from indexer.store.upkeep import index_text, tidy

PATHS = ("a.py", "b.py", "pkg/c.py", "pkg/deep/d.py", "pkg/e.ts", "other/f.go", "notes.md")
FOLDERS = ("pkg", "pkg/deep", "other")
KEY = "-----BEGIN PRIVATE " + "KEY-----\n" + "A" * 64 + "\n"
"""What is left out for its content, except where it is taken back in by name."""

TEXTS = (
    "",
    "def alpha():\n    return beta()\n",
    "class Gamma:\n    def alpha(self):\n        return self.beta\n",
    "from pkg.c import alpha\n\nalpha(1)\n",
    "export function delta() { return alpha(); }\n",
    "# words only\n\nand more of them\n",
    "def broken(:\n  )\n",
    "x = '\udce9'\n",
    KEY,
)
IGNORES = (
    "",
    "pkg/\n",
    "*.md\nb.py\n",
    "deep\n!deep/d.py\n",
    "/a.py\n",
    "!a.py\n",
    "pkg/\n!pkg/c.py\n!notes.md\n",
)

PATIENCE_S = 20.0
"""A busy machine may take seconds for what takes milliseconds."""

T = TypeVar("T")

paths_of_files = st.sampled_from(PATHS)
texts = st.sampled_from(TEXTS)


class _Loop:
    """An event loop on a thread of its own: hypothesis' steps are no coroutines."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class _Index:
    """One root, kept in step with the disk by everything that the service has but its socket."""

    def __init__(self, loop: _Loop, workers: Workers, root: Path, folder: Path) -> None:
        self._loop = loop
        self._path = root
        self._folder = folder
        self.workers = workers
        loop.run(self._open())

    async def _open(self) -> None:
        self.store = await asyncio.to_thread(Store, self._folder, "test")

        async def opened() -> Store:
            return self.store

        facilities = Facilities(opened, index_text, lambda: None, self.workers, Embedding(), TextCache())
        self.root = Root(self._path, facilities)
        self._task = asyncio.create_task(self.root.run())

    def settle(self) -> None:
        async def settled() -> None:
            await self.root.settled(vectors=False)

        self._loop.run(settled())

    def rows(self) -> dict:
        return dump(self.store, str(self._path))

    def stop(self, *, crash: bool) -> None:
        self._loop.run(self._stop())
        if crash:
            self.store.abandon()
        else:
            self.store.close()

    async def _stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def start(self) -> None:
        self._loop.run(self._open())


def _differences(found: dict, expected: dict) -> list[tuple[str, str, object]]:
    """Rows of one of the two only, by table."""
    return [
        (table, whose, row)
        for table in expected
        for whose, ours, others in (
            ("only found", found[table], expected[table]),
            ("only fresh", expected[table], found[table]),
        )
        for row in ours
        if row not in others
    ]


def fresh_rows(loop: _Loop, root: Path, workers: Workers) -> dict:
    """What an index that has seen nothing before says now."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store", "test")
        try:
            work = Pass(root, LiveRoot({}, {}), store, workers, lambda *_: None)
            loop.run(_run(work, root))
            return dump(store, str(root))
        finally:
            store.close()


async def _stop(workers: Workers) -> None:
    """On the event loop, as it must be."""
    workers.stop()


async def _run(work: Pass, root: Path) -> None:
    await work.run(list_files(root).files, [])


class IndexMachine(RuleBasedStateMachine):
    """Steps follow each other without waiting, as editors and tools do; `compare` waits.

    The processes that read files know nothing of an index or of what they have read. They are the same for all
    sequences and comparisons: to start new ones took three quarters of the time.
    """

    loop: _Loop
    workers: Workers

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(os.path.realpath(tempfile.mkdtemp()))
        self.root = self.folder / "work"

    @initialize()
    def start(self) -> None:
        repository(self.root, {"a.py": TEXTS[1], "pkg/c.py": TEXTS[2], "notes.md": TEXTS[5], "key": KEY})
        git(self.root, "checkout", "-q", "-b", "other")
        write(self.root / "a.py", TEXTS[3])
        write(self.root / "other/f.go", "package f\n\nfunc Eta() {}\n")
        (self.root / "notes.md").unlink()
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "-m", "other")
        self.index = _Index(self.loop, self.workers, self.root, self.folder / "store")

    @rule(path=paths_of_files, text=texts)
    def save(self, path: str, text: str) -> None:
        with contextlib.suppress(NotADirectoryError, FileExistsError, IsADirectoryError):
            write(self.root / path, text.encode("utf-8", "surrogateescape"))

    @rule(path=paths_of_files, text=texts)
    def save_by_replacing(self, path: str, text: str) -> None:
        if (self.root / path).parent.is_dir() and not (self.root / path).is_dir():
            draft = self.root / path
            draft = draft.with_name(f".{draft.name}.swp")
            write(draft, text.encode("utf-8", "surrogateescape"))
            draft.replace(self.root / path)

    @rule(path=paths_of_files)
    def delete(self, path: str) -> None:
        with contextlib.suppress(OSError):
            (self.root / path).unlink()

    @rule(old=paths_of_files, new=paths_of_files)
    def rename(self, old: str, new: str) -> None:
        with contextlib.suppress(OSError):
            (self.root / old).rename(self.root / new)

    @rule(old=st.sampled_from(FOLDERS), new=st.sampled_from((*FOLDERS, "moved")))
    def rename_folder(self, old: str, new: str) -> None:
        with contextlib.suppress(OSError):
            (self.root / old).rename(self.root / new)

    @rule(branch=st.sampled_from(("main", "other")))
    def switch(self, branch: str) -> None:
        git(self.root, "checkout", "-q", "-f", branch)

    @rule(
        name=st.sampled_from((".gitignore", ".forewordignore", "pkg/.gitignore")),
        text=st.sampled_from(IGNORES),
    )
    def ignore(self, name: str, text: str) -> None:
        if (self.root / name).parent.is_dir():
            write(self.root / name, text)

    @rule(named=st.booleans())
    def take_back_in(self, named: bool) -> None:
        write(self.root / ".forewordignore", "!key\n" if named else "")

    @rule(path=paths_of_files)
    def touch(self, path: str) -> None:
        with contextlib.suppress(OSError):
            os.utime(self.root / path)

    @rule()
    def tidy(self) -> None:
        tidy(self.index.store)

    @rule()
    def settle(self) -> None:
        self.index.settle()

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        self.index.stop(crash=crash)
        self.index.start()

    @rule()
    def compare(self) -> None:
        give_up = time.monotonic() + PATIENCE_S
        expected = fresh_rows(self.loop, self.root, self.workers)
        while True:
            self.index.settle()
            found = self.index.rows()
            if found == expected or time.monotonic() > give_up:
                break
            time.sleep(0.05)
        assert not _differences(found, expected)
        live = self.index.root.live
        on_disk = {
            file.path: content_key(
                (self.root / file.path).read_bytes(), language_of(file.path), file.reincluded
            )
            for file in list_files(self.root).files
        }
        assert {path: entry.key for path, entry in live.manifest.items()} == on_disk
        assert strays(self.index.store) == {"files": 0, "references": 0, "chunks": 0}

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.compare()
            self.index.stop(crash=False)
        shutil.rmtree(self.folder)


def _check(examples: int, steps: int) -> None:
    IndexMachine.loop, IndexMachine.workers = _Loop(), Workers(1)
    try:
        run_state_machine_as_test(
            IndexMachine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        IndexMachine.loop.run(_stop(IndexMachine.workers))
        IndexMachine.loop.close()


@pytest.fixture(autouse=True)
def _no_embedder(monkeypatch):
    monkeypatch.setenv("FOREWORD_EMBEDDER", "none")


def test_the_index_equals_a_fresh_one():
    _check(examples=12, steps=12)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_index_equals_a_fresh_one_after_long_sequences():
    _check(examples=60, steps=40)
