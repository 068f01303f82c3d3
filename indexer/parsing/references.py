"""Makes references out of the names that a query has marked: one per name, line and receiver.

Names that are used without being called (`name`) count only when they are written like a class or constant; those
marked as `value` also when this file imports or defines them. A local variable or parameter is no reference."""

from __future__ import annotations

from collections.abc import Set

import msgspec
import tree_sitter

from indexer.parsing.definitions import Definitions
from indexer.parsing.localscopes import Scopes, Standing
from indexer.parsing.receivers import UNKNOWN, Receivers
from indexer.parsing.source import Source


class Site(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One reference. Lines are 0-based, columns count characters."""

    line: int
    column: int
    kind: str
    """`call`, `class`, `type`, `import` or `name`."""
    receiver: str = ""
    """What stands before the dot, as far as the file alone tells (see `receivers`); empty for a bare name,
    unless that is a local variable: then `?`."""
    within: int = -1
    """Ordinal of the enclosing definition among those of the file `by_place`; -1 at the top."""


Candidate = tuple[str, int, tree_sitter.Node | None, int]
"""Kind, where the name ends, receiver, number of the pattern."""


class Candidates(msgspec.Struct):
    """Names that may be references. Of several for one place, what says more wins: whatever has a receiver, then
    the pattern that comes first in the query."""

    said: dict[int, Candidate] = {}
    """By where a name begins."""
    names: dict[int, Candidate] = {}
    """The same of capitalized names that are used without being called."""
    values: list[tuple[int, int]] = []
    """Where other names begin and end that may stand for a function or class."""


_NO_CALLS = frozenset({"name", "value"})
_MAY_BE_VARIABLES = _NO_CALLS | {"call", "class"}


def sites(
    candidates: Candidates,
    definitions: Definitions,
    own_names: Set[bytes],
    builtin: Set[str],
    scopes: Scopes,
    receivers: Receivers | None,
    source: Source,
) -> dict[str, list[Site]]:
    """`own_names`: those that this file imports or defines; `builtin`: types that are none of anybody's."""
    data, names, starts, ascii_only = source.data, source.names, source.line_starts, source.ascii
    said = {**candidates.names, **candidates.said}
    for start, end in candidates.values:
        if data[start:end] in own_names and start not in said:
            said[start] = "value", end, None, 0
    variables = _NO_CALLS if receivers is not None and receivers.calls_no_variables else _MAY_BE_VARIABLES
    found: dict[str, list[Site]] = {}
    standings: dict[tuple[int, str], Standing] = {}
    ordered = sorted(said.keys() - definitions.name_starts)
    for start, line, within, scope in zip(
        ordered, source.lines(ordered), definitions.within(ordered), scopes.at_each(ordered), strict=True
    ):
        kind, end, before, _ = said[start]
        raw = data[start:end]
        if raw[:1] == b"`":  # see `definitions.find`
            raw, start = raw.strip(b"`"), start + 1
        name = names.get(raw) or source.decode_name(raw)
        if not name or (kind == "type" and name in builtin):
            continue
        receiver = ""
        if before is not None:
            receiver = receivers.of(before, scope) if receivers is not None else UNKNOWN
        elif kind in variables:
            key = scope, name
            standing = standings.get(key)
            if standing is None:
                standing = standings[key] = scopes.standing(scope, name)
            if kind == "value":
                if standing is not Standing.OWN:
                    continue
                kind = "name"
            elif standing is Standing.LOCAL:
                if kind == "name":
                    continue
                receiver = UNKNOWN
        column = start - starts[line] if ascii_only else source.column(start, line)
        known = found.get(name)
        if known is None:
            found[name] = [Site(line, column, kind, receiver, within)]
        elif known[-1].line != line or not _is_among(known, line, receiver):
            known.append(Site(line, column, kind, receiver, within))
    return found


def _is_among(sites: list[Site], line: int, receiver: str) -> bool:
    """Whether the last of them, those on this line, have one with this receiver."""
    for site in reversed(sites):
        if site.line != line:
            break
        if site.receiver == receiver:
            return True
    return False
