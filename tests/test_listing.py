"""Listing: with git, without, and where git refuses."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from indexer.files.exclusions import Exclusions
from indexer.files.folders import folders_to_watch, repository_name
from indexer.files.listing import list_files

ANOTHER_USER = 12345


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def paths(root: Path) -> list[str]:
    return [file.path for file in list_files(root).files]


@pytest.fixture(autouse=True)
def own_git_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings of whoever runs the tests, nor a repository around the temporary folder."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


IGNORING = {
    ".gitignore": "*.log\n/build/\n!keep.log\n",
    "a.py": "x = 1\n",
    "a.log": "",
    "keep.log": "k\n",
    "build/out.py": "",
    "src/build/in.py": "y\n",
    "src/.gitignore": "local.*\n!a.log\n",
    "src/local.py": "",
    "src/a.log": "z\n",
    "src/deep/local.txt": "",
    "name with spaces/ü.py": "u\n",
}
LISTED = [".gitignore", "a.py", "keep.log", "name with spaces/ü.py"]
LISTED += ["src/.gitignore", "src/a.log", "src/build/in.py"]


def test_git_and_walk_agree(root: Path) -> None:
    write(root, IGNORING)
    assert paths(root) == LISTED
    assert list_files(root).how == "walk"
    git(root, "init")
    assert paths(root) == LISTED
    listing = list_files(root)
    assert (listing.how, listing.note) == ("git", "")


def test_tracked_files_that_are_gone_from_the_disk(root: Path) -> None:
    write(root, {"same.py": "s\n", "gone.py": "g\n", "new.py": "n\n"})
    git(root, "init")
    git(root, "add", "same.py", "gone.py")
    (root / "gone.py").unlink()
    assert paths(root) == ["new.py", "same.py"]


def test_a_folder_below_the_repository(root: Path) -> None:
    write(root, {"a.py": "a", "sub/b.py": "b", "sub/c/d.py": "d", "ignored/e.py": "e"})
    write(root, {".gitignore": "ignored/\n"})
    git(root, "init")
    git(root, "add", ".")
    assert paths(root / "sub") == ["b.py", "c/d.py"]
    ignored = list_files(root / "ignored")
    assert ([file.path for file in ignored.files], ignored.how) == (["e.py"], "walk")
    assert "ignores it" in ignored.note


def test_other_repositories_inside(root: Path) -> None:
    write(root, {"a.py": "a", "inner/b.py": "b"})
    git(root, "init")
    git(root / "inner", "init")
    listing = list_files(root)
    assert [file.path for file in listing.files] == ["a.py"]
    assert [path for path, reason in listing.skipped if "another git repository" in reason] == ["inner"]


@pytest.mark.parametrize("with_git", [True, False])
def test_links_are_never_followed(root: Path, with_git: bool, tmp_path: Path) -> None:
    write(root, {"a.py": "a", "d/b.py": "b"})
    write(tmp_path / "outside", {"secret.py": "s"})
    (root / "loop").symlink_to(root)
    (root / "d" / "up").symlink_to("..")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "file.py").symlink_to("a.py")
    (root / "dangling").symlink_to("nowhere")
    if with_git:
        git(root, "init")
        git(root, "add", ".")
    listing = list_files(root)
    assert [file.path for file in listing.files] == ["a.py", "d/b.py"]
    links = {path for path, reason in listing.skipped if reason == "symbolic link"}
    assert links == {"loop", "d/up", "out", "file.py", "dangling"}


def test_a_tracked_folder_that_became_a_link(root: Path, tmp_path: Path) -> None:
    write(root, {"d/b.py": "b"})
    write(tmp_path / "outside", {"b.py": "secret"})
    git(root, "init")
    git(root, "add", ".")
    shutil.rmtree(root / "d")
    (root / "d").symlink_to(tmp_path / "outside")
    listing = list_files(root)
    assert listing.files == []
    assert ("d/b.py", "behind a symbolic link") in listing.skipped


@pytest.mark.parametrize("with_git", [True, False])
def test_exclusions_give_their_reasons(root: Path, with_git: bool) -> None:
    write(
        root,
        {".env": "A=1", "k.pem": "", "fix/k.pem": "", "big.py": "x" * 1_000_001, "doc/x.md": "", "a.py": ""},
    )
    write(root, {".forewordignore": "doc/\n!fix/k.pem\n", "node_modules/m.js": ""})
    if with_git:
        git(root, "init")
    os.mkfifo(root / "pipe")
    listing = list_files(root)
    assert [file.path for file in listing.files] == [".forewordignore", "a.py", "fix/k.pem"]
    assert [file.path for file in listing.files if file.reincluded] == ["fix/k.pem"]
    reasons = dict(listing.skipped)
    assert reasons["big.py"] == "larger than 1 MB"
    assert "secrets" in reasons[".env"] and "key" in reasons["k.pem"]
    if not with_git:  # git itself never names a pipe
        assert reasons["pipe"] == "not a regular file"


def test_names_that_are_not_utf8(root: Path) -> None:
    (Path(os.fsdecode(os.fsencode(root) + b"/\xff.py"))).write_text("x")
    listing = list_files(root)
    assert listing.files == []
    assert listing.skipped == [("\ufffd.py", "its name is not UTF-8")]


def test_no_git_on_the_machine(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, IGNORING)
    git(root, "init")
    monkeypatch.setenv("PATH", "/nonexistent")
    listing = list_files(root)
    assert [file.path for file in listing.files] == LISTED
    assert listing.how == "walk" and "git is not installed" in listing.note


def test_git_refuses_a_folder_of_another_user(root: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to another user")
    write(root, IGNORING)
    git(root, "init")
    for path in [root, *root.rglob("*")]:
        os.chown(path, ANOTHER_USER, ANOTHER_USER)
    listing = list_files(root)
    assert [file.path for file in listing.files] == LISTED
    assert listing.how == "walk"
    assert "another user" in listing.note and "safe.directory" in listing.note


def test_a_broken_repository(root: Path) -> None:
    write(root, IGNORING)
    git(root, "init")
    (root / ".git" / "config").write_text("[broken\n")
    listing = list_files(root)
    assert [file.path for file in listing.files] == LISTED
    assert "git gave no list" in listing.note


@pytest.fixture
def trap(root: Path) -> Path:
    """A program that leaves the file `ran` in the root, which is a repository."""
    write(root, {"a.py": "a"})
    git(root, "init")
    git(root, "add", ".")
    program = root / "program.sh"
    program.write_text(f"#!/bin/sh\ntouch '{root}/ran'\n")
    program.chmod(0o755)
    return program


def ask_git_everything(root: Path) -> list[str]:
    found = paths(root)
    folders_to_watch(root, Exclusions())
    repository_name(root)
    return found


@pytest.mark.parametrize("attributes", [".gitattributes", ".git/info/attributes", "attr.tree", "hidden"])
def test_the_workspace_cannot_make_git_run_a_filter(root: Path, trap: Path, attributes: str) -> None:
    write(root, {".gitattributes" if "/" not in attributes else attributes: "*.py filter=evil\n"})
    if attributes == "hidden":  # an attributes file that is ignored itself
        write(root, {".git/info/exclude": ".gitattributes\n"})
    if attributes == "attr.tree":
        git(root, "add", ".gitattributes")
        git(root, "commit", "-m", "attributes", "--", ".gitattributes")
        (root / ".gitattributes").unlink()
        git(root, "config", "attr.tree", "HEAD")
    for name in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "core.fsmonitor"):
        git(root, "config", name, str(trap))
    os.utime(root / "a.py")
    assert "a.py" in ask_git_everything(root)
    assert not (root / "ran").exists()


def test_the_workspace_cannot_make_git_fetch_what_a_partial_clone_lacks(root: Path, trap: Path) -> None:
    write(root, {".gitignore": "*.log\n"})
    git(root, "add", ".gitignore")
    git(root, "update-index", "--skip-worktree", ".gitignore")  # so git reads it from its objects …
    blob = subprocess.run(
        ["git", "rev-parse", ":.gitignore"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()
    (root / ".gitignore").unlink()
    (root / f".git/objects/{blob[:2]}/{blob[2:]}").unlink()  # … where it is not
    for name, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::{trap}",
        "protocol.ext.allow": "always",
    }.items():
        git(root, "config", name, value)
    assert "a.py" in ask_git_everything(root)
    assert not (root / "ran").exists()


@pytest.mark.parametrize("with_git", [True, False])
def test_unreadable_folders_have_a_reason(root: Path, with_git: bool) -> None:
    if os.getuid() == 0:
        pytest.skip("root reads everything")
    write(root, {"a.py": "", "closed/b.py": ""})
    if with_git:
        git(root, "init")
    (root / "closed").chmod(0)
    try:
        listing = list_files(root)
    finally:
        (root / "closed").chmod(0o700)
    assert [file.path for file in listing.files] == ["a.py"]
    assert listing.skipped == [("closed", "unreadable: permission denied")]


def test_a_root_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list_files(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        list_files(tmp_path / "file")
