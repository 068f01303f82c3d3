"""The names of one content, arranged for lookups: what is at its top, within what, and imported where."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from indexer.parsing.imports import Import
from indexer.parsing.tags import FUNCTION_KINDS, TYPE_KINDS, Tag

OF_TYPES = TYPE_KINDS | {"type"}
"""Kinds that may have members and instances."""

TOP = -1
"""The scope that is in no definition."""

Named = Mapping[str, tuple[int, ...]]
"""Name → ordinals of definitions."""

_NOTHING: Named = {}
_NO_IMPORTS: Mapping[str, tuple[int, ...]] = {}


class Table:
    """Facts of one living text. Ordinals are those of `tags`, by place; scopes are ordinals, or `TOP`."""

    __slots__ = (
        "_bound",
        "_inside",
        "_open",
        "_parents",
        "_top",
        "exports",
        "exports_more",
        "family",
        "imports",
        "path",
        "stars",
        "tags",
        "types",
    )

    def __init__(
        self,
        path: str,
        family: str | None,
        tags: Sequence[Tag],
        imports: Sequence[Import],
        types: Mapping[str, str],
    ) -> None:
        self.path = path
        self.family = family
        self.tags = tags
        self.imports = imports
        self.types = types
        self.exports: dict[str, str] = {}
        """What it says that it hands on: name → local name. Python's `__all__`, and what ECMAScript renames."""
        self.exports_more = True
        """Whether other names are handed on too."""
        self.stars: dict[int, tuple[int, ...]] = {}
        """Scope → its imports of everything, in order."""
        self._bound: dict[int, dict[str, tuple[int, ...]]] = {}
        self._top: Named | None = None
        self._parents: list[int] | None = None
        self._inside: dict[int, dict[str, tuple[int, ...]]] = {}
        self._open: dict[str, dict[str, tuple[int, ...]]] = {}
        self._arrange_imports()

    def _arrange_imports(self) -> None:
        first = self.tags[0].start_line if self.tags else 0
        bound = self._bound
        stars: defaultdict[int, list[int]] = defaultdict(list)
        for number, import_ in enumerate(self.imports):
            if not import_.module and not import_.level:
                if import_.name != "*":
                    self.exports[import_.alias] = import_.name or ""
                continue
            scope = TOP if import_.line < first else self.innermost(import_.line)
            if import_.name == "*":
                stars[scope].append(number)
                continue
            local = import_.alias
            if not local and self.family == "python":  # `import a.b` binds `a`
                local = import_.module.partition(".")[0]
            if local:
                local = sys.intern(local)  # held for as long as the file's bindings
                names = bound.setdefault(scope, {})
                names[local] = (*names.get(local, ()), number)
        of_all = (
            [one for one in self.imports if not one.module and not one.level]
            if self.family == "python"
            else []
        )
        self.exports_more = not of_all or any(one.name == "*" for one in of_all)
        self.stars = {scope: tuple(numbers) for scope, numbers in stars.items()}

    def bound(self, scope: int) -> Mapping[str, tuple[int, ...]]:
        """Local name → the imports that bind it right in this scope, in order."""
        return self._bound.get(scope, _NO_IMPORTS)

    def innermost(self, line: int) -> int:
        """The last definition around a line; `TOP` when there is none."""
        found = TOP
        for ordinal, tag in enumerate(self.tags):
            if tag.start_line > line:
                break
            if tag.end_line > line and (
                tag.kind in FUNCTION_KINDS or tag.kind in TYPE_KINDS or tag.kind == "module"
            ):
                found = ordinal
        return found

    @property
    def top(self) -> Named:
        """Definitions that stand in nothing else; in C++, namespaces count for nothing."""
        if self._top is None:
            found: dict[str, tuple[int, ...]] = {}
            for ordinal, tag in enumerate(self.tags):
                if not tag.container or (self.family == "c" and self._in_namespaces(ordinal)):
                    found[tag.name] = (*found.get(tag.name, ()), ordinal)
            self._top = found
        return self._top

    def _in_namespaces(self, ordinal: int) -> bool:
        parent = self.parent(ordinal)
        while parent != TOP and self.tags[parent].kind == "module":
            if not self.tags[parent].container:
                return True
            parent = self.parent(parent)
        return False

    def parent(self, ordinal: int) -> int:
        """The definition that one stands in; `TOP` also for those that only name their container."""
        if self._parents is None:
            self._arrange()
        assert self._parents is not None
        return self._parents[ordinal]

    def chain(self, ordinal: int) -> Iterator[int]:
        """The definition and those around it, innermost first; nothing for `TOP`."""
        while ordinal != TOP and ordinal < len(self.tags):
            yield ordinal
            ordinal = self.parent(ordinal)

    def inside(self, ordinal: int) -> Named:
        """What stands right in a definition."""
        if self._parents is None:
            self._arrange()
        return self._inside.get(ordinal, _NOTHING)

    def belonging(self, container: str) -> Named:
        """What names a container that it does not stand in: methods of Go, `impl`s, C++ outside of its class."""
        if self._parents is None:
            self._arrange()
        return self._open.get(container, _NOTHING)

    @property
    def open_containers(self) -> Mapping[str, Named]:
        if self._parents is None:
            self._arrange()
        return self._open

    def _arrange(self) -> None:
        parents: list[int] = []
        around: list[int] = []
        for ordinal, tag in enumerate(self.tags):
            while around and self.tags[around[-1]].end_line <= tag.start_line:
                around.pop()
            parent = TOP
            if tag.container:
                for candidate in reversed(around):
                    outer = self.tags[candidate]
                    if outer.name == tag.container and outer.end_line >= tag.end_line:
                        parent = candidate
                        break
            parents.append(parent)
            if tag.container:
                names = (
                    self._open.setdefault(tag.container, {})
                    if parent == TOP
                    else self._inside.setdefault(parent, {})
                )
                names[tag.name] = (*names.get(tag.name, ()), ordinal)
            around.append(ordinal)
        self._parents = parents
