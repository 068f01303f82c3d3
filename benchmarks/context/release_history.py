"""Consecutive source distributions of one package as a git repository: a release history.

Real histories cannot be had everywhere. Between two releases there is one commit for each cluster of hunks that touch
the same names, at moments spread evenly between them, and one that completes the release, whose tree is its archive's.
"""

from __future__ import annotations

import difflib
import itertools
import re
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.archives import Archive, fetch
from benchmarks.context.history import Change, Commit, write

DAY_S = 86_400
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{4,}")
"""Shorter words say nothing about what a change is about."""
MOST_HUNKS = 40
"""A name that more hunks of a release touch (`Optional`, `client`) joins none of them."""
LARGEST_CLUSTER = 12
"""Hunks of one commit: without a bound a chain of names ties most of a release together."""
MADE_BY_PACKAGING = ("PKG-INFO",)
"""Not in the repository that the archive was made from."""

Files = dict[str, bytes]


class Release(msgspec.Struct, frozen=True):
    archive: Archive
    day: int
    """Days since 1970 at which it appeared, by its changelog."""


def _httpx(version: str, day: int, sha256: str) -> Release:
    return Release(Archive("httpx", version, sha256), day)


RELEASES = (
    _httpx("0.25.2", 19_685, "8b8fcaa0c8ea7b05edd69a094e63a2094c4efcb48129fb757361bc423c0ad9e8"),
    _httpx("0.26.0", 19_711, "451b55c30d5185ea6b23c2c793abf9bb237d2a7dfb901ced6ff69ad37ec1dfaf"),
    _httpx("0.27.0", 19_774, "a0cb88a46f32dc874e04ee956e4c2764aba2aa228f650b06788ba6bda2962ab5"),
    _httpx("0.27.2", 19_962, "f7c2be1d2f3c3c3160d441802406b206c2b76f5947b11115e6df10c6c65e66c2"),
    _httpx("0.28.0", 20_055, "0858d3bab51ba7e386637f22a61d8ccddaeec5f3fe4209da3a6168dbb91573e0"),
    _httpx("0.28.1", 20_063, "75e98c5f16b0f35b567856f597f06ff2270a374470a5c2392242528e3e3e42fc"),
)
"""httpx as it was released between November 2023 and December 2024, its tests included."""


def build(folder: Path, releases: Sequence[Release] = RELEASES) -> Path:
    """The repository, made in `folder`. Raises ArchiveError, TargetError."""
    trees = [(each, _tree(fetch(each.archive))) for each in releases]
    return write(commits([(each.archive.version, each.day * DAY_S, tree) for each, tree in trees]), folder)


def commits(releases: Sequence[tuple[str, int, Files]]) -> Iterator[Commit]:
    """Of releases as (name, Unix time, files), the oldest first."""
    name, when_s, before = releases[0]
    yield Commit(f"Release {name}", when_s, changes({}, before))
    for name, then_s, after in releases[1:]:
        states = [before, *_steps(before, after)]
        between_s = (then_s - when_s) // (len(states) + 1)
        for number, (old, new) in enumerate(itertools.pairwise(states), 1):
            yield Commit(f"Towards {name}, {number}", when_s + number * between_s, changes(old, new))
        yield Commit(f"Release {name}", then_s, changes(states[-1], after))
        when_s, before = then_s, after


def changes(old: Files, new: Files) -> tuple[Change, ...]:
    paths = sorted(old.keys() | new.keys())
    return tuple(
        Change(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path)
    )


def _tree(archive: Path) -> Files:
    found: Files = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            if member.isfile() and path not in MADE_BY_PACKAGING and (file := tar.extractfile(member)):
                found[path] = file.read()
    return found


# ---------------------------------------------------------------- clusters of hunks


class _Hunk(msgspec.Struct, frozen=True):
    """Lines of one file that are replaced: `start` to `end` of the old ones by `new`."""

    path: str
    start: int
    end: int
    new: tuple[str, ...]
    names: frozenset[str]


def _steps(before: Files, after: Files) -> Iterator[Files]:
    """The files after each cluster; all clusters together change every text."""
    hunks = [hunk for change in changes(before, after) for hunk in _hunks(change)]
    applied: list[_Hunk] = []
    state = dict(before)
    for cluster in _clusters(hunks):
        applied += cluster
        for path in sorted({hunk.path for hunk in cluster}):
            of_path = sorted((hunk for hunk in applied if hunk.path == path), key=lambda hunk: hunk.start)
            text = _applied(before.get(path), of_path)
            if path not in after and not text:
                state.pop(path, None)
            else:
                state[path] = text
        yield dict(state)


def _hunks(change: Change) -> Iterator[_Hunk]:
    old, new = _lines(change.old), _lines(change.new)
    if old is None or new is None:
        return  # no text: the release itself brings it
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, start, end, first, last in matcher.get_opcodes():
        if kind != "equal":
            touched = "".join([*old[start:end], *new[first:last]])
            yield _Hunk(change.path, start, end, tuple(new[first:last]), frozenset(NAME.findall(touched)))


def _lines(content: bytes | None) -> list[str] | None:
    try:
        return (content or b"").decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None


def _applied(old: bytes | None, hunks: Sequence[_Hunk]) -> bytes:
    lines = _lines(old) or []
    for hunk in reversed(hunks):
        lines[hunk.start : hunk.end] = hunk.new
    return "".join(lines).encode()


def _clusters(hunks: Sequence[_Hunk]) -> list[list[_Hunk]]:
    """Hunks that share a name together, the rarest names first, and what is left of a file; in an order that says
    nothing about their paths."""
    touching: dict[str, list[int]] = defaultdict(list)
    in_file: dict[str, list[int]] = defaultdict(list)
    for number, hunk in enumerate(hunks):
        in_file[hunk.path].append(number)
        for name in hunk.names:
            touching[name].append(number)
    shared = sorted(
        (name for name, numbers in touching.items() if len(numbers) <= MOST_HUNKS),
        key=lambda name: (len(touching[name]), name),
    )
    clusters = {number: [number] for number in range(len(hunks))}
    cluster_of = list(range(len(hunks)))
    for numbers in [*(touching[name] for name in shared), *in_file.values()]:
        first, *others = numbers
        for other in others:
            into, from_ = cluster_of[first], cluster_of[other]
            if into == from_ or len(clusters[into]) + len(clusters[from_]) > LARGEST_CLUSTER:
                continue
            moved = clusters.pop(from_)
            clusters[into] += moved
            for number in moved:
                cluster_of[number] = into
    together = [[hunks[number] for number in sorted(numbers)] for numbers in clusters.values()]
    return sorted(together, key=lambda cluster: _scattered(cluster[0]))


def _scattered(hunk: _Hunk) -> int:
    """The same in every run, which the order of its names is not."""
    return zlib.crc32(repr((hunk.path, hunk.start, hunk.end, hunk.new)).encode())
