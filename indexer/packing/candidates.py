"""Ranks what a model should read before it writes at a cursor, each with the reason why.

What the file imports and uses near the cursor comes first, nearest first; then what it imports and does not
use yet (a fresh import is about to be used); names near the cursor that are defined elsewhere; the file's
other imports; unsaved documents; and last what search finds for the text around the cursor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import IntEnum

import msgspec

from indexer.messages import Definition, Hit
from indexer.modules.bindings import Binding, Bindings, Written
from indexer.packing.probes import Probed, Typed
from indexer.packing.surroundings import Surroundings, Use, statement_lines
from indexer.packing.view import IndexView

MAX_SAME_NAME = 4
"""A name that more places define says nothing about which one is meant (`get`, `run`, `__init__`)."""

MAX_NAMED = 40
"""Near names that are looked up, nearest first: some 20 lines of code have no more that matter."""

MAX_OVERLAYS = 8
"""Unsaved documents that are shown for themselves; what others define still counts through names."""


class Tier(IntEnum):
    """Order of choice when the budget is short."""

    NEAR_IMPORT = 0
    NEW_IMPORT = 1
    TYPE = 2
    NEAR_NAME = 3
    OTHER_IMPORT = 4
    MODULE = 5
    OVERLAY = 6
    SEARCH = 7


class Candidate(msgspec.Struct, frozen=True):
    """Lines of a file that may be worth their tokens. With `outline`, only headers of the file's
    definitions."""

    path: str
    start_line: int
    end_line: int
    tier: Tier
    distance: int
    reason: str
    definition: Definition | None = None
    outline: bool = False
    members: bool = False
    """It is a class of whose objects a member is about to be named: its members count, not their bodies."""


def ranked(
    view: IndexView, own_path: str, written: Probed, around: Surroundings, line: int
) -> list[Candidate]:
    """Everything but search, best first; the same inputs give the same order. Never the cursor's file."""
    as_written = Written(view, own_path, written.tags)
    bindings = Bindings(view.graph, as_written, own_path)
    bound = bindings.of(written.tags.imports)
    found = [*_imported(bindings, bound, around, line)]
    found.extend(_typed(written.types(view.graph, as_written, own_path), own_path))
    found.extend(_named(view, own_path, bound, around))
    found.extend(_overlays(view, bindings.files, own_path))
    found.sort(key=lambda one: (one.tier, one.distance, one.path, one.start_line, one.end_line))
    return found


def from_search(hits: Sequence[Hit], own_path: str) -> list[Candidate]:
    """Hits in their order."""
    return [
        Candidate(hit.path, hit.start_line, hit.end_line, Tier.SEARCH, rank, f"search: {hit.why}")
        for rank, hit in enumerate(hits)
        if hit.path != own_path
    ]


def _imported(
    bindings: Bindings, bound: Sequence[Binding], around: Surroundings, line: int
) -> Iterator[Candidate]:
    near = {use.name: use.distance for use in reversed(around.near) if not use.owner}
    lines = around.text.split("\n")
    starts = {binding.import_line for binding in bound}
    import_lines = frozenset(number for start in starts for number in statement_lines(lines, start))
    for binding in bound:
        if not binding.definitions:
            yield from _of_module(bindings, binding, around, import_lines)
            continue
        distances = (abs(used - line) for used in around.used(binding.local, import_lines))
        distance = min(distances, default=None)
        if distance is not None and binding.local in near:
            tier, distance = Tier.NEAR_IMPORT, near[binding.local]
        elif distance is not None:
            tier = Tier.OTHER_IMPORT
        elif binding.star:
            continue
        else:
            tier, distance = Tier.NEW_IMPORT, abs(line - binding.import_line)
        for definition in binding.definitions:
            yield _of_definition(definition, tier, distance, _imported_reason(binding, tier))


def _of_module(
    bindings: Bindings, binding: Binding, around: Surroundings, import_lines: frozenset[int]
) -> Iterator[Candidate]:
    """What is used of an imported module, nearest first, and its outline."""
    for use in around.near:
        found = bindings.attribute(binding, use.name) if use.owner == binding.local else None
        for definition in () if found is None else found[1]:
            reason = f"imported: `{binding.local}.{use.name}` from {definition.path}"
            yield _of_definition(definition, Tier.NEAR_IMPORT, use.distance, reason)
    unused = not around.used(binding.local, import_lines)
    reason = f"imported module: `{binding.local}`"
    yield Candidate(binding.paths[0], 0, 0, Tier.MODULE, int(unused), reason, outline=True)


def _typed(names: Sequence[Typed], own_path: str) -> Iterator[Candidate]:
    """Classes of objects at the cursor, and what they have their members from."""
    seen: set[tuple[str, int]] = set()
    for name in names:
        for nth, definition in enumerate(name.classes):
            place = definition.path, definition.start_line
            if definition.path != own_path and place not in seen:
                seen.add(place)
                what = f"`{name.written}` is of `{name.classes[0].name}`"
                reason = what if not nth else f"{what}, a kind of `{definition.name}`"
                found = _of_definition(definition, Tier.TYPE, name.distance + nth, reason)
                yield msgspec.structs.replace(found, members=True)


def _named(
    view: IndexView, own_path: str, bound: Sequence[Binding], around: Surroundings
) -> Iterator[Candidate]:
    """Names near the cursor that the file does not import but the root defines."""
    imported = {binding.local for binding in bound}
    imported_paths = {path for binding in bound for path in binding.paths}
    own = {definition.name for definition in view.definitions_in(own_path) if not definition.container}
    package = own_path.rpartition("/")[0]
    looked_up: set[str] = set()
    for use in around.near:
        if use.name in looked_up or use.name in imported or (use.name in own and not use.owner):
            continue
        looked_up.add(use.name)
        if len(looked_up) > MAX_NAMED:
            return
        definitions = [one for one in view.definitions_named(use.name) if one.path != own_path]
        here = [one for one in definitions if one.path in imported_paths]
        chosen = here or [one for one in definitions if one.path.rpartition("/")[0] == package] or definitions
        if len(chosen) > MAX_SAME_NAME or not _tells(use):
            continue
        for definition in chosen:
            yield _of_definition(definition, Tier.NEAR_NAME, use.distance, _near_reason(use))


def _tells(use: Use) -> bool:
    """Special methods are everywhere and mean nothing by name."""
    return not (use.name.startswith("__") and use.name.endswith("__"))


def _overlays(view: IndexView, files: Collection[str], own_path: str) -> Iterator[Candidate]:
    unsaved = sorted(path for path in files if path != own_path and view.is_overlay(path))
    for path in unsaved[:MAX_OVERLAYS]:
        yield Candidate(path, 0, 0, Tier.OVERLAY, 0, "unsaved document", outline=True)


def _of_definition(definition: Definition, tier: Tier, distance: int, reason: str) -> Candidate:
    start, end = definition.start_line, definition.end_line
    return Candidate(definition.path, start, end, tier, distance, reason, definition)


def _imported_reason(binding: Binding, tier: Tier) -> str:
    original = binding.definitions[0].name
    known_as = f" as `{binding.local}`" if binding.local != original else ""
    not_yet = ", not used yet" if tier is Tier.NEW_IMPORT else ""
    return f"imported: `{original}`{known_as} from {binding.paths[0]}{not_yet}"


def _near_reason(use: Use) -> str:
    if use.distance == 0:
        return f"named at the cursor: `{use.name}`"
    lines = "line" if use.distance == 1 else "lines"
    return f"named {use.distance} {lines} from the cursor: `{use.name}`"
