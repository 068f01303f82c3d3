"""Release histories in eight languages: two packages of one project, cut into changes of what belongs together."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import msgspec

from benchmarks.archives import HTTPX, Archive, fetch
from benchmarks.context.history import Commit
from benchmarks.context.release_history import DAY_S, commits
from benchmarks.context.sources import AJV, COG
from benchmarks.edit.hunks import FilePair
from indexer.parsing.errors import error_lines

LANGUAGES = ("python", "javascript", "typescript", "go", "rust", "java", "c", "cpp")


class History(msgspec.Struct, frozen=True):
    """Two releases of one project, the earlier first, and which of their files count."""

    language: str
    endings: tuple[str, ...]
    releases: tuple[Archive, Archive]


_LIB = ("lib",)

HISTORIES: tuple[History, ...] = (
    History(
        "python",
        (".py",),
        (
            Archive("httpx", "0.27.2", "f7c2be1d2f3c3c3160d441802406b206c2b76f5947b11115e6df10c6c65e66c2"),
            HTTPX,
        ),
    ),
    History(
        "javascript",
        (".js",),
        (
            Archive(
                "eslint",
                "8.40.0",
                "842ea9b31d7667ccb97f3a6a69ad7c957c3a5bc1c344c7bde2727fc7ab12a498",
                "npm",
                ("lib",),
            ),
            Archive(
                "eslint",
                "8.57.1",
                "d1b7839d38cd5738b2242eab4e00771c212e71cc2580468b97934f0fc2f2de3b",
                "npm",
                ("lib",),
            ),
        ),
    ),
    History(
        "typescript",
        (".ts",),
        (
            Archive(
                "ajv",
                "8.11.0",
                "d2a0bf8207c77695f22105d09379583f21840eff6d62d845edc7fda2aecc8fa2",
                "npm",
                AJV.kept,
            ),
            AJV,
        ),
    ),
    History(
        "go",
        (".go",),
        (Archive("cog", "0.13.7", "319b68560a635e08095930d8024ac612366180ec9d3c1993a6591eac574408bc"), COG),
    ),
    History(
        "rust",
        (".rs",),
        (
            Archive(
                "cryptography", "41.0.7", "13f93ce9bea8016c253b34afc6bd6a75993e5c40672ed5405a9c832f0d4a00bc"
            ),
            Archive(
                "cryptography", "42.0.8", "8d09d05439ce7baa8e9e95b07ec5b6c886f548deb7e0f69ef25f64b3bce842f2"
            ),
        ),
    ),
    History(
        "java",
        (".java",),
        (
            Archive(
                "cordova-android",
                "11.0.0",
                "4387b620887f8909478f82f6eb3ddeae6e39cee479e903db4f1352cbcaf0952d",
                "npm",
            ),
            Archive(
                "cordova-android",
                "13.0.0",
                "0f5f6800ea1b174763a737459754a954b9d4bc9615c6ac56450d6c3f8ad64d3d",
                "npm",
            ),
        ),
    ),
    History(
        "c",
        (".c", ".h"),
        (
            Archive("psutil", "5.9.8", "6be126e3225486dff286a8fb9a06246a5253f4c7c53b475ea5f5ac934e64194c"),
            Archive("psutil", "7.0.0", "7be9c3eba38beccb6495ea33afd982a44074b78f28c434a1f51cc07fd315c456"),
        ),
    ),
    History(
        "cpp",
        (".h", ".cpp"),
        (
            Archive("pybind11", "2.11.2", "be41b506b5da9f432122af7b5b5b2d12c8b72d97576ca85de364789f4ddac352"),
            Archive("pybind11", "2.13.6", "ba6af10348c12b24e92fa086b39cfba0eff619b61ac77c406167d813b096d39a"),
        ),
    ),
)


class TrueEdit(msgspec.Struct, frozen=True):
    """What one step of a history changes in files of one language."""

    language: str
    name: str
    pairs: tuple[FilePair, ...]


def edits(history: History, most: int) -> list[TrueEdit]:
    """At most so many steps, spread evenly over the history; none that its cut leaves with an error which neither
    release has. Raises ArchiveError."""
    trees = [_tree(archive, history.endings) for archive in history.releases]
    named = [
        (each.version, number * DAY_S, tree)
        for number, (each, tree) in enumerate(zip(history.releases, trees, strict=True))
    ]
    found = [
        edit
        for commit in list(commits(named))[1:]
        if (edit := _edit(history, commit)) is not None and not _is_broken(edit, trees)
    ]
    step = max(1, len(found) // most)
    return found[::step][:most]


def _is_broken(edit: TrueEdit, trees: Sequence[Mapping[str, bytes]]) -> bool:
    """Whether half of a change was cut off: a release is whole, what is between two need not be."""
    for pair in edit.pairs:
        if pair.new is None:
            continue
        released = [
            _errors(tree[pair.path].decode("utf-8", "replace"), edit) for tree in trees if pair.path in tree
        ]
        if _errors(pair.new, edit) > max(released):
            return True
    return False


def _errors(text: str, edit: TrueEdit) -> int:
    return len(error_lines(text, edit.language) or ())


def _edit(history: History, commit: Commit) -> TrueEdit | None:
    pairs: list[FilePair] = []
    for change in commit.changes:
        try:
            old, new = (None if side is None else side.decode() for side in (change.old, change.new))
        except UnicodeDecodeError:
            continue
        pairs.append(FilePair(change.path, old, new))
    name = f"{history.releases[1].name}: {commit.message}"
    return TrueEdit(history.language, name, tuple(pairs)) if pairs else None


def _tree(archive: Archive, endings: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(fetch(archive)) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            counts = PurePosixPath(path).suffix in endings and archive.keeps(member.name)
            if counts and member.isfile() and (file := tar.extractfile(member)):
                found[path] = file.read()
    return found
