"""Whatever is done to a folder, what is known of it comes to be what a fresh listing says, without listing all
of it where that can be helped."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from index_service import git, repository, until, write

from indexer.files import disk, heartbeat, mounts
from indexer.files.batcher import Changes
from indexer.files.disk import Disk
from indexer.files.following import topmost
from indexer.files.git import user_excludes
from indexer.files.listing import list_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify")

FILES = {
    ".gitignore": "*.log\n/build/\n",
    "a.py": "a = 1\n",
    "sub/b.py": "b = 1\n",
    "sub/deep/c.py": "c = 1\n",
    "other/d.py": "d = 1\n",
}


class Mirror:
    """What `Root` does with a `Disk`, without an index behind it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest: dict[str, int] = {}
        self.reasons: dict[str, str] = {}
        self.listings = 0
        self.follows = 0
        self._wake = asyncio.Event()
        self._pending = Changes()
        self.disk = Disk(root, self._changed, lambda path: path in self.manifest)

    def _changed(self, changes: Changes) -> None:
        self._pending.add(changes)
        self._wake.set()

    async def run(self) -> None:
        await self.list()
        gone = False
        while True:
            if await self.disk.wait(self._wake, gone=gone):
                self._pending.rescan = True
            self._wake.clear()
            changes, self._pending = self._pending, Changes()
            try:
                await self._take(changes)
                gone = False
            except OSError:
                gone = not self.root.is_dir()

    async def list(self) -> None:
        listing = await self.disk.listing()
        self.listings += 1
        self.manifest = {file.path: file.size for file in listing.files}
        self.reasons = dict(listing.skipped)

    async def _take(self, changes: Changes) -> None:
        followed = None if changes.rescan else await self.disk.follow(self.manifest, changes)
        if followed is None:
            await self.list()
            return
        self.follows += 1
        for path in followed.gone:
            self.manifest.pop(path, None)
        self.manifest |= {file.path: file.size for file in followed.files}
        self.reasons |= followed.skipped


@asynccontextmanager
async def mirror(root: Path):
    kept = Mirror(root)
    running = asyncio.create_task(kept.run())
    await until(lambda: kept.listings)
    try:
        yield kept
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await kept.disk.close()


def fresh(root: Path) -> dict[str, int]:
    return {file.path: file.size for file in list_files(root).files}


@pytest.fixture(autouse=True)
def own_git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


# ---------------------------------------------------------------- what people and programs do to files


def save(root: Path) -> None:
    write(root / "a.py", "a = 2  # changed\n")


def save_atomically(root: Path) -> None:
    write(root / ".a.py.tmp", "a = 3  # by a rename\n")
    (root / ".a.py.tmp").replace(root / "a.py")


def save_as_vim_does(root: Path) -> None:
    write(root / "4913", "")
    (root / "4913").unlink()
    (root / "a.py").rename(root / "a.py~")
    write(root / "a.py", "a = 4  # the old one was moved aside\n")
    (root / "a.py~").unlink()


def save_as_emacs_does(root: Path) -> None:
    (root / ".#a.py").symlink_to("somebody@somewhere.123")
    shutil.copy(root / "a.py", root / "a.py~")
    write(root / "a.py", "a = 5  # with a copy beside it\n")
    (root / ".#a.py").unlink()


def append_slowly(root: Path) -> None:
    with (root / "a.py").open("a") as file:
        for number in range(20):
            file.write(f"x{number} = {number}\n")
            file.flush()


def create(root: Path) -> None:
    write(root / "sub/new.py", "new = 1\n")


def create_ignored(root: Path) -> None:
    write(root / "trace.log", "x\n" * 100)
    write(root / "build/out.py", "x = 1\n")


def create_secret(root: Path) -> None:
    write(root / ".env", "A=1\n")


def delete(root: Path) -> None:
    (root / "sub/b.py").unlink()


def rename(root: Path) -> None:
    (root / "sub/b.py").rename(root / "other/renamed.py")


def rename_only_the_case(root: Path) -> None:
    (root / "sub/b.py").rename(root / "sub/B.py")


def grow_too_large(root: Path) -> None:
    write(root / "a.py", "x = 1\n" * 200_000)


def become_a_link(root: Path) -> None:
    (root / "a.py").unlink()
    (root / "a.py").symlink_to("sub/b.py")


def become_a_folder(root: Path) -> None:
    (root / "a.py").unlink()
    write(root / "a.py/inner.py", "x = 1\n")


def make_a_pipe(root: Path) -> None:
    os.mkfifo(root / "pipe.py")


