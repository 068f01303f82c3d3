"""Which files a JavaScript or TypeScript import means: relative paths, `paths` and `baseUrl` of tsconfig.json,
packages of the same repository, and where nothing is configured the usual layouts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexer.modules.layouts import Layouts, NodePackage
from indexer.modules.pathindex import PathIndex, under, upwards

if TYPE_CHECKING:
    from indexer.parsing.imports import Import

_ENDINGS = (
    *(".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte", ".json"),
    *("/index.ts", "/index.tsx", "/index.d.ts", "/index.js", "/index.jsx", "/index.mjs", "/index.cjs"),
)
_WRITTEN_AS_JAVASCRIPT = re.compile(r"\.([mc]?)js(x?)$")
_BUILT = re.compile(r"^(?:dist|build|lib|out|esm|cjs)/(?:(?:esm|cjs|src|types)/)?")
"""Where a package's files are built to; its sources are what a repository holds."""

_DECLARED = re.compile(r"\.d\.([mc]?)ts$")


def files(import_: Import, from_path: str, index: PathIndex, layouts: Layouts | None) -> Iterator[str]:
    module, folder = import_.module, posixpath.dirname(from_path)
    if module.startswith("."):
        base = posixpath.normpath(posixpath.join(folder, module))
        if not base.startswith(".."):
            yield from _files_of("" if base == "." else base)
        return
    if layouts is not None:
        yield from _mapped(module, folder, layouts)
        yield from _of_packages(module, folder, layouts)
        own = layouts.package_of(folder)
        if own is not None and package_name(module) in own.dependencies:
            return
    yield from _usual(module, folder, index)


def package_name(module: str) -> str:
    """`@org/name` or `name` of what an import says."""
    return "/".join(module.split("/")[: 2 if module.startswith("@") else 1])


def _files_of(base: str) -> Iterator[str]:
    yield base
    if made_from := _WRITTEN_AS_JAVASCRIPT.search(base):  # TypeScript names the file that it will become
        yield base[: made_from.start()] + f".{made_from[1]}ts{made_from[2]}"
        yield base[: made_from.start()] + ".tsx"
    for ending in _ENDINGS:
        yield base + ending if base else ending.removeprefix("/")


def _mapped(module: str, folder: str, layouts: Layouts) -> Iterator[str]:
    configuration = layouts.typescript(folder)
    if configuration is None:
        return
    patterns = sorted(
        configuration.paths, key=lambda row: -len(row[0].partition("*")[0])
    )  # longest prefix wins
    for pattern, targets in patterns:
        star = _matched(pattern, module)
        for target in targets if star is not None else ():
            yield from _files_of(target.replace("*", star or "", 1))
    if configuration.base is not None:
        yield from _files_of(under(configuration.base, module))


def _matched(pattern: str, name: str) -> str | None:
    """What stands for `*`; empty where the pattern has none and is met; None where it is not met."""
    before, star, after = pattern.partition("*")
    if not star:
        return "" if pattern == name else None
    if name.startswith(before) and name.endswith(after) and len(name) >= len(before) + len(after):
        return name[len(before) : len(name) - len(after)]
    return None


def _of_packages(module: str, folder: str, layouts: Layouts) -> Iterator[str]:
    if module.startswith("#"):
        own = layouts.package_of(folder)
        if own is not None:
            yield from _exported(own, module)
        return
    name = package_name(module)
    package = layouts.packages().get(name)
    if package is None:
        return
    rest = module[len(name) :].strip("/")
    yield from _exported(package, f"./{rest}" if rest else ".")
    if rest:
        yield from _files_of(under(package.folder, rest))
        yield from _files_of(under(package.folder, "src", rest))
        return
    for entry in package.entries:
        yield from _sources(package.folder, entry)
    yield from _files_of(under(package.folder, "src"))
    yield from _files_of(package.folder)


def _exported(package: NodePackage, entry: str) -> Iterator[str]:
    for pattern, targets in package.exports.items():
        star = _matched(pattern, entry)
        for target in targets if star is not None else ():
            yield from _sources(package.folder, target.replace("*", star or ""))


def _sources(folder: str, written: str) -> Iterator[str]:
    """The file that a package.json names, or what it is built from."""
    path = posixpath.normpath(written)
    if path.startswith(("../", "/")):
        return
    yield from _files_of(under(folder, "" if path == "." else path))
    plain = _DECLARED.sub(r".\1ts", path)
    stem = re.sub(r"\.(?:[mc]?[jt]sx?)$", "", _BUILT.sub("", plain))
    if stem != path:
        yield from _files_of(under(folder, "src", stem))
        yield from _files_of(under(folder, stem))


def _usual(module: str, folder: str, index: PathIndex) -> Iterator[str]:
    short = re.sub(r"^(?:@|~|#)/", "", module)  # the usual alias for the source folder
    for above in upwards(folder):  # the nearest folder above, as in a monorepo
        yield from _files_of(under(above, "src", short))
        if "/" in short:
            yield from _files_of(under(above, short))
    package = module.split("/")[1] if module.startswith("@") and "/" in module else module.split("/")[0]
    if not package:
        return
    for parent in ("packages", "libs", "apps"):
        rest = module.partition(package)[2].strip("/")
        for layout in ("src", ""):
            for home in index.folders_ending_in(under(parent, package, layout)):
                yield from _files_of(under(home, rest))
