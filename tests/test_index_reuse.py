"""Nothing that the store knows is read again: renames, branches, clones, worktrees, undone edits, restarts."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from index_service import PATIENCE_S, client, git, isolate, repository, stop_service, until_symbol, write

from indexer.client import IndexClient
from indexer.messages import RootStatus

FILES = {f"pkg{number % 3}/m{number}.py": f"def f{number}():\n    return {number}\n" for number in range(30)}


@pytest.fixture(autouse=True)
async def _own_folders(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)
    yield
    await stop_service()


@pytest.fixture
def root(tmp_path) -> Path:
    """On `main`, beside a branch `other` that has 10 other contents and one path less."""
    folder = repository(tmp_path / "work", FILES)
    git(folder, "checkout", "-q", "-b", "other")
    for number in range(10):
        write(folder / f"pkg{number % 3}/m{number}.py", f"def other{number}():\n    return {number}\n")
    (folder / "pkg2/m29.py").unlink()
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "other")
    git(folder, "checkout", "-q", "main")
    return folder


async def _status(connected: IndexClient, root: Path) -> RootStatus:
    """Once everything that has changed until now is taken in."""
    return await connected.open_root(str(root), wait=True)


async def test_a_rename_of_files_and_folders_reads_nothing(root):
    async with client() as connected:
        assert (await _status(connected, root)).files_read == 30
        (root / "pkg0/m3.py").rename(root / "renamed.py")
        (root / "pkg1").rename(root / "moved")
        await _until_only_in(connected, root, "f3", "renamed.py")
        await _until_only_in(connected, root, "f4", "moved/m4.py")
        status = await _status(connected, root)
        assert (status.files, status.files_read) == (30, 30)


async def test_a_branch_is_read_once(root):
    async with client() as connected:
        await _status(connected, root)
        for branch, name, read in (("other", "other3", 40), ("main", "f3", 40), ("other", "other3", 40)):
            git(root, "checkout", "-q", branch)
            await until_symbol(connected, root, name)
            status = await _status(connected, root)
            assert (status.files, status.files_read) == (30 - (branch == "other"), read)


async def test_an_edit_that_is_undone_reads_nothing(root):
    path = root / "pkg0/m0.py"
    async with client() as connected:
        await _status(connected, root)
        before = path.read_text()
        write(path, before + "\n\ndef added():\n    pass\n")
        await until_symbol(connected, root, "added")
        write(path, before)
        await until_symbol(connected, root, "added", present=False)
        assert (await _status(connected, root)).files_read == 31


async def test_clones_and_worktrees_read_nothing(root, tmp_path):
    git(tmp_path, "clone", "-q", str(root), "clone")
    git(root, "worktree", "add", "-q", str(tmp_path / "worktree"), "other")
    shutil.copytree(root, tmp_path / "copy")
    async with client() as connected:
        assert (await _status(connected, root)).files_read == 30
        for folder, read in (("clone", 0), ("copy", 0), ("worktree", 10)):
            status = await _status(connected, tmp_path / folder)
            assert (status.state, status.files_read) == ("ready", read), folder
        name = (await connected.symbols(str(tmp_path / "clone"), name="f7")).definitions
        assert [one.path for one in name] == ["pkg1/m7.py"]


async def test_after_a_restart_nothing_is_read(root):
    async with client() as connected:
        await _status(connected, root)
    await stop_service()
    async with client() as connected:
        status = await _status(connected, root)
        assert (status.files, status.symbols, status.files_read) == (30, 30, 0)


async def test_equal_contents_in_two_languages_are_read_for_each(root):
    write(root / "same.js", FILES["pkg0/m0.py"])
    write(root / "again.js", FILES["pkg0/m0.py"])
    async with client() as connected:
        assert (await _status(connected, root)).files_read in (31, 32)  # both may be read in one go


async def _until_only_in(connected: IndexClient, root: Path, name: str, path: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while [it.path for it in (await connected.symbols(str(root), name=name)).definitions] != [path]:
            await asyncio.sleep(0.02)