def make_a_link_loop(root: Path) -> None:
    (root / "sub/loop").symlink_to("..")
    (root / "sub/itself").symlink_to("itself")


def a_folder_becomes_a_link(root: Path) -> None:
    shutil.rmtree(root / "sub")
    (root / "sub").symlink_to(root.parent / "outside")


def make_folders(root: Path) -> None:
    write(root / "fresh/deep/down/e.py", "e = 1\n")
    write(root / "fresh/deep/.gitignore", "ignored.py\n")
    write(root / "fresh/deep/ignored.py", "x = 1\n")


def run_python(root: Path) -> None:
    write(root / "sub/__pycache__/b.cpython-311.pyc", "x")


def move_a_folder(root: Path) -> None:
    (root / "sub").rename(root / "other/sub")


def move_a_folder_and_make_it_anew(root: Path) -> None:
    (root / "sub").rename(root / "elsewhere")
    write(root / "sub/b.py", "b = 2  # of the new folder\n")
    write(root / "elsewhere/b.py", "b = 3  # of the moved folder\n")


def move_a_folder_out(root: Path) -> None:
    (root / "sub").rename(root.parent / "out")
    write(root.parent / "out/b.py", "nobody's business\n")


def move_a_folder_in(root: Path) -> None:
    write(root.parent / "coming/in/f.py", "f = 1\n")
    (root.parent / "coming").rename(root / "came")


def delete_a_folder(root: Path) -> None:
    shutil.rmtree(root / "sub")


def names_of_every_kind(root: Path) -> None:
    for name in (
        "with space.py",
        "new\nline.py",
        "*.py",
        "[ab].py",
        ":(top)x.py",
        "ü.py",
        '"quoted".py',
        "-r.py",
    ):
        write(root / "sub" / name, "x = 1\n")


