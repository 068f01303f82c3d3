"""Which package a Go import means. A package is its folder, named with a `/` at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexer.modules.layouts import Layouts
from indexer.modules.pathindex import PathIndex, closest, under

if TYPE_CHECKING:
    from indexer.parsing.imports import Import

_STANDARD_NAMES = (
    "archive bufio builtin bytes cmp compress container context crypto database debug embed encoding errors "
    "expvar flag fmt go hash html image index io iter log maps math mime net os path plugin reflect regexp "
    "runtime slices sort strconv strings structs sync syscall testing text time unicode unique unsafe weak"
)
_STANDARD = frozenset(_STANDARD_NAMES.split())
"""First parts of Go's own packages (https://pkg.go.dev/std)."""


def files(import_: Import, from_path: str, index: PathIndex, layouts: Layouts | None) -> Iterator[str]:
    """All files of the package but its tests."""
    for package in packages_of(import_.module, from_path, index, layouts):
        yield from (path for path in package_files(package, index) if not path.endswith("_test.go"))
    if not (layouts and layouts.go_modules()):
        name = import_.module.rpartition("/")[2]
        yield f"{name}.go"  # the module's own root folder


def package_files(package: str, index: PathIndex) -> list[str]:
    """The Go files of a folder that is named with or without a `/` at the end."""
    return [path for path in index.in_folder(package.removesuffix("/")) if path.endswith(".go")]


def packages_of(
    module: str, from_path: str, index: PathIndex, layouts: Layouts | None, least: int = 1
) -> list[str]:
    """The folder of the package; several when nothing tells which. Empty for those of other modules. `least`: how many
    parts of the import path must be the folder's where no go.mod tells."""
    parts = module.split("/")
    if parts[0] in _STANDARD:
        return []
    modules = layouts.go_modules() if layouts is not None else ()
    for one in modules:
        if module == one.path or module.startswith(f"{one.path}/"):
            folder = under(one.folder, module[len(one.path) :].strip("/"))
            if package_files(folder, index):
                return [f"{folder}/"]
    vendored = [f"{folder}/" for folder in index.folders_ending_in(f"vendor/{module}")]
    if modules or vendored:
        return closest(vendored, from_path)[:1]
    for start in range(
        max(1, len(parts) - least + 1)
    ):  # the longest end of the import path that is a folder here
        folders = closest(index.folders_ending_in("/".join(parts[start:])), from_path)
        if found := [f"{folder}/" for folder in folders if package_files(folder, index)]:
            return found
    return []
