"""Where a text has syntax errors: so that an edit can be held to adding none."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import tree_sitter

from indexer.parsing.languages import has_grammar, parse

TIMEOUT_S = 2.0
"""Of a processor, for one text: 1 MB takes 0.3 s."""

MOST_ERRORS = 1_000
"""A text with more is no code of its language."""

UNSURE = frozenset({"kotlin", "scala", "swift"})
"""Whose grammars find errors in much that compiles."""

_MACRO_LINE = re.compile(r"^[ \t]*[A-Z][A-Z0-9_]{2,}(?:\([^()\n]*\))?[ \t]*$", re.MULTILINE)
"""Of C and C++, where nothing else stands on a line: what it stands for may be anything, a brace too."""

_PREPROCESSED = frozenset({"c", "cpp"})


def tells_errors(language: str | None) -> bool:
    """Whether errors of this language's texts can be told."""
    return has_grammar(language) and language not in UNSURE


@functools.lru_cache(maxsize=16)
def error_lines(text: str, language: str) -> Sequence[int] | None:
    """The lines, from 0, that errors begin on, each as often as errors do, in order; None where that cannot be told.
    For language that `tells_errors`."""
    if language in _PREPROCESSED:
        text = _MACRO_LINE.sub("", text)
    tree = parse(text.encode("utf-8", "replace"), language, TIMEOUT_S)
    if tree is None:
        return None
    found: list[int] = []
    pending: list[tree_sitter.Node] = [tree.root_node]
    while pending and len(found) < MOST_ERRORS:
        node = pending.pop()
        if node.is_error or node.is_missing:
            found.append(node.start_point.row)
        elif node.has_error:
            pending += node.children
    return tuple(sorted(found))
