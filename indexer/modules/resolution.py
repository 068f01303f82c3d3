"""Which files of a root an import may mean, by the layouts that each language's projects have. Only paths that
are in the root are ever given."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from indexer.modules import c, ecmascript, go, java, python, rust
from indexer.modules.layouts import Layouts
from indexer.modules.pathindex import PathIndex as PathIndex
from indexer.parsing.languages import language_of

if TYPE_CHECKING:
    from indexer.parsing.imports import Import

FAMILIES = {
    "python": "python",
    **dict.fromkeys(("javascript", "typescript", "tsx", "vue", "svelte"), "ecmascript"),
    "go": "go",
    "rust": "rust",
    "java": "java",
    **dict.fromkeys(("c", "cpp"), "c"),
}
"""Language → which rules its imports follow."""

_latest: tuple[Collection[str], PathIndex] | None = None
"""The last collection that was asked about and its index: one root is asked about many times in a row."""


def indexed(files: Collection[str]) -> PathIndex:
    """The index of these paths; of the last collection it is kept."""
    global _latest
    if isinstance(files, PathIndex):
        return files
    latest = _latest
    if latest is None or latest[0] is not files or len(latest[1]) != len(files):
        latest = _latest = (files, PathIndex(files))
    return latest[1]


@functools.lru_cache(maxsize=1 << 16)
def family_of(path: str) -> str | None:
    """Which rules the imports of this file follow."""
    return FAMILIES.get(language_of(path) or "")


def resolve(
    import_: Import, from_path: str, files: Collection[str], layouts: Layouts | None = None
) -> list[str]:
    """Files of the root that `import_` in `from_path` may mean, best first; empty for what lies outside the
    root.

    `files`: all paths of the root, POSIX and relative. The index of the last collection is kept, so hand in
    the same unchanged set, or a `PathIndex`, for a run of imports. `layouts`: what the root's own project
    files say; without them only what is usual counts."""
    index = indexed(files)
    candidates = _candidates(import_, from_path, index, layouts)
    return [path for path in dict.fromkeys(candidates) if path in index]


def _candidates(import_: Import, from_path: str, index: PathIndex, layouts: Layouts | None) -> Iterator[str]:
    if not import_.module and not import_.level:
        return  # what a file hands on of its own
    match family_of(from_path):
        case "python":
            yield from python.files(import_, from_path, index)
        case "ecmascript":
            yield from ecmascript.files(import_, from_path, index, layouts)
        case "go":
            yield from go.files(import_, from_path, index, layouts)
        case "rust":
            yield from rust.files(import_, from_path, index, layouts)
        case "java":
            yield from java.files(import_, from_path, index)
        case "c":
            yield from c.files(import_, from_path, index)
        case _:
            return
