"""Blocks name files that were sent and new ones below the root; every other path is refused with its reason."""

from __future__ import annotations

import os
import subprocess

import pytest

from engine.editing.blocks import Create, Delete, Rename, Replace, Search
from lsp.edits.paths import Guard, why_no_path

SENT = (
    "src/app.py",
    "linked.py",
    "frozen.py",
    ".env",
    "built/out.py",
    "docs",
    "behind/x.py",
    "never-saved.py",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paths")
    root = folder / "root"
    for path, text in {
        "src/app.py": "x = 1\n",
        "src/other.py": "x = 1\n",
        "frozen.py": "x = 1\n",
        ".env": "KEY=1\n",
        "built/out.py": "x = 1\n",
        ".gitignore": "built/\n*.log\n",
        ".forewordignore": "private/\n",
        "docs/index.md": "# x\n",
        "../outside/x.py": "x = 1\n",
    }.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "linked.py").symlink_to("../outside/x.py")
    (root / "behind").symlink_to("../outside")
    (root / "frozen.py").chmod(0o444)
    subprocess.run(["git", "init", "-q", root], check=True)
    return root


GOOD = ["src/app.py", "never-saved.py"]
REFUSED = {
    "../outside/x.py": "leads out of its folder",
    "src/../../outside/x.py": "leads out of its folder",
    "/etc/passwd": "not below the root",
    "C:/Windows/win.ini": "not below the root",
    "\\\\host\\share\\x": "not below the root",
    "~/.ssh/id_rsa": "not below the root",
    "src\\app.py": "has a backslash",
    "src//app.py": "leads out of its folder or nowhere",
    "": "is no path",
    "src/app.py\0": "cannot be seen",
    "src/\u202eapp.py": "cannot be seen",
    "src/app.py.": "ends in a blank or a dot",
    "src /app.py": "ends in a blank or a dot",
    ".git/hooks/pre-commit": "is git's own",
    "src/.GIT/config": "is git's own",
    "GIT~1/config": "is git's own",
    "\uff0egit/config": "is git's own",
    "x" * 300: "more than 255 bytes",
    "a/" * 800 + "a": "longer than",
    "src/other.py": "not among the files that were sent",
    "SRC/App.py": "is written src/app.py",
    "linked.py": "is a symbolic link",
    "behind/x.py": "behind a symbolic link",
    "frozen.py": "is read-only",
    ".env": "environment file",
    "built/out.py": "is ignored by git",
    "docs": "is no regular file",
}


@pytest.mark.parametrize("path", GOOD)
def test_files_that_were_sent_may_be_changed(root, path):
    assert Guard(root, SENT).why_not_there(path) is None


@pytest.mark.parametrize(("path", "reason"), REFUSED.items(), ids=[repr(path)[:40] for path in REFUSED])
def test_paths_that_may_not_be_changed(root, path, reason):
    guard = Guard(root, SENT)
    for block in (Replace(path, Search("x = 1\n"), ""), Delete(path), Rename(path, "new.py")):
        assert reason in (guard.why_not(block) or "")


NEW_GOOD = ["src/new.py", "a/b/c.py", "häuser/größe.py", "src/auxiliary.py", "console.py"]
NEW_REFUSED = {
    "../x.py": "leads out of its folder",
    "src/CON": "name of a device",
    "nul.txt": "name of a device",
    "com1.tar.gz": "name of a device",
    "a/aux/b.py": "name of a device",
    "src/a:b.py": "names on some systems cannot have",
    "src/app.py": "is there already",
    "src/APP.py": "differs from app.py in nothing but case",
    "SRC/new.py": "differs from src in nothing but case",
    "behind/new.py": "behind a symbolic link",
    "linked.py": "is there already",
    "src/app.py/x.py": "which is no folder",
    "built/new.py": "is ignored by git",
    "a/b.log": "is ignored by git",
    "private/x.py": "named in .forewordignore",
    "config/.env.local": "environment file",
    "keys/server.pem": "key or credentials file",
    "picture.png": "binary",
    "node_modules/x/index.js": "dependencies",
    ".git/config": "is git's own",
}


@pytest.mark.parametrize("path", NEW_GOOD)
def test_files_that_may_be_made(root, path):
    guard = Guard(root, SENT)
    assert guard.why_not(Create(path, "")) is None
    assert guard.why_not(Rename("src/app.py", path)) is None


@pytest.mark.parametrize(("path", "reason"), NEW_REFUSED.items(), ids=list(NEW_REFUSED))
def test_files_that_may_not_be_made(root, path, reason):
    guard = Guard(root, SENT)
    assert reason in (guard.why_not(Create(path, "")) or "")
    assert reason in (guard.why_not(Rename("src/app.py", path)) or "")


def test_only_planned_files_are_made_where_there_is_a_plan(root):
    guard = Guard(root, SENT, planned=("src/new.py",))
    assert guard.why_not(Create("src/new.py", "")) is None
    assert guard.why_not(Create("src/newer.py", "")) == "is not among the files that were planned"


def test_without_git_its_files_of_rules_count_all_the_same(tmp_path):
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\nbuilt/\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").write_text("x.py\n")
    guard = Guard(tmp_path, ())
    told = {path: guard.why_not_new(path) for path in ("a.log", "keep.log", "built/x.py", "sub/x.py", "x.py")}
    assert {path for path, why in told.items() if why} == {"a.log", "built/x.py", "sub/x.py"}


@pytest.mark.skipif(os.geteuid() == 0, reason="whoever is root may write everywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "fixed").mkdir(mode=0o555)
    assert "is read-only" in (Guard(tmp_path, ()).why_not_new("fixed/x.py") or "")


def test_a_path_that_is_one():
    assert why_no_path("src/app.py") is None