@pytest.mark.parametrize(
    "operation",
    [
        save, save_atomically, save_as_vim_does, save_as_emacs_does, append_slowly, create, create_ignored,
        create_secret, delete, rename, rename_only_the_case, grow_too_large, become_a_link, become_a_folder,
        make_a_pipe, make_a_link_loop, a_folder_becomes_a_link, make_folders, run_python, move_a_folder,
        move_a_folder_and_make_it_anew, move_a_folder_out, move_a_folder_in, delete_a_folder, names_of_every_kind,
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_git", [True, False])
async def test_what_is_done_to_files_is_followed(tmp_path, operation, with_git):
    root = tmp_path / "root"
    write(tmp_path / "outside/b.py", "secret = 1\n")
    if with_git:
        repository(root, FILES)
    else:
        for path, text in FILES.items():
            write(root / path, text)
    async with mirror(root) as kept:
        assert kept.manifest == fresh(root)
        operation(root)
        write(root / "other/d.py", "d = 'the last change'\n")
        await until(lambda: kept.manifest == fresh(root), f"{kept.manifest} {fresh(root)}")
        for _ in range(2):  # and it stays so; what is watched anew is seen
            write(root / "other/d.py", f"d = '{os.urandom(8).hex()}'\n" * (1 + kept.follows))
            await until(lambda: kept.manifest == fresh(root))
        for path in ("fresh/deep/down/e.py", "sub/b.py", "other/sub/b.py", "came/in/f.py", "elsewhere/b.py"):
            if path in kept.manifest:
                write(root / path, "in_a_folder_that_is_watched = 1\n")
                await until(lambda: kept.manifest == fresh(root), path)
        assert kept.listings == 1, "all of it was listed for a handful of changes"
        assert not any("outside" in path for path in kept.manifest)


def ignore_more(root: Path) -> None:
    write(root / ".gitignore", "sub/\n")


def ignore_in_a_nested_file(root: Path) -> None:
    write(root / "sub/.gitignore", "*.py\n!b.py\n")


def ignore_for_foreword(root: Path) -> None:
    write(root / ".forewordignore", "sub/deep/\n")


def flood(root: Path) -> None:
    for number in range(200):
        write(root / f"flood/f{number}.py", "x = 1\n")
        write(root / f"flood{number}/f.py", "x = 1\n")


@pytest.mark.parametrize(
    "operation",
    [ignore_more, ignore_in_a_nested_file, ignore_for_foreword, flood],
    ids=lambda it: it.__name__,
)
@pytest.mark.parametrize("with_git", [True, False])
async def test_what_only_a_listing_can_tell_is_listed(tmp_path, operation, with_git):
    root = tmp_path / "root"
    if with_git:
        repository(root, FILES)
    else:
        for path, text in FILES.items():
            write(root / path, text)
    async with mirror(root) as kept:
        operation(root)
        await until(lambda: kept.manifest == fresh(root))
        assert kept.listings > 1


async def test_what_is_ignored_and_written_all_day_is_asked_about_once(tmp_path):
    root = repository(tmp_path / "root", FILES)
    async with mirror(root) as kept:
        asked = []
        listing = disk.follow

        def counting(*arguments):
            followed = listing(*arguments)
            asked.append(followed.ignored)
            return followed

        disk.follow = counting
        try:
            for number in range(10):
                write(root / "trace.log", "x\n" * number)
                await until(lambda: len(asked) > number)  # noqa: B023 - evaluated at once
        finally:
            disk.follow = listing
        assert [path for ignored in asked for path in ignored] == ["trace.log"]
        assert kept.listings == 1


# ---------------------------------------------------------------- git


async def test_a_commit_of_what_is_there_changes_nothing(tmp_path):
    root = repository(tmp_path / "root", FILES)
    async with mirror(root) as kept:
        write(root / "a.py", "a = 2\n")
        git(root, "commit", "-q", "-am", "second")
        git(root, "status")
        await until(lambda: kept.manifest == fresh(root) and kept.follows)
        assert kept.listings == 1


async def test_an_ignored_file_that_git_is_told_to_track_comes_and_goes(tmp_path):
    root = repository(tmp_path / "root", FILES)
    write(root / "kept.log", "x\n")
    async with mirror(root) as kept:
        assert "kept.log" not in kept.manifest
        git(root, "add", "-f", "kept.log")
        await until(lambda: "kept.log" in kept.manifest)
        git(root, "rm", "-q", "--cached", "kept.log")
        await until(lambda: "kept.log" not in kept.manifest)
        assert kept.listings == 1


async def test_a_file_in_an_ignored_folder_that_git_is_told_to_track_is_watched(tmp_path):
    root = repository(tmp_path / "root", FILES)
    write(root / "build/deep/kept.py", "x = 1\n")
    async with mirror(root) as kept:
        git(root, "add", "-f", "build/deep/kept.py")
        await until(lambda: "build/deep/kept.py" in kept.manifest)
        write(root / "build/deep/kept.py", "x = 'changed'\n")
        await until(lambda: kept.manifest == fresh(root))
        assert kept.listings == 1


async def test_a_folder_that_holds_nothing_but_ignored_files_is_watched(tmp_path):
    root = repository(tmp_path / "root", FILES)
    write(root / "logs/deep/old.log", "x\n")
    async with mirror(root) as kept:
        write(root / "logs/deep/readme.md", "not ignored\n")
        await until(lambda: "logs/deep/readme.md" in kept.manifest)
        assert kept.listings == 1


async def test_a_branch_switch_is_taken_as_one(tmp_path):
    root = repository(tmp_path / "root", {f"m{n}.py": f"main = {n}\n" for n in range(300)})
    git(root, "checkout", "-q", "-b", "other")
    for n in range(300):
        write(root / f"m{n}.py", f"other_branch = {n}\n")
    for n in range(20):
        write(root / f"only_here/n{n}.py", "x = 1\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "second")
    git(root, "checkout", "-q", "main")
    async with mirror(root) as kept:
        for branch in ("other", "main", "other"):
            before = kept.follows + kept.listings
            git(root, "checkout", "-q", branch)
            await until(lambda: kept.manifest == fresh(root))
            await asyncio.sleep(0.2)  # nothing more is to come
            assert kept.follows + kept.listings - before <= 3


async def test_a_lock_that_git_left_behind_holds_up_nothing(tmp_path):
    root = repository(tmp_path / "root", FILES)
    async with mirror(root) as kept:
        write(root / ".git/index.lock", "")
        write(root / "a.py", "a = 'while git is in the middle of something'\n")
        await until(lambda: kept.manifest == fresh(root))


async def test_the_rules_for_all_repositories_of_this_user(tmp_path):
    root = repository(tmp_path / "root", FILES | {"local.py": "x = 1\n"})
    git(root, "rm", "-q", "--cached", "local.py")
    rules = user_excludes()
    assert rules == tmp_path / "config/git/ignore"
    write(rules, "local.py\n")
    assert "local.py" not in fresh(root)
    shutil.rmtree(root / ".git")
    listing = list_files(root)
    assert (listing.how, "local.py" in {file.path for file in listing.files}) == ("walk", False)


async def test_submodules_are_part_of_a_root(tmp_path):
    inner = repository(tmp_path / "inner", {"i.py": "i = 1\n", ".gitignore": "*.log\n"})
    root = repository(tmp_path / "root", FILES)
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "modules/inner")
    git(root, "commit", "-q", "-m", "submodule")
    async with mirror(root) as kept:
        assert kept.manifest == fresh(root)
        assert {"modules/inner/i.py", ".gitmodules", "a.py"} <= kept.manifest.keys()
        write(root / "modules/inner/i.py", "i = 2  # changed\n")
        await until(lambda: kept.manifest == fresh(root))
        write(root / "modules/inner/new/n.py", "n = 1\n")
        write(root / "modules/inner/n.log", "n = 1\n")
        await until(lambda: "modules/inner/new/n.py" in kept.manifest)
        await until(lambda: kept.manifest == fresh(root))
        assert kept.listings == 1
        git(root / "modules/inner", "checkout", "-q", "-f", "HEAD")
        git(root / "modules/inner", "clean", "-q", "-fd")
        await until(lambda: kept.manifest == fresh(root))


async def test_work_trees_and_clones_inside_are_not_part_of_a_root(tmp_path):
    root = repository(tmp_path / "root", FILES)
    git(root, "worktree", "add", "-q", str(root / "trees/feature"))
    repository(root / "vendored", {"v.py": "v = 1\n"})
    async with mirror(root) as kept:
        assert kept.manifest == fresh(root) and not any(
            p.startswith(("trees", "vendored")) for p in kept.manifest
        )
        assert "another git repository" in kept.reasons["vendored"]
        write(root / "trees/feature/a.py", "a = 5  # of the other tree\n")
        write(root / "a.py", "a = 5  # of this tree\n")
        await until(lambda: kept.manifest == fresh(root))


# ---------------------------------------------------------------- what no event tells


async def test_a_root_that_vanishes_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "GONE_PULSE_S", 0.05)
    root = repository(tmp_path / "root", FILES)
    async with mirror(root) as kept:
        root.rename(tmp_path / "away")
        await asyncio.sleep(0.3)
        repository(root, {"another.py": "x = 1\n"})
        await until(lambda: kept.manifest == {"another.py": 6})
        write(root / "another.py", "watched = True\n")
        await until(lambda: kept.manifest == fresh(root))
        shutil.rmtree(root)
        await asyncio.sleep(0.3)
        (tmp_path / "away").rename(root)
        await until(lambda: kept.manifest == fresh(root))
        write(root / "sub/deep/c.py", "watched = 'again'\n")
        await until(lambda: kept.manifest == fresh(root))


async def test_a_folder_above_that_is_moved_makes_no_event_and_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "PULSE_S", 0.05)
    monkeypatch.setattr(disk, "GONE_PULSE_S", 0.05)
    root = repository(tmp_path / "above/root", FILES)
    async with mirror(root) as kept:
        (tmp_path / "above").rename(tmp_path / "moved")
        repository(root, {"another.py": "x = 1\n"})
        await until(lambda: kept.manifest == {"another.py": 6})
        write(root / "another.py", "watched = True\n")
        await until(lambda: kept.manifest == fresh(root))


