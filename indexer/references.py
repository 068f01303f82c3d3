"""Makes references out of the names that a query has marked: one per name, line and receiver.

Names that are used without being called (`name`) count only when they are written like a class or constant; those
marked as `value` also when this file imports or defines them. A local variable or parameter is no reference."""

from __future__ import annotations

from collections.abc import Set

import msgspec
import tree_sitter

from indexer.definitions import Definitions
from indexer.localscopes import Scopes
from indexer.receivers import UNKNOWN, Receivers
from indexer.source import Source


class Site(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One reference. Lines are 0-based, columns count characters."""

    line: int
    column: int
    kind: str
    """`call`, `class`, `type`, `import` or `name`."""
    receiver: str = ""
    """What stands before the dot, as far as the file alone tells (see `indexer.receivers`); empty for a bare name,
    unless that is a local variable: then `?`."""
    within: int = -1
    """Ordinal of the enclosing definition among those of the file `by_place`; -1 at the top."""


class Candidates(msgspec.Struct):
    """Names that may be references. Of several for one place, what says more wins: whatever has a receiver, then
    the pattern that comes first in the query."""

    said: dict[int, tuple[str, int, tree_sitter.Node | None]] = {}
    """Where a name begins → kind, where it ends, receiver."""
    names: dict[int, tuple[str, int, tree_sitter.Node | None]] = {}
    """The same of capitalized names that are used without being called."""
    values: list[tuple[int, int]] = []
    """Where other names begin and end that may stand for a function or class."""


_MAY_BE_VARIABLES = frozenset({"call", "class", "name"})


def sites(
    candidates: Candidates,
    definitions: Definitions,
    known: Set[bytes],
    builtin: Set[str],
    scopes: Scopes,
    receivers: Receivers | None,
    source: Source,
) -> dict[str, list[Site]]:
    """`known`: names that this file imports or defines; `builtin`: types that are none of anybody's."""
    data, names, starts, ascii_only = source.data, source.names, source.line_starts, source.ascii
    said = {**candidates.names, **candidates.said}
    for start, end in candidates.values:
        if data[start:end] in known and start not in said:
            said[start] = "name", end, None
    variables = {"name"} if receivers is not None and receivers.calls_no_variables else _MAY_BE_VARIABLES
    found: dict[str, list[Site]] = {}
    seen: set[tuple[int, str, str]] = set()
    shadowed: dict[tuple[int, str], bool] = {}
    for start in sorted(said.keys() - definitions.name_starts):
        kind, end, before = said[start]
        raw = data[start:end]
        if raw[:1] == b"`":  # see `definitions.find`
            raw, start = raw.strip(b"`"), start + 1
        name = names.get(raw) or source.decode_name(raw)
        if name in builtin and kind == "type":
            continue
        receiver = ""
        if before is not None:
            receiver = receivers.of(before) if receivers is not None else UNKNOWN
        elif kind in variables:
            key = (scopes.at(start), name)
            local = shadowed.get(key)
            if local is None:
                local = shadowed[key] = scopes.shadows(*key)
            if local and kind == "name":
                continue
            receiver = UNKNOWN if local else ""
        line = source.line(start)
        place = (line, name, receiver)
        if not name or place in seen:
            continue
        seen.add(place)
        column = start - starts[line] if ascii_only else source.column(start, line)
        site = Site(line, column, kind, receiver, definitions.within(start))
        if name in found:
            found[name].append(site)
        else:
            found[name] = [site]
    return found
