"""What a checkout has that the default branch of its repository does not: on its branch, staged or just written."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from indexer.files import git

_DEFAULT_BRANCHES = (
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
    "refs/heads/main",
    "refs/heads/master",
    "refs/heads/trunk",
    "refs/heads/develop",
)
"""The first of these that exists is what others work from."""

ASKING_S = 10.0
"""The common ancestor of two branches of 200,000 commits is found in a second or two."""

MOST_COMPARED = 2_000
"""Files whose times are not those that git noted and that are therefore read. In a folder that was copied these are
all; past this number they are taken for unchanged."""

MOST_COMPARED_BYTES = 64 * 1024 * 1024
"""Of such files, in a quarter of a second."""

MOST_UNTRACKED = 500
"""More new files than this are no person's writing, but something that was unpacked or generated."""

_STAGED = re.compile(
    rb"(?P<mode>\d{6}) (?P<id>[0-9a-f]+) (?P<stage>\d)\t(?P<path>[^\0]*)\0"
    rb"  ctime: \d+:\d+\n  mtime: (?P<s>\d+):(?P<ns>\d+)\n  dev: \d+\tino: \d+\n  uid: \d+\tgid: \d+\n"
    rb"  size: (?P<size>\d+)\t[^\n]*\n"
)
"""One entry of git's index, and when and how large the file was when git looked at it last."""


class Branch(msgspec.Struct, frozen=True):
    merge_base: str = ""
    """The last commit that this checkout shares with the default branch."""
    changed: frozenset[str] = frozenset()
    """Paths whose content is not that of the merge-base, deleted ones included."""
    written_s: dict[str, float] = {}
    """Path → Unix time at which a changed file was written last."""


def read_branch(folder: Path, head: str) -> Branch:
    """Blocks. Git is asked for names and ids alone; files are compared here, lest a filter of the repository runs."""
    found: set[str] = set()
    try:
        merge_base = _merge_base(folder, head)
        listed = git.output(
            folder,
            *("diff-index", "--cached", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--relative"),
            *(merge_base, "--"),
        )
        found.update(map(os.fsdecode, filter(None, listed.split(b"\0"))))
        found.update(_written(folder))
        new = git.output(folder, "ls-files", "-z", "--others", "--exclude-standard").split(b"\0")
        if len(new) <= MOST_UNTRACKED:
            found.update(map(os.fsdecode, filter(None, new)))
    except git.GitRefusal:
        return Branch(changed=frozenset(found))
    return Branch(merge_base, frozenset(found), dict(_times(folder, found)))


def _merge_base(folder: Path, head: str) -> str:
    """Of HEAD and the default branch; HEAD itself where nobody else's branch is known or nothing is shared."""
    listed = git.output(folder, "for-each-ref", "--format=%(refname)", *_DEFAULT_BRANCHES)
    there = listed.decode("utf-8", "replace").split("\n")
    for branch in _DEFAULT_BRANCHES:
        if branch in there:
            shared = git.told_within(folder, ASKING_S, "merge-base", head, branch).decode("ascii").strip()
            return shared or head
    return head


def _written(folder: Path) -> Iterator[str]:
    """Tracked files that are not as git's index has them."""
    files = left = 0
    staged = git.output(folder, "ls-files", "-z", "--stage", "--debug")
    for entry in _STAGED.finditer(staged):
        if entry["mode"] == git.GITLINK.encode() or entry["stage"] != b"0":
            continue
        path = folder / os.fsdecode(entry["path"])
        try:
            now = path.lstat()
        except OSError:
            yield os.fsdecode(entry["path"])  # deleted, or not to be read
            continue
        noted = (int(entry["s"]) * 1_000_000_000 + int(entry["ns"]), int(entry["size"]))
        if (now.st_mtime_ns, now.st_size & 0xFFFFFFFF) == noted or not stat.S_ISREG(now.st_mode):
            continue
        files, left = files + 1, left + now.st_size
        if files > MOST_COMPARED or left > MOST_COMPARED_BYTES:
            return
        if _blob_id(path, len(entry["id"])) != entry["id"].decode("ascii"):
            yield os.fsdecode(entry["path"])


def _times(folder: Path, paths: Iterable[str]) -> Iterator[tuple[str, float]]:
    for path in paths:
        try:
            yield path, (folder / path).lstat().st_mtime
        except OSError:
            continue  # deleted


def _blob_id(path: Path, digits: int) -> str:
    """As git names a content that no filter applies to."""
    try:
        data = path.read_bytes()
    except OSError:
        return ""
    named = b"blob %d\0%b" % (len(data), data)
    if digits == hashlib.sha256().digest_size * 2:
        return hashlib.sha256(named).hexdigest()
    return hashlib.sha1(named, usedforsecurity=False).hexdigest()