@pytest.fixture
def mounted(tmp_path):
    """A folder on a file system of its own, and what takes that away and puts another one there."""
    root = tmp_path / "mounted"
    root.mkdir()

    def mount() -> bool:
        done = subprocess.run(["mount", "-t", "tmpfs", "none", str(root)], check=False, capture_output=True)
        return done.returncode == 0

    if os.getuid() != 0 or shutil.which("mount") is None or not mount():
        pytest.skip("only root may mount, and not everywhere")

    def unmount() -> bool:
        return subprocess.run(["umount", str(root)], check=False, capture_output=True).returncode == 0

    yield root, mount, unmount
    while unmount():
        pass


async def test_a_disk_that_is_taken_out_and_put_in_again(mounted, monkeypatch):
    monkeypatch.setattr(disk, "PULSE_S", 0.05)
    root, mount, unmount = mounted
    write(root / "a.py", "a = 1\n")
    async with mirror(root) as kept:
        assert kept.manifest == {"a.py": 6}
        assert unmount()
        await until(lambda: kept.manifest == {})
        assert mount()
        write(root / "b.py", "b = 1\n")
        await until(lambda: kept.manifest == {"b.py": 6})
        write(root / "b.py", "b = 1  # is watched\n")
        await until(lambda: kept.manifest == fresh(root))


