"""Which files of a root an import may mean: by the layouts that each language's projects have, without
reading any build file. Only paths that are in the root are ever given."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from indexer.languages import language_of

if TYPE_CHECKING:
    from indexer.imports import Import


class PathIndex(Collection[str]):
    """The paths of a root, ready to be asked which of them end in something. Build it once for many
    imports."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_folder: dict[str, list[str]] = defaultdict(list)
        self._folders: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self._paths):
            folder, _, name = path.rpartition("/")
            self._by_name[name].append(path)
            self._by_folder[folder].append(path)
        for folder in self._by_folder:
            self._folders[folder.rpartition("/")[2]].append(folder)

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

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


_latest: tuple[Collection[str], PathIndex] | None = None
"""The last collection that was asked about and its index: one root is asked about many times in a row."""


def _indexed(files: Collection[str]) -> PathIndex:
    global _latest
    if isinstance(files, PathIndex):
        return files
    latest = _latest
    if latest is None or latest[0] is not files or len(latest[1]) != len(files):
        latest = _latest = (files, PathIndex(files))
    return latest[1]


def resolve(import_: Import, from_path: str, files: Collection[str]) -> list[str]:
    """Files of the root that `import_` in `from_path` may mean, best first; empty for what lies outside the
    root.

    `files`: all paths of the root, POSIX and relative. The index of the last collection is kept, so hand in
    the same unchanged set, or a `PathIndex`, for a run of imports."""
    index = _indexed(files)
    language = language_of(from_path)
    folder = posixpath.dirname(from_path)
    if language == "python":
        candidates = _python(import_, from_path, index)
    elif language in ("javascript", "typescript", "tsx", "vue", "svelte"):
        candidates = _ecmascript(import_.module, folder, index)
    elif language == "go":
        candidates = _go(import_.module, from_path, index)
    elif language == "rust":
        candidates = _rust(import_, from_path, index)
    elif language == "java":
        candidates = _java(import_, from_path, index)
    elif language in ("c", "cpp"):
        candidates = _include(import_.module, from_path, index)
    else:
        return []
    return [path for path in dict.fromkeys(candidates) if path in index]


def _closest(paths: Iterable[str], from_path: str) -> list[str]:
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


def _under(folder: str, *parts: str) -> str:
    return "/".join(part for part in (folder, *parts) if part)


def _python_files(base: str, name: str | None) -> Iterator[str]:
    """A submodule of that name comes before the module that may define it."""
    for stem in ([_under(base, name)] if name and name != "*" else []) + [base]:
        if stem:
            yield from (f"{stem}.py", f"{stem}/__init__.py", f"{stem}.pyi", f"{stem}/__init__.pyi")
        else:
            yield "__init__.py"


def _python(import_: Import, from_path: str, index: PathIndex) -> Iterator[str]:
    folder = posixpath.dirname(from_path)
    module = import_.module.replace(".", "/")
    if import_.level:
        for _ in range(import_.level - 1):
            if not folder:
                return
            folder = posixpath.dirname(folder)
        yield from _python_files(_under(folder, module), import_.name)
        return
    while folder and f"{folder}/__init__.py" in index:  # the package's own folder is not on the path
        folder = posixpath.dirname(folder)
    roots = [folder]
    while folder:
        folder = posixpath.dirname(folder)
        roots.append(folder)
    for root in roots:
        for layout in ("", "src", "lib", "python"):
            yield from _python_files(_under(root, layout, module), import_.name)
    if "/" in module:  # one word alone would match any file of that name
        for path in _python_files(module, import_.name):
            if "/" in path:
                yield from _closest(index.ending_in(path), from_path)


_ECMASCRIPT_ENDINGS = (
    *(".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte", ".json"),
    *("/index.ts", "/index.tsx", "/index.d.ts", "/index.js", "/index.jsx", "/index.mjs", "/index.cjs"),
)
_WRITTEN_AS_JAVASCRIPT = re.compile(r"\.([mc]?)js(x?)$")


def _ecmascript_files(base: str) -> Iterator[str]:
    yield base
    if made_from := _WRITTEN_AS_JAVASCRIPT.search(base):  # TypeScript names the file that it will become
        yield base[: made_from.start()] + f".{made_from[1]}ts{made_from[2]}"
        yield base[: made_from.start()] + ".tsx"
    for ending in _ECMASCRIPT_ENDINGS:
        yield base + ending if base else ending.removeprefix("/")


