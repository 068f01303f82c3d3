"""Which files an `#include` means: relative to its file, below the usual folders, or by the end of the path."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexer.modules.pathindex import PathIndex, closest

if TYPE_CHECKING:
    from indexer.parsing.imports import Import

HEADER_ENDINGS = (".h", ".hh", ".hpp", ".hxx", ".h++", ".inl", ".ipp", ".tpp", ".cuh")


def files(import_: Import, from_path: str, index: PathIndex) -> Iterator[str]:
    yield posixpath.normpath(posixpath.join(posixpath.dirname(from_path), import_.module))
    plain = re.sub(r"^(?:\.\.?/)+", "", import_.module)
    yield from (f"include/{plain}", f"src/{plain}", plain)
    yield from closest(index.ending_in(plain), from_path)


def is_header(path: str) -> bool:
    return path.endswith(HEADER_ENDINGS)
