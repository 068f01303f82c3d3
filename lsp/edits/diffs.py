"""What an edit changes, as a unified diff in git's form: people read it, `git apply` and `patch -p1` take it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

from lsp.edits.applying import FileChange

NO_NEWLINE = "\\ No newline at end of file\n"
NEW_MODE = "100644"

_QUOTED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def unified(changes: Iterable[FileChange]) -> str:
    """All of it; empty where nothing changes."""
    return "".join(part for change in changes for part in _file(change))


def _file(change: FileChange) -> Iterator[str]:
    old, new = _named("a/", change.path), _named("b/", change.new_path)
    yield f"diff --git {old} {new}\n"
    if change.before is None:
        yield f"new file mode {NEW_MODE}\n"
        old = "/dev/null"
    elif change.after is None:
        yield f"deleted file mode {NEW_MODE}\n"
        new = "/dev/null"
    elif change.path != change.new_path:
        yield f"rename from {_named('', change.path)}\nrename to {_named('', change.new_path)}\n"
    before = change.before.text if change.before is not None else ""
    hunks = [*difflib.unified_diff(_lines(before), _lines(change.after or ""), old, new)]
    yield from (line if line.endswith("\n") else f"{line}\n{NO_NEWLINE}" for line in hunks)


def _lines(text: str) -> list[str]:
    """As diff counts them: at `\\n` alone."""
    return re.findall(r"[^\n]*\n|[^\n]+$", text)


def _named(side: str, path: str) -> str:
    """As git writes paths that hold what would end them."""
    named = f"{side}{path}"
    if not any(char in _QUOTED or ord(char) < ord(" ") for char in named):
        return named
    return (
        '"'
        + "".join(_QUOTED.get(char, char if char >= " " else f"\\{ord(char):03o}") for char in named)
        + '"'
    )
