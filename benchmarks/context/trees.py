"""Syntax trees of TypeScript and Go for those who cut cases: the bare grammars, and nothing of the index.

What is measured (the index) must have no part in what it is measured by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import tree_sitter
import tree_sitter_go
import tree_sitter_typescript

from benchmarks.context.python_modules import LEFT_OUT

_GRAMMARS = {
    ".ts": tree_sitter.Language(tree_sitter_typescript.language_typescript()),
    ".tsx": tree_sitter.Language(tree_sitter_typescript.language_tsx()),
    ".go": tree_sitter.Language(tree_sitter_go.language()),
}
_LONG_STRINGS = frozenset({"string", "template_string", "raw_string_literal", "comment"})


class SourceFile:
    """One file with its tree. Rows count from 0."""

    def __init__(self, path: str, source: str) -> None:
        """Raises ValueError where it cannot be parsed as a whole."""
        self.path = path
        self.lines = source.splitlines(keepends=True)
        if len(self.lines) != source.count("\n") + (not source.endswith("\n")):
            raise ValueError(f"{path}: other line ends than \\n")
        self.top = tree_sitter.Parser(_GRAMMARS[Path(path).suffix]).parse(source.encode()).root_node
        if self.top.has_error:
            raise ValueError(f"{path}: it does not parse")

    def in_long_strings(self) -> set[int]:
        """Rows that touch a string or a comment of several lines."""
        return {
            row
            for node in everything(self.top)
            if node.type in _LONG_STRINGS and node.end_point.row > node.start_point.row
            for row in range(node.start_point.row, node.end_point.row + 1)
        }


def everything(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    """The node and all below it, in the order of the text."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def written(node: tree_sitter.Node | None) -> str:
    return (node.text or b"").decode() if node is not None else ""


def files(root: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Paths of source files, without folders in which nobody of the project writes."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT and not name.startswith("."))
        for name in sorted(names):
            if name.endswith(suffixes):
                yield (Path(folder) / name).relative_to(root).as_posix()


def read(root: Path, suffixes: tuple[str, ...]) -> Iterator[SourceFile]:
    """Those that can be parsed."""
    for path in files(root, suffixes):
        try:
            yield SourceFile(path, (root / path).read_text("utf-8"))
        except ValueError:
            continue
