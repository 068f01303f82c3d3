"""What the files beside a file use of others: whoever writes the next function there will want the same."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Mapping

from indexer.modules.resolution import indexed
from indexer.packing.view import GraphView, IndexView

_MOST_FILES = 24
"""Files of a folder that are looked at, those with the likest names first."""

_KEPT_FILES = 512
"""What each uses is remembered, some 10 MB."""

_MOST_LETTERS = 8
"""That two names begin with together; more of them say no more."""


class Siblings:
    """Of one root; remembers what each content uses. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        """Of contents alone: which of the names the root defines changes with other files."""

    def used(self, view: IndexView, own_path: str) -> Mapping[str, float]:
        """Name → the share of the files beside `own_path` that refer to it, files of likest names counting most, for
        names that the root defines somewhere else."""
        beside = _beside(view, own_path)
        total = sum(weight for _, weight in beside)
        counted: defaultdict[str, float] = defaultdict(float)
        for path, weight in beside:
            for name in self._used_by(view, path):
                counted[name] += weight / total
        defined = view.defined(counted)
        return {name: share for name, share in counted.items() if name in defined}

    def _used_by(self, view: GraphView, path: str) -> tuple[str, ...]:
        key = view.key_of(path)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        own = {tag.name for tag in view.tags_in(path)}
        used = tuple(sorted(name for name in view.sites_of(path) if name not in own))
        if not used or not key:
            return used  # it may not be stored yet
        with self._lock:
            self._known[key] = used
            while len(self._known) > _KEPT_FILES:
                self._known.popitem(last=False)
        return used


def _beside(view: GraphView, own_path: str) -> list[tuple[str, float]]:
    folder, _, own = own_path.rpartition("/")
    suffix = own.rpartition(".")[2]
    found = [
        (path, _alike(own, path.rpartition("/")[2]))
        for path in indexed(view.files()).in_folder(folder)
        if path != own_path and path.endswith(f".{suffix}")
    ]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:_MOST_FILES]


def _alike(one: str, other: str) -> float:
    """1, and more for each letter that two file names begin with together."""
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return 1.0 + min(same, _MOST_LETTERS) / 4