async def test_after_sleep_everything_is_compared(tmp_path, monkeypatch):
    """A test cannot suspend the machine: the distance of the two clocks is what it would be after that."""
    monkeypatch.setattr(disk, "PULSE_S", 0.05)
    root = repository(tmp_path / "root", FILES)
    async with mirror(root) as kept:
        await asyncio.sleep(0.3)
        assert kept.listings == 1
        real = heartbeat._drift_s
        monkeypatch.setattr(heartbeat, "_drift_s", lambda: real() + 3600)
        await until(lambda: kept.listings == 2)
        await asyncio.sleep(0.3)
        assert kept.listings == 2


async def test_changed_rules_outside_of_the_root_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "PULSE_S", 0.05)
    root = repository(tmp_path / "root", FILES)
    write(root / "notes.txt", "untracked\n")
    async with mirror(root) as kept:
        assert "notes.txt" in kept.manifest
        write(tmp_path / "config/git/ignore", "notes.txt\n")
        await until(lambda: "notes.txt" not in kept.manifest)


async def test_a_root_within_a_work_tree_follows_the_git_around_it(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "PULSE_S", 0.05)
    top = repository(tmp_path / "top", {f"part/{path}": text for path, text in FILES.items()})
    root = top / "part"
    write(root / "kept.log", "x\n")
    async with mirror(root) as kept:
        assert kept.manifest == fresh(root) and "kept.log" not in kept.manifest
        git(top, "add", "-f", "part/kept.log")
        await until(lambda: "kept.log" in kept.manifest)
        assert kept.listings == 1
        write(root / "notes.txt", "untracked\n")
        await until(lambda: "notes.txt" in kept.manifest)
        write(top / ".gitignore", "notes.txt\n")
        await until(lambda: "notes.txt" not in kept.manifest)


MOUNTS = """22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
31 27 0:40 / /home rw shared:1 master:2 - nfs4 server:/home rw,vers=4.2
32 31 0:41 / /home/ada/local rw - btrfs /dev/vdb rw
33 27 0:42 / /mnt/with\\040space rw - fuse.sshfs ada@host:/ rw
34 27 0:43 / /mnt/c rw - 9p C:\\134 rw,aname=drvfs
35 27 0:44 / /srv rw - cifs //server/share rw
36 27 0:45 / /srv rw - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/work", ""),
        ("/home", "nfs4"),
        ("/home/ada/project", "nfs4"),
        ("/home/ada/local/project", ""),
        ("/homestead", ""),
        ("/mnt/with space/project", "fuse.sshfs"),
        ("/mnt/c/project", "9p"),
        ("/srv/project", ""),  # mounted over
    ],
)
def test_where_other_machines_may_write(monkeypatch, tmp_path, folder, kind):
    write(tmp_path / "mountinfo", MOUNTS)
    monkeypatch.setattr(mounts, "MOUNTINFO", tmp_path / "mountinfo")
    assert mounts.remote_type(Path(folder)) == kind


async def test_a_network_mount_is_looked_at_again_and_again(monkeypatch, tmp_path):
    """There is no server here to mount from: the system's table of mounts says so, the watches see nothing."""
    write(tmp_path / "mountinfo", f"27 1 254:0 / {tmp_path / 'root'} rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(mounts, "MOUNTINFO", tmp_path / "mountinfo")
    monkeypatch.setattr(disk, "POLL_S", 0.1)
    root = repository(tmp_path / "root", FILES)
    async with mirror(root) as kept:
        assert kept.disk.watching == "polling" and "on nfs4" in kept.disk.note
        kept.disk._watch.close()  # as if another machine wrote
        write(root / "sub/deep/c.py", "c = 'from elsewhere'\n")
        await until(lambda: kept.manifest == fresh(root))


async def test_where_nobody_listens_to_events_any_longer_files_are_looked_at(monkeypatch, tmp_path):
    from watchdog.observers.inotify_c import InotifyFD

    monkeypatch.setattr(disk, "PULSE_S", 0.05)
    monkeypatch.setattr(disk, "POLL_S", 0.1)
    root = repository(tmp_path / "root", FILES)
    async with mirror(root) as kept:
        assert kept.disk.watching == "events"
        queue = InotifyFD.get_instance()
        InotifyFD._instance = None  # whoever comes after this test gets another
        queue.stop()
        await until(lambda: kept.disk.watching == "polling")
        assert "restart" in kept.disk.note
        write(root / "a.py", "a = 'unheard of'\n")
        await until(lambda: kept.manifest == fresh(root))


def test_of_nested_folders_only_the_topmost_count():
    assert topmost({"b/c", "a", "a/b", "a b", "a/b/c", "b/c/d"}) == ["a", "a b", "b/c"]
