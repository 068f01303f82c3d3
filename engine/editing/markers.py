"""The lines of the text form that are no content: headers with paths, openers, dividers, closers."""

from __future__ import annotations

import json
import re

from engine.editing.blocks import HEADER, MARKER_CHARS, NO_NEWLINE, RENAMED, Kind

HEADER_LINE = re.compile(rf"^\s*{HEADER} +(?P<kind>[a-z]+) +(?P<rest>\S.*)$")
OPENER_LINE = re.compile(
    rf"^(?P<marks><{{{MARKER_CHARS},}}) (?P<word>SEARCH|TEXT|LINES (?P<first>\d{{1,9}})(?: ?- ?(?P<last>\d{{1,9}}))?"
    r"|AFTER (?P<after>\d{1,9}))\s*$"
)
_END = rf"(?P<cut>{re.escape(NO_NEWLINE)})?\s*$"
FENCE_LINE = re.compile(r"^\s*(```|~~~)")
KINDS: dict[str, Kind] = {"replace": "replace", "create": "create", "delete": "delete", "rename": "rename"}

_SAID: dict[str, str] = {
    "<": " (?:SEARCH|TEXT|LINES [0-9 -]+|AFTER [0-9]+)",
    "=": "",
    ">": "(?: (?:REPLACE|TEXT|END))?",
}


def marker(line: str, length: int) -> re.Match[str] | None:
    """A marker within a block whose markers are of just this length, None for any other line. Its group `cut` is there
    where the text before it has no last line end."""
    mark = line[:1]
    if not mark or mark not in _SAID or not line.startswith(mark * length):
        return None
    return re.match(f"^{mark}{{{length}}}{_SAID[mark]}{_END}", line)


def text_of(lines: list[str], *, cut: bool) -> str:
    """Lines as a text; with `cut` the last one has no end."""
    text = "".join(f"{line}\n" for line in lines)
    return text[:-1] if cut else text


def paths_of(rest: str, count: int) -> list[str] | str:
    """The paths that a header names, or what is wrong with them."""
    found: list[str] = []
    rest = rest.rstrip()
    while rest and len(found) < count:
        wants_another = len(found) + 1 < count
        if rest.startswith('"'):
            try:
                path, length = json.JSONDecoder().raw_decode(rest)
            except ValueError:
                return f"the path {rest[:80]} is no JSON string"
            rest = rest[length:].removeprefix(RENAMED) if wants_another else rest[length:].strip()
        else:
            path, _, rest = rest.partition(RENAMED) if wants_another else (rest, "", "")
            path = path.strip().strip("`").removesuffix(":").strip("`")
        found.append(str(path))
    if rest or len(found) < count or not all(found):
        return f"the header is to name {'a path, an arrow (->) and a path' if count > 1 else 'one path'}"
    return found
