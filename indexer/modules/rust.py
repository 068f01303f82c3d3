"""Which files a Rust path means, and how modules lie in files: `a.rs` or `a/mod.rs`, below their crate's root."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexer.modules.layouts import Layouts
from indexer.modules.pathindex import PathIndex, above, closest, under

if TYPE_CHECKING:
    from indexer.parsing.imports import Import

_ROOT_STEMS = frozenset({"lib", "main", "build"})
_ROOT_FOLDERS = frozenset({"bin", "tests", "examples", "benches"})
"""Of Cargo's layout (https://doc.rust-lang.org/cargo/guide/project-layout.html): each file right in them is a
crate."""


def files(import_: Import, from_path: str, index: PathIndex, layouts: Layouts | None) -> Iterator[str]:
    parts = [part for part in import_.module.split("::") if part]
    if import_.name and import_.name != "*":
        parts.append(import_.name)
    own, first = module_folder(from_path), parts[0] if parts else ""
    crate = posixpath.dirname(crate_root(from_path, index))
    if first == "crate":
        yield from _files_of(crate, parts[1:], crate)
    elif first in ("self", "super"):
        while parts and parts[0] in ("self", "super"):
            own = above(own) if parts.pop(0) == "super" else own
        yield from _files_of(own, parts, crate)
    elif parts:
        yield from _files_of(own, parts, None)
        if (root := crate_named(first, from_path, index, layouts)) is not None:
            yield from _files_of(posixpath.dirname(root), parts[1:], posixpath.dirname(root))
            yield root


def _files_of(base: str, parts: list[str], crate: str | None) -> Iterator[str]:
    """The deepest module that is a file; what is left of the path are items within it."""
    for length in range(len(parts), 0, -1):
        stem = under(base, *parts[:length])
        yield f"{stem}.rs"
        yield f"{stem}/mod.rs"
    if crate is not None:
        if base != crate:
            yield f"{base}.rs"
        yield from (under(base, "mod.rs"), under(crate, "lib.rs"), under(crate, "main.rs"))


def module_folder(path: str) -> str:
    """Where the modules lie that the module of this file declares."""
    folder, name = posixpath.split(path)
    stem = name.removesuffix(".rs")
    if stem == "mod" or _is_root(folder, stem):
        return folder
    return under(folder, stem)


def _is_root(folder: str, stem: str) -> bool:
    return stem in _ROOT_STEMS or posixpath.basename(folder) in _ROOT_FOLDERS


def crate_root(path: str, index: PathIndex) -> str:
    """The file that the crate of `path` begins with; the file itself when none is found."""
    folder, name = posixpath.split(path)
    if _is_root(folder, name.removesuffix(".rs")):
        return path
    while True:
        for root in ("lib.rs", "main.rs"):
            if under(folder, root) in index:
                return under(folder, root)
        if posixpath.basename(folder) == "src" or not folder:
            return path
        folder = above(folder)


def parent_module(path: str, index: PathIndex) -> str | None:
    """The file of the module that declares the module of this file."""
    folder, name = posixpath.split(path)
    stem = name.removesuffix(".rs")
    if _is_root(folder, stem):
        return None
    if stem == "mod":
        folder = above(folder)
    for parent in (
        under(folder, "mod.rs"),
        f"{folder}.rs",
        under(folder, "lib.rs"),
        under(folder, "main.rs"),
    ):
        if parent in index and parent != path:
            return parent
    return None


def child_module(path: str, name: str, index: PathIndex) -> str | None:
    """The file of `mod name;` in the module of `path`."""
    stem = under(module_folder(path), name)
    return next((file for file in (f"{stem}.rs", f"{stem}/mod.rs") if file in index), None)


def crate_named(name: str, from_path: str, index: PathIndex, layouts: Layouts | None) -> str | None:
    """The root file of another crate of this repository."""
    if layouts is not None and layouts.crates():
        crate = layouts.crates().get(name)
        return crate.root if crate is not None else None
    for written in (name, name.replace("_", "-")):
        for home in closest(index.folders_ending_in(f"{written}/src"), from_path):
            if f"{home}/lib.rs" in index:
                return f"{home}/lib.rs"
    return None
