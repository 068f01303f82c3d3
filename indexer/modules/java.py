"""Which files a Java import means. A package is each folder, of any source root, that its name ends."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexer.modules.pathindex import PathIndex, closest

if TYPE_CHECKING:
    from indexer.parsing.imports import Import

_PLATFORM = ("java.", "javax.", "jdk.", "sun.")
"""Packages that lie in the JDK. A repository that has such folders itself has them under a source root."""

_SOURCE_ROOTS = frozenset({"", "java", "src", "classes", "test", "tests", "main", "source", "sources"})


def files(import_: Import, from_path: str, index: PathIndex) -> Iterator[str]:
    module = import_.module.replace(".", "/")
    if import_.name == "*":
        for folder in package_folders(import_.module, from_path, index):
            yield from (path for path in index.in_folder(folder) if path.endswith(".java"))
    elif import_.name:
        yield from closest(index.ending_in(f"{module}/{import_.name}.java"), from_path)
    if "/" in module:  # a member of a class: the module is the class
        yield from closest(index.ending_in(f"{module}.java"), from_path)


def package_folders(package: str, from_path: str, index: PathIndex) -> list[str]:
    """The folders of a package that hold Java files, the nearest first."""

    def find() -> list[str]:
        suffix = package.replace(".", "/")
        found = [folder for folder in index.folders_ending_in(suffix) if _has_java(folder, index)]
        if f"{package}.".startswith(_PLATFORM):
            roots = {folder: folder[: -len(suffix)].rstrip("/") for folder in found}
            found = [
                folder for folder in found if posixpath.basename(roots[folder]) in _SOURCE_ROOTS - {"main"}
            ]
        return found

    return closest(index.once(("java", package), find), from_path)


def same_package(path: str, index: PathIndex) -> list[str]:
    """The folders of the package that this file is in, its own first: a test's classes lie under another root."""
    folder = posixpath.dirname(path)
    parts = folder.split("/")
    starts = [
        number + 1 for number, part in enumerate(parts) if part in ("java", "src") and number + 1 < len(parts)
    ]
    if not starts:
        return [folder]
    package = "/".join(parts[starts[-1] :])
    return [folder, *(other for other in package_folders(package, path, index) if other != folder)]


def _has_java(folder: str, index: PathIndex) -> bool:
    return any(path.endswith(".java") for path in index.in_folder(folder))
