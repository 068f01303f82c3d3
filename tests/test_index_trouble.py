"""What can go wrong with a store: it stays whole, or is made anew, and says so."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from index_service import (
    PATIENCE_S,
    client,
    isolate,
    repository,
    stop_service,
    until_symbol,
    write,
)

from indexer import paths
from indexer.client import IndexClient, IndexServiceError
from indexer.parsing.facts import facts_of
from indexer.store import damage, forgetting, schema
from indexer.store.contents import STORE_ERRORS, ManifestEntry, StoreError
from indexer.store.dump import dump, strays
from indexer.store.store import Store

FILES = {
    f"m{n}.py": f"from m{n - 1} import f{n - 1}\n\n\ndef f{n}():\n    return f{n - 1}()\n" for n in range(40)
}


@pytest.fixture
async def _own_folders(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)
    yield
    await stop_service()


def _generation() -> Path:
    return paths.store_folder() / schema.generation()


async def _until_ready(connected: IndexClient, root: Path) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await connected.open_root(str(root), wait=True)).state != "ready":
            await asyncio.sleep(0.05)


async def _until_right(connected: IndexClient, root: Path) -> None:
    """Until symbols, references and full text are all answered as a fresh index does."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await _until_ready(connected, root)
            try:
                symbols = (await connected.symbols(str(root), name="f7")).definitions
                references = (await connected.references(str(root), "f7")).references
                hits = (await connected.search(str(root), "f7")).hits
            except IndexServiceError:  # what is damaged was just met, and is made anew
                await asyncio.sleep(0.05)
                continue
            found = (
                {it.path for it in symbols},
                {it.path for it in references},
                "m7.py" in {it.path for it in hits},
            )
            if found == ({"m7.py"}, {"m8.py"}, True):
                return
            await asyncio.sleep(0.05)


def _data_of(table: str) -> list[Path]:
    return sorted((_generation() / f"{table}.lance/data").glob("*.lance"))


