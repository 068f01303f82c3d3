"""What a root's own project files say about its layout, read as data and never executed: tsconfig.json,
package.json, go.mod, Cargo.toml. A file that cannot be read or makes no sense says nothing."""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import msgspec

from indexer.modules.pathindex import PathIndex, under, upwards

TYPESCRIPT_FILES = ("tsconfig.json", "jsconfig.json")
PROJECT_FILES = (*TYPESCRIPT_FILES, "package.json", "go.mod", "Cargo.toml")

_MAX_EXTENDS = 10
"""Files that a tsconfig.json may build on, one on the other; real ones have one or two."""

ReadText = Callable[[str], str | None]


class TypeScriptPaths(msgspec.Struct, frozen=True):
    """Of one tsconfig.json or jsconfig.json with all that it extends."""

    base: str | None = None
    """The folder of `baseUrl`; None without one."""
    paths: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Pattern → targets, as paths below the root, both with at most one `*`."""


class NodePackage(msgspec.Struct, frozen=True):
    """One package.json."""

    folder: str
    name: str
    entries: tuple[str, ...]
    """What `source`, `types`, `module` and `main` say, as written."""
    exports: Mapping[str, tuple[str, ...]]
    """`.`, `./sub`, `./sub/*` or `#inner` → files as written, from `exports` and `imports`."""
    dependencies: frozenset[str]


class GoModule(msgspec.Struct, frozen=True):
    folder: str
    path: str


class Crate(msgspec.Struct, frozen=True):
    folder: str
    name: str
    """As it is written in code: with `_` for `-`."""
    root: str
    """The file that the crate begins with."""


class Layouts:
    """Reads each project file once, when it is first asked about. From one thread at a time."""

    def __init__(self, index: PathIndex, read: ReadText) -> None:
        self._index = index
        self._read = read
        self._typescript: dict[str, TypeScriptPaths | None] = {}
        self._packages: dict[str, NodePackage] | None = None
        self._go: tuple[GoModule, ...] | None = None
        self._crates: dict[str, Crate] | None = None

    def typescript(self, folder: str) -> TypeScriptPaths | None:
        """What holds for files in this folder: the nearest configuration at or above it."""
        if folder not in self._typescript:
            own = next((name for name in TYPESCRIPT_FILES if under(folder, name) in self._index), None)
            if own is not None:
                found = self._typescript_file(under(folder, own), frozenset())
            else:
                found = self.typescript(folder.rpartition("/")[0]) if folder else None
            self._typescript[folder] = found
        return self._typescript[folder]

    def _typescript_file(self, path: str, seen: frozenset[str]) -> TypeScriptPaths:
        data = _json(self._read(path))
        folder = posixpath.dirname(path)
        result = TypeScriptPaths()
        if len(seen) < _MAX_EXTENDS:
            extended = data.get("extends")
            for name in extended if _is_list(extended) else [extended]:
                base = self._extended(name, folder)
                if base is not None and base not in seen:
                    result = self._typescript_file(base, seen | {path})
        options = data.get("compilerOptions")
        if not _is_object(options):
            return result
        base_url, paths = options.get("baseUrl"), options.get("paths")
        base = _inside(folder, base_url) if isinstance(base_url, str) else result.base
        if not _is_object(paths):
            return TypeScriptPaths(base, result.paths)
        start = folder if base is None else base
        read = (
            (pattern, tuple(place for one in _texts(targets) if (place := _inside(start, one)) is not None))
            for pattern, targets in paths.items()
            if _is_list(targets)
        )
        return TypeScriptPaths(base, tuple(read))

    def _extended(self, name: object, folder: str) -> str | None:
        """A file of this root; packages that bring a configuration lie outside."""
        if not isinstance(name, str) or not name.startswith("."):
            return None
        base = _inside(folder, name)
        if base is None:
            return None
        for path in (base, f"{base}.json", f"{base}/tsconfig.json"):
            if path in self._index:
                return path
        return None

    def packages(self) -> Mapping[str, NodePackage]:
        """By name."""
        if self._packages is None:
            self._packages = {}
            for path in self._index.named("package.json"):
                package = _node_package(posixpath.dirname(path), _json(self._read(path)))
                self._packages.setdefault(package.name or f"{package.folder}/", package)
        return self._packages

    def package_of(self, folder: str) -> NodePackage | None:
        """The package that files in this folder belong to."""
        by_folder = {package.folder: package for package in self.packages().values()}
        return next((by_folder[one] for one in upwards(folder) if one in by_folder), None)

    def go_modules(self) -> tuple[GoModule, ...]:
        """Those with the longest path first: modules may lie within one another."""
        if self._go is None:
            found: list[GoModule] = []
            for path in self._index.named("go.mod"):
                match = re.search(r'^\s*module\s+"?([^\s"]+)', self._read(path) or "", re.MULTILINE)
                if match:
                    found.append(GoModule(posixpath.dirname(path), match[1]))
            self._go = tuple(sorted(found, key=lambda module: (-len(module.path), module.folder)))
        return self._go

    def crates(self) -> Mapping[str, Crate]:
        """The libraries, by the name that code says; programs by their folder with a `/`."""
        if self._crates is None:
            self._crates = {}
            for path in self._index.named("Cargo.toml"):
                crate = self._crate(posixpath.dirname(path), _toml(self._read(path)))
                if crate is not None:
                    library = posixpath.basename(crate.root) != "main.rs"
                    self._crates.setdefault(crate.name if library else f"{crate.folder}/", crate)
        return self._crates

    def _crate(self, folder: str, data: Mapping[str, Any]) -> Crate | None:
        package, library = data.get("package"), data.get("lib")
        name = package.get("name") if _is_object(package) else None
        root = None
        if _is_object(library):
            name = library.get("name", name)
            root = library.get("path")
        if not isinstance(name, str):
            return None
        for candidate in (root, "src/lib.rs", "src/main.rs"):
            if isinstance(candidate, str) and (path := _inside(folder, candidate)) in self._index:
                return Crate(folder, name.replace("-", "_"), str(path))
        return None


def _inside(folder: str, relative: str) -> str | None:
    """The path below the root that `relative` is, seen from `folder`; None outside of the root."""
    path = posixpath.normpath(posixpath.join(folder, relative))
    if path.startswith(("../", "/")) or path == "..":
        return None
    return "" if path == "." else path


def _node_package(folder: str, data: Mapping[str, Any]) -> NodePackage:
    name = data.get("name")
    entries = [data.get(field) for field in ("source", "types", "typings", "module", "main")]
    exports: dict[str, tuple[str, ...]] = {}
    for field in ("exports", "imports"):
        table = data.get(field)
        if not _is_object(table) or not any(key.startswith((".", "#")) for key in table):
            table = {".": table} if table and field == "exports" else {}
        exports.update({key: tuple(_targets(value)) for key, value in table.items()})
    dependencies: set[str] = set()
    for field in ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies"):
        listed = data.get(field)
        dependencies.update(listed if _is_object(listed) else ())
    return NodePackage(
        folder,
        name if isinstance(name, str) else "",
        tuple(entry for entry in entries if isinstance(entry, str)),
        exports,
        frozenset(dependencies),
    )


_CONDITIONS = ("source", "types", "import", "module", "default", "node", "browser", "require")
"""Of conditional exports (https://nodejs.org/api/packages.html#conditional-exports), what leads to sources
first."""


def _targets(value: object) -> list[str]:
    """The files of one entry of `exports`, best first."""
    pending, found = [value], list[str]()
    while pending:
        one = pending.pop(0)
        if isinstance(one, str):
            found.append(one)
        elif _is_list(one):
            pending[:0] = one
        elif _is_object(one):
            known = [one[condition] for condition in _CONDITIONS if condition in one]
            pending[:0] = known + [other for key, other in one.items() if key not in _CONDITIONS]
    return found


_COMMENTS = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMAS = re.compile(r'("(?:[^"\\\n]|\\.)*")|,(?=\s*[}\]])')


def _json(text: str | None) -> Mapping[str, Any]:
    """JSON with comments and last commas, as tsconfig.json has them."""
    for plain in (text or "{}", _without_comments(text or "")):
        try:
            data: object = json.loads(plain)
        except (ValueError, RecursionError):
            continue
        return data if _is_object(data) else {}
    return {}


def _without_comments(text: str) -> str:
    return _LAST_COMMAS.sub(lambda match: match[1] or "", _COMMENTS.sub(lambda match: match[1] or "", text))


def _toml(text: str | None) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text or "")
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _texts(values: list[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