def _ecmascript(module: str, folder: str, index: PathIndex) -> Iterator[str]:
    if module.startswith("."):
        base = posixpath.normpath(posixpath.join(folder, module))
        if not base.startswith(".."):
            yield from _ecmascript_files("" if base == "." else base)
        return
    short = re.sub(r"^(?:@|~|#)/", "", module)  # the usual alias for the source folder
    while True:  # the nearest folder above, as in a monorepo
        yield from _ecmascript_files(_under(folder, "src", short))
        if "/" in short:
            yield from _ecmascript_files(_under(folder, short))
        if not folder:
            break
        folder = posixpath.dirname(folder)
    package = module.split("/")[1] if module.startswith("@") and "/" in module else module.split("/")[0]
    if not package:
        return
    for parent in ("packages", "libs", "apps"):
        rest = module.partition(package)[2].strip("/")
        for layout in ("src", ""):
            for home in index.folders_ending_in(_under(parent, package, layout)):
                yield from _ecmascript_files(_under(home, rest))


_GO_STANDARD = frozenset(
    {
        "archive",
        "bufio",
        "builtin",
        "bytes",
        "cmp",
        "compress",
        "container",
        "context",
        "crypto",
        "database",
        "debug",
    }
    | {
        "embed",
        "encoding",
        "errors",
        "expvar",
        "flag",
        "fmt",
        "go",
        "hash",
        "html",
        "image",
        "index",
        "io",
        "iter",
    }
    | {
        "log",
        "maps",
        "math",
        "mime",
        "net",
        "os",
        "path",
        "plugin",
        "reflect",
        "regexp",
        "runtime",
        "slices",
        "sort",
    }
    | {
        "strconv",
        "strings",
        "sync",
        "syscall",
        "testing",
        "text",
        "time",
        "unicode",
        "unique",
        "unsafe",
        "weak",
    }
)
"""First parts of Go's own packages (https://pkg.go.dev/std)."""


def _go(module: str, from_path: str, index: PathIndex) -> Iterator[str]:
    parts = module.split("/")
    if parts[0] in _GO_STANDARD:
        return
    for start in range(len(parts)):  # the longest end of the import path that is a folder here
        folders = _closest(index.folders_ending_in("/".join(parts[start:])), from_path)
        found = [path for folder in folders for path in index.in_folder(folder) if path.endswith(".go")]
        if found:
            yield from (path for path in found if not path.endswith("_test.go"))
            return
    if f"{parts[-1]}.go" in index:  # the module's own root folder
        yield f"{parts[-1]}.go"


def _rust(import_: Import, from_path: str, index: PathIndex) -> Iterator[str]:
    parts = [part for part in import_.module.split("::") if part]
    if import_.name and import_.name != "*":
        parts.append(import_.name)
    folder, name = posixpath.split(from_path)
    stem = name.removesuffix(".rs")
    own = folder if stem in ("mod", "lib", "main", "build") else _under(folder, stem)
    before, source, _ = f"/{folder}/".rpartition("/src/")
    crate = _under(before.strip("/"), "src") if source else folder
    first = parts[0] if parts else ""
    if first == "crate":
        yield from _rust_files(crate, parts[1:], crate)
    elif first in ("self", "super"):
        while parts and parts[0] in ("self", "super"):
            own = posixpath.dirname(own) if parts.pop(0) == "super" else own
        yield from _rust_files(own, parts, crate)
    elif parts:
        yield from _rust_files(own, parts, None)
        for crate_name in (first, first.replace("_", "-")):  # another crate of the workspace
            for home in _closest(index.folders_ending_in(f"{crate_name}/src"), from_path):
                yield from _rust_files(home, parts[1:], home)


def _rust_files(base: str, parts: list[str], crate: str | None) -> Iterator[str]:
    """The deepest module that is a file; what is left of the path are items within it."""
    for length in range(len(parts), 0, -1):
        stem = _under(base, *parts[:length])
        yield f"{stem}.rs"
        yield f"{stem}/mod.rs"
    if crate is not None:
        if base != crate:
            yield f"{base}.rs"
        yield from (_under(base, "mod.rs"), _under(crate, "lib.rs"), _under(crate, "main.rs"))


def _java(import_: Import, from_path: str, index: PathIndex) -> Iterator[str]:
    module = import_.module.replace(".", "/")
    if import_.name == "*":
        for folder in _closest(index.folders_ending_in(module), from_path):
            yield from (path for path in index.in_folder(folder) if path.endswith(".java"))
    elif import_.name:
        yield from _closest(index.ending_in(f"{module}/{import_.name}.java"), from_path)
    if "/" in module:  # a member of a class: the module is the class
        yield from _closest(index.ending_in(f"{module}.java"), from_path)


def _include(module: str, from_path: str, index: PathIndex) -> Iterator[str]:
    relative = posixpath.normpath(posixpath.join(posixpath.dirname(from_path), module))
    yield relative
    plain = re.sub(r"^(?:\.\.?/)+", "", module)
    yield from (f"include/{plain}", f"src/{plain}", plain)
    yield from _closest(index.ending_in(plain), from_path)