def _truncate(files: list[Path]) -> None:
    for file in files:
        os.truncate(file, file.stat().st_size // 2)


def _remove(files: list[Path]) -> None:
    for file in files:
        file.unlink()


DAMAGES = {
    "files cut short": (lambda: _truncate(_data_of("files")), True),
    "files gone": (lambda: _remove(_data_of("files")), True),
    "manifest cut short": (lambda: _truncate(_data_of("manifest")), True),
    "references cut short": (lambda: _truncate(_data_of("references")), True),
    "references gone": (lambda: _remove(_data_of("references")), True),
    "chunks cut short": (lambda: _truncate(_data_of("chunks")), True),
    "no versions": (lambda: shutil.rmtree(_generation() / "chunks.lance/_versions"), False),
    "versions cut short": (
        lambda: _truncate(sorted((_generation() / "chunks.lance/_versions").iterdir())),
        True,
    ),
    "no text index": (lambda: shutil.rmtree(_generation() / "chunks.lance/_indices"), None),
    "a table is a file": (
        lambda: (shutil.rmtree(_generation() / "files.lance"), write(_generation() / "files.lance", "x")),
        None,
    ),
    "the note of roots": (lambda: write(_generation() / "roots.json", "{"), False),
    "the note of a batch": (lambda: write(_generation() / "batch", "["), False),
    "the note of a batch is empty": (lambda: write(_generation() / "batch", ""), False),
}
"""What is done to a store, and whether it is made anew (None: it may be)."""


@pytest.mark.parametrize("kind", DAMAGES)
async def test_a_damaged_store_is_made_anew(_own_folders, tmp_path, kind):
    root = repository(tmp_path / "work", FILES)
    async with client() as connected:
        await _until_right(connected, root)
    await stop_service()
    harm, anew = DAMAGES[kind]
    harm()
    async with client() as connected:
        await _until_right(connected, root)
        note = (await connected.status()).store_note
        assert anew is None or ("damaged" in note) == anew, note
    await stop_service()
    store = Store(_generation(), "test")
    assert strays(store) == {"files": 0, "references": 0, "chunks": 0}
    assert len(dump(store, str(root))["manifest"]) == len(FILES)
    store.close()


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        (StoreError("another index service writes to this store"), False),
        (OSError(28, "No space left on device"), False),
        (RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)"), False),
        (RuntimeError("lance error: Permission denied (os error 13)"), False),
        (RuntimeError("lance error: LanceError(IO): Invalid argument: file is too small"), True),
        (ValueError("Not found: x.lance"), True),
    ],
)
def test_damage_is_told_from_what_passes(failed, expected):
    assert isinstance(failed, STORE_ERRORS) and damage.suspicious(failed) == expected


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, which the superuser can make and widen."""
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], check=False)
    if made.returncode:
        pytest.skip("only the superuser can make a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _widen(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


async def test_a_full_disk_is_said_and_the_index_is_whole_once_there_is_room(
    _own_folders, small_disk, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk))
    root = repository(tmp_path / "work", {path: text * 60 for path, text in FILES.items()})
    async with client() as connected:
        status = await connected.open_root(str(root), wait=True)
        assert status.state == "failed" and "is full" in status.error, status
        _widen(small_disk, "200m")
        await _until_ready(connected, root)
        status = await connected.open_root(str(root), wait=True)
        assert (status.files, status.files_read, status.error) == (40, 40, ""), "what was read is not lost"
        full = small_disk / "full"
        with full.open("wb") as file, pytest.raises(OSError):
            while True:
                file.write(b"\0" * 65536)
        write(root / "m1.py", "def saved_on_a_full_disk():\n    pass\n")
        await until_symbol(connected, root, "saved_on_a_full_disk")
        async with asyncio.timeout(PATIENCE_S):
            while "not on disk yet" not in (await connected.status(str(root))).roots[0].note:
                await asyncio.sleep(0.05)
        full.unlink()
        await connected.shutdown()
    await stop_service()
    store = Store(_generation(), "test")
    assert strays(store) == {"files": 0, "references": 0, "chunks": 0}
    rows = dump(store, str(root))
    assert len(rows["manifest"]) == 40
    key = next(key for path, key, _ in rows["manifest"] if path == "m1.py")
    assert [tag.name for tag in store.contents([key])[key].definitions] == ["saved_on_a_full_disk"]
    store.close()


async def test_stores_of_other_versions_are_left_alone(_own_folders, tmp_path):
    root = repository(tmp_path / "work", FILES)
    others = [paths.store_folder() / name for name in ("v1-0123456789ab", "v999-0123456789ab")]
    for folder in others:
        write(folder / "files.lance/_versions/1.manifest", "of another version")
    (paths.store_folder() / "a file").write_text("of nobody")
    long_unused = paths.store_folder() / "v0-000000000000"
    long_unused.mkdir()
    os.utime(long_unused, (1, 1))
    async with client() as connected:
        await _until_right(connected, root)
    names = {path.name for path in paths.store_folder().iterdir()}
    assert names >= {*(folder.name for folder in others), "a file"} and long_unused.name not in names


async def test_times_that_jump_are_no_reason_to_miss_a_change(_own_folders, tmp_path):
    root = repository(tmp_path / "work", FILES)
    path = root / "m1.py"
    future_s, past_s = time.time() + 86_400, 1_000_000_000
    async with client() as connected:
        await _until_ready(connected, root)
        for number, time_s in enumerate((future_s, past_s, future_s + 1, past_s, future_s)):
            name = f"after_jump_{number}"
            draft = root / ".draft"
            write(draft, f"def {name}():\n    pass\n")
            os.utime(draft, (time_s, time_s))
            draft.replace(path)
            await until_symbol(connected, root, name)
    await stop_service()
    write(path, "def while_nobody_looked():\n    pass\n")
    os.utime(path, (past_s, past_s))
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        assert (await connected.symbols(str(root), name="while_nobody_looked")).definitions


def test_a_clock_that_was_ahead_forgets_nothing(tmp_path, monkeypatch):
    store = Store(tmp_path / "store", "test")
    facts = [facts_of(f"x = {number}\n".encode(), "python") for number in range(4)]
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now + 400 * 86_400)
        store.write(facts[:2])
    store.write(facts[2:])
    store.write_manifest(str(tmp_path), {"a.py": ManifestEntry(facts[0].key, 6, 1)}, [])
    forgetting.forget(store)
    assert store.known == {one.key for one in facts}
    store.close()
