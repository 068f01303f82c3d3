"""The paths of a root, ready to be asked which of them an import may mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")


class PathIndex(Collection[str]):
    """Never changes: a root whose paths come and go has a new one. Paths are POSIX and relative."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = {path: path for path in paths}
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        self._by_folder: defaultdict[str, list[str]] = defaultdict(list)
        self._folders: defaultdict[str, list[str]] = defaultdict(list)
        for path in sorted(self._paths):
            folder, _, name = path.rpartition("/")
            self._by_name[name].append(path)
            self._by_folder[folder].append(path)
        for folder in self._by_folder:
            self._folders[folder.rpartition("/")[2]].append(folder)
        self._answers: dict[Hashable, object] = {}

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def own(self, path: str) -> str | None:
        """The same path as an object that is held anyway, None where there is none: what remembers many of them
        shall hold no copies."""
        return self._paths.get(path)

    def named(self, name: str) -> list[str]:
        """The files of exactly this name, in any folder."""
        return self._by_name.get(name, [])

    def ending_in(self, suffix: str) -> list[str]:
        """Paths that are `suffix` or end in it at a `/`."""
        named = self._by_name.get(suffix.rpartition("/")[2], [])
        return [path for path in named if path == suffix or path.endswith("/" + suffix)]

    def folders_ending_in(self, suffix: str) -> list[str]:
        """Folders that hold files, and are `suffix` or end in it at a `/`."""
        named = self._folders.get(suffix.rpartition("/")[2], [])
        return [folder for folder in named if folder == suffix or folder.endswith("/" + suffix)]

    def in_folder(self, folder: str) -> list[str]:
        """The files right in a folder, in order."""
        return self._by_folder.get(folder, [])

    def once(self, key: Hashable, answer: Callable[[], _T]) -> _T:
        """What `answer` says, asked once for each `key`: it may look at nothing but these paths."""
        if key not in self._answers:
            self._answers[key] = answer()
        return self._answers[key]  # pyright: ignore[reportReturnType]  # of the type that this key's answers have


def closest(paths: Iterable[str], from_path: str) -> list[str]:
    """Those that share most folders with `from_path` first."""
    own = from_path.split("/")

    def key(path: str) -> tuple[int, int, str]:
        shared = 0
        for mine, other in zip(own, path.split("/"), strict=False):
            if mine != other:
                break
            shared += 1
        return -shared, path.count("/"), path

    return sorted(paths, key=key)


def under(folder: str, *parts: str) -> str:
    """The path of `parts` in `folder`; empty ones count for nothing."""
    return "/".join(part for part in (folder, *parts) if part)


def above(folder: str) -> str:
    """The folder that holds this one; the root for the root."""
    return folder.rpartition("/")[0]


def upwards(folder: str) -> Iterator[str]:
    """The folder, then each that holds it, up to the root (the empty path)."""
    yield folder
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder
