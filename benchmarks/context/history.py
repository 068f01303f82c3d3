"""Commits of a git repository as what they change, read in the order of its main line, and written again elsewhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from benchmarks.index.repositories import GIT_TIMEOUT_S, has_git
from benchmarks.targets import TargetError

AUTHOR = "Benchmark <benchmark@example.org>"
BRANCH = "main"
NO_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}


class Change(msgspec.Struct, frozen=True):
    """One file before and after a commit; None where it is not there."""

    path: str
    old: bytes | None
    new: bytes | None


class Commit(msgspec.Struct, frozen=True):
    message: str
    when_s: int
    """Unix time of its committer."""
    changes: tuple[Change, ...]
    sha: str = ""
    """Empty where it is not in a repository yet."""
    parent: str = ""
    """Empty for the first."""


def git(repository: Path, *arguments: str, given: bytes = b"") -> bytes:
    """What one git command prints; it reads nobody's settings. Raises TargetError."""
    try:
        done = subprocess.run(
            ["git", "-c", "gc.auto=0", "-c", "core.autocrlf=false", *arguments],
            cwd=repository,
            env={**os.environ, **NO_SETTINGS},
            input=given,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise TargetError(f"git {arguments[0]} in {repository}: {failed}") from failed
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise TargetError(f"git {arguments[0]} in {repository} ended with {done.returncode}: {said}")
    return done.stdout


def write(commits: Iterable[Commit], folder: Path) -> Path:
    """A repository with these commits, one after the other; the same commits give the same ids. Raises TargetError."""
    if not has_git():
        raise TargetError("git is not installed, and a history cannot be replayed without it")
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch", BRANCH)
    stream = bytearray()
    for commit in commits:
        stream += f"commit refs/heads/{BRANCH}\ncommitter {AUTHOR} {commit.when_s} +0000\n".encode()
        stream += _data(commit.message.encode())
        for change in commit.changes:
            if change.new is None:
                stream += f"D {change.path}\n".encode()
            else:
                stream += f"M 100644 inline {change.path}\n".encode() + _data(change.new)
    git(folder, "fast-import", "--quiet", given=bytes(stream))
    git(folder, "checkout", "--quiet", BRANCH)
    return folder


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def main_line(repository: Path) -> list[str]:
    """Ids of the commits of the main line, oldest first. Raises TargetError."""
    return git(repository, "log", "--first-parent", "--reverse", "--format=%H").decode().split()


def read(repository: Path, sha: str) -> Commit:
    """What a commit changes against its first parent; links and submodules are left out. Raises TargetError."""
    when, parent, message = git(repository, "log", "-1", "--format=%ct%n%P%n%s", sha).decode().split("\n", 2)
    parent = parent.partition(" ")[0]
    compared = [parent, sha] if parent else ["--root", sha]
    listed = git(repository, "diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", *compared)
    fields = listed.decode(errors="surrogateescape").split("\0")[:-1]
    found: list[Change] = []
    for meta, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, old, new, _ = meta.lstrip(":").split(" ")
        if {old_mode, new_mode} & {"120000", "160000"}:
            continue
        found.append(Change(path, _blob(repository, old), _blob(repository, new)))
    return Commit(message.strip(), int(when), tuple(found), sha, parent)


def _blob(repository: Path, blob: str) -> bytes | None:
    return None if not blob.strip("0") else git(repository, "cat-file", "blob", blob)


def past_of(repository: Path, sha: str, folder: Path) -> Path:
    """A repository in `folder` that holds `sha` and what came before it, and nothing else. Raises TargetError."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch", BRANCH)
    git(
        folder,
        *("-c", "uploadpack.allowAnySHA1InWant=true", "-c", "protocol.file.allow=always"),
        *(
            "fetch",
            "--quiet",
            "--no-tags",
            "--upload-pack",
            "git -c uploadpack.allowAnySHA1InWant=true upload-pack",
        ),
        *(str(repository.resolve()), sha),
    )
    git(folder, "reset", "--quiet", "--hard", sha)
    return folder


def commit_all(folder: Path, commit: Commit) -> None:
    """Everything in `folder` as its next commit. Raises TargetError."""
    name, _, mail = AUTHOR.rstrip(">").partition(" <")
    who = ["-c", f"user.name={name}", "-c", f"user.email={mail}"]
    git(folder, "add", "--all", "--force")
    git(
        folder,
        *who,
        *("commit", "--quiet", "--no-verify", "--allow-empty", "--allow-empty-message"),
        *("--date", f"{commit.when_s} +0000", "--message", commit.message),
    )


def tree(folder: Path, paths: Sequence[str] = ()) -> dict[str, bytes]:
    """The files below `folder` that are no repository's own."""
    names = paths or [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    ]
    return {name: (folder / name).read_bytes() for name in names}
