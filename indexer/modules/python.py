"""Which files a Python import means: packages, modules, stubs, namespace packages, `src` layouts.

A module is named by its file, a namespace package by its folder with a `/` at the end."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexer.modules.pathindex import PathIndex, above, closest, under, upwards

if TYPE_CHECKING:
    from indexer.parsing.imports import Import

SOURCE_FOLDERS = ("", "src", "lib", "python")
"""Below a folder that is on the path, where packages lie as well."""

_PACKAGE_FILES = ("__init__.py", "__init__.pyi")


def files(import_: Import, from_path: str, index: PathIndex) -> Iterator[str]:
    """Submodules before the modules that may define the name."""
    bases = list(_bases(import_.module, import_.level, from_path, index))
    for base in bases:
        for stem in [under(base, import_.name)] if import_.name and import_.name != "*" else []:
            yield from _files_of(stem)
        yield from _files_of(base)
    if not import_.level and "." in import_.module:  # one word alone would match any file of that name
        module = import_.module.replace(".", "/")
        stems = [under(module, import_.name)] if import_.name and import_.name != "*" else []
        for stem in [*stems, module]:
            for path in _files_of(stem):
                yield from closest(index.ending_in(path), from_path)


def _files_of(stem: str) -> tuple[str, ...]:
    if not stem:
        return ("__init__.py",)
    return (f"{stem}.py", f"{stem}/__init__.py", f"{stem}.pyi", f"{stem}/__init__.pyi")


def module_of(module: str, level: int, from_path: str, index: PathIndex) -> str | None:
    """The module that `import module` in `from_path` binds; None when it is not of this root."""
    if level:
        return next(
            (found for base in _bases(module, level, from_path, index) if (found := _module_at(base, index))),
            None,
        )

    def find() -> str | None:
        for base in _bases(module, 0, from_path, index):
            if (found := _module_at(base, index)) is not None:
                return found
        if "." not in module:
            return None
        path = module.replace(".", "/")
        for file in (f"{path}/__init__.py", f"{path}.py", f"{path}/__init__.pyi", f"{path}.pyi"):
            if found := closest(index.ending_in(file), from_path):
                return found[0]
        return None

    return index.once(("python", _top_of(posixpath.dirname(from_path), index), module), find)


def submodule(package: str, name: str, index: PathIndex) -> str | None:
    """The module `name` that lies in the package's folder."""
    folder, _, file = package.rpartition("/")
    if file and file not in _PACKAGE_FILES:
        return None
    return _module_at(under(folder, name), index)


def _module_at(base: str, index: PathIndex) -> str | None:
    for path in (under(base, "__init__.py"), f"{base}.py", under(base, "__init__.pyi"), f"{base}.pyi"):
        if (own := index.own(path)) is not None:
            return own
    return f"{base}/" if base in index.once("python folders", lambda: _folders(index)) else None


def _folders(index: PathIndex) -> frozenset[str]:
    """What may be a namespace package: any folder can, but one without any module is none."""
    found: set[str] = set()
    for path in index:
        if path.endswith((".py", ".pyi")):
            folder = above(path)
            while folder and folder not in found:
                found.add(folder)
                folder = above(folder)
    return frozenset(found)


def _top_of(folder: str, index: PathIndex) -> str:
    """The folder that is on the path for a file in `folder`: a package's own folder is not."""

    def climb() -> str:
        top = folder
        while top and any(under(top, name) in index for name in _PACKAGE_FILES):
            top = above(top)
        return top

    return index.once(("python top", folder), climb)


def _bases(module: str, level: int, from_path: str, index: PathIndex) -> Iterator[str]:
    """Where the module may lie, without any ending, best first."""
    folder = posixpath.dirname(from_path)
    path = module.replace(".", "/")
    if level:
        for _ in range(level - 1):
            if not folder:
                return
            folder = above(folder)
        yield under(folder, path)
        return
    for root in upwards(_top_of(folder, index)):
        for layout in SOURCE_FOLDERS:
            yield under(root, layout, path)
