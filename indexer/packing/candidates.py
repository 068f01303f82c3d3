"""Gathers what a model may need to read before it writes at a cursor, each with what speaks for it.

What the file imports and uses, what is named near the cursor and nowhere explained, members of what stands there, what
the files beside it use, what is called by words that stand near the cursor, what search finds, and what has just been
worked on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from indexer.messages import Definition, Hit
from indexer.modules.bindings import Binding, Bindings, Written
from indexer.packing.evidence import Candidate
from indexer.packing.focus import focus
from indexer.packing.lookup import Lookup
from indexer.packing.pool import Pool, closeness, first
from indexer.packing.probes import Probed, Typed
from indexer.packing.spans import CONSTRUCTORS
from indexer.packing.surroundings import Surroundings, Use, statement_lines
from indexer.packing.telling import TYPES, Telling
from indexer.packing.view import IndexView

MAX_NAMED = 60
"""Names that are looked up, nearest first: some 20 lines of code have no more that matter."""

MAX_LIKE = 120
"""Names that are looked up because of their words."""

MAX_SIBLING = 120
"""Names that are looked up because the files beside this one use them."""

MAX_POPULAR = 100
"""Names that are looked up because many files use them."""

MAX_OF_MODULE = 150
"""Definitions of an imported module."""

MAX_MEMBERS = 120
"""Of one class."""

MAX_OVERLAYS = 8
"""Unsaved documents that are shown for themselves; what others define still counts through names."""


class Gathering:
    """All of them but what search finds, for which nobody waits until the rest is there. Never of the cursor's file."""

    def __init__(self, view: IndexView, own_path: str, written: Probed, around: Surroundings) -> None:
        view = view.hiding(own_path)  # `written` is newer than any view of what the cursor's file defines
        lookup = Lookup(view, (tag.name for tag in written.tags.definitions))
        as_written = Written(view, own_path, written.tags)
        bindings = Bindings(view.graph, as_written, own_path)
        bound = bindings.of(written.tags.imports)
        pool = Pool(own_path)
        _imported(pool, lookup, bindings, bound, around)
        _typed(pool, lookup, written.types(view.graph, as_written, own_path))
        _named(pool, lookup, written, bound, around)
        likeness = dict(view.lexicon.like(around.words, MAX_LIKE))
        several = dict.fromkeys(
            _by_name(pool, lookup, likeness, "lexical", "called like what stands near the cursor: `{name}`")
        )
        used = view.used_beside(own_path)
        wanted = _most(used, MAX_SIBLING)
        several |= dict.fromkeys(
            _by_name(pool, lookup, wanted, "sibling", "used by the files beside this one: `{name}`")
        )
        liked = view.popular(MAX_POPULAR)
        several |= dict.fromkeys(
            _by_name(pool, lookup, dict.fromkeys(liked, 1.0), "popular", "used all over: `{name}`")
        )
        _of_modules(pool, bindings, bound, several)
        _worked_on(pool, view, lookup, own_path)
        self._pool, self._lookup, self._said = pool, lookup, around.words
        self._told = Telling(view, own_path, around.words, used)
        self._tell()

    def with_hits(self, hits: Sequence[Hit]) -> list[Candidate]:
        """By place; the same inputs give the same."""
        _found(self._pool, self._lookup, hits, self._said)
        self._tell()
        return self._pool.candidates()

    def _tell(self) -> None:
        for candidate in self._pool.fresh():
            self._told.of(candidate)


# ------------------------------------------------------------ what the file itself says


def _imported(
    pool: Pool, lookup: Lookup, bindings: Bindings, bound: Sequence[Binding], around: Surroundings
) -> None:
    near = {use.name: use.distance for use in reversed(around.near) if not use.owner}
    lines = around.text.split("\n")
    starts = {binding.import_line for binding in bound}
    import_lines = frozenset(number for start in starts for number in statement_lines(lines, start))
    for binding in bound:
        if not binding.definitions:
            _of_module(pool, lookup, bindings, binding, around)
            continue
        used = around.used(binding.local, import_lines)
        if used and binding.local in near:
            feature, strength = "imported_near", closeness(near[binding.local])
        elif used:
            feature, strength = "imported_used", 1.0
        elif binding.star:
            feature, strength = "module", 1.0
        else:
            feature, strength = "imported_new", 1.0
        reason = _imported_reason(binding, new=feature == "imported_new")
        for definition in binding.definitions:
            pool.add(definition, feature, strength, reason)
            if used:
                pool.add(definition, "imported_used", 1.0, "")
            if definition.kind in TYPES and feature in ("imported_near", "imported_new"):
                _members(
                    pool, lookup, definition, "part", strength, f"member of imported `{definition.name}`"
                )


def _of_module(
    pool: Pool, lookup: Lookup, bindings: Bindings, binding: Binding, around: Surroundings
) -> None:
    """What is used of an imported module, nearest first, and what it has at its top."""
    for use in around.near:
        found = bindings.attribute(binding, use.name) if use.owner == binding.local else None
        for definition in () if found is None else found[1]:
            reason = f"imported: `{binding.local}.{use.name}` from {definition.path}"
            pool.add(definition, "attribute", closeness(use.distance), reason)
    reason = f"imported module: `{binding.local}`"
    for path in binding.paths:
        top = [one for one in lookup.in_path(path) if not one.container and not one.name.startswith("_")]
        for definition in first(top, MAX_OF_MODULE):
            pool.add(definition, "module", 1.0, reason)


def _typed(pool: Pool, lookup: Lookup, names: Sequence[Typed]) -> None:
    """Classes of objects at the cursor, what they have their members from, and those."""
    for name in names:
        for nth, definition in enumerate(name.classes):
            what = f"`{name.written}` is of `{name.classes[0].name}`"
            reason = what if not nth else f"{what}, a kind of `{definition.name}`"
            strength = closeness(name.distance + nth)
            pool.add(definition, "typed", strength, reason)
            _members(pool, lookup, definition, "member", strength, reason)


def _members(
    pool: Pool, lookup: Lookup, owner: Definition, feature: str, strength: float, reason: str
) -> None:
    for definition in first(lookup.members(owner), MAX_MEMBERS):
        pool.add(definition, feature, strength, reason)
        if definition.name in CONSTRUCTORS:
            pool.add(definition, "maker", strength, f"makes a `{owner.name}`")


def _named(
    pool: Pool,
    lookup: Lookup,
    written: Probed,
    bound: Sequence[Binding],
    around: Surroundings,
) -> None:
    """Names that the file uses and does not explain, but the root defines."""
    explained = {binding.local for binding in bound}
    explained |= {tag.name for tag in written.tags.definitions if not tag.container}
    looked_up: set[str] = set()
    for use in around.near:
        if use.name in looked_up or (use.name in explained and not use.owner):
            continue
        if len(looked_up) == MAX_NAMED:
            break
        looked_up.add(use.name)
        _same_name(pool, lookup, use.name, "named", closeness(use.distance), _near_reason(use))
    for name, sites in written.tags.references.items():
        if name not in looked_up and name not in explained and any(not site.receiver for site in sites):
            _same_name(pool, lookup, name, "in_file", 1.0, f"used in this file: `{name}`")


def _same_name(pool: Pool, lookup: Lookup, name: str, feature: str, strength: float, reason: str) -> bool:
    """Whether several definitions have this name."""
    if name.startswith("__") and name.endswith("__"):
        return False  # special methods are everywhere and mean nothing by name
    found = lookup.named(name)
    for definition in found.few:
        pool.add(definition, feature, strength / found.places, reason)
    return found.places > 1


# ------------------------------------------------------------ what the root says


def _by_name(
    pool: Pool, lookup: Lookup, names: Mapping[str, float], feature: str, reason: str
) -> Iterator[str]:
    """Those that several definitions have."""
    for name, strength in names.items():
        if _same_name(pool, lookup, name, feature, strength, reason.format(name=name)):
            yield name


def _of_modules(pool: Pool, bindings: Bindings, bound: Sequence[Binding], names: Collection[str]) -> None:
    """Which of these names are to be had behind an imported module or package: of all that are called so, those."""
    for binding in bound:
        for name in names if not binding.definitions else ():
            found = bindings.attribute(binding, name)
            for definition in () if found is None else found[1]:
                reason = f"imported module: `{binding.local}.{name}` from {definition.path}"
                pool.add(definition, "module", 1.0, reason)


def _found(pool: Pool, lookup: Lookup, hits: Sequence[Hit], said: Mapping[str, float]) -> None:
    """What search has found: its lines, since they may be like what is written, and the definition that they are or
    stand in, since that may be named."""
    for rank, hit in enumerate(hits):
        strength, reason = 1.0 / (1.0 + rank / 4), f"search: {hit.why}"
        around = [
            one
            for one in lookup.in_path(hit.path)
            if one.start_line <= hit.start_line and hit.end_line <= one.end_line
        ]
        inner = min(around, key=lambda one: one.end_line - one.start_line, default=None)
        if inner is not None:
            pool.add(inner, "search", strength, reason)
        near = focus(hit.text, hit.start_line, said)
        pool.add_lines(hit.path, hit.start_line, hit.end_line, near, strength, reason)


def _worked_on(pool: Pool, view: IndexView, lookup: Lookup, own_path: str) -> None:
    """What has just been edited or looked at, and what is not saved."""
    for rank, edit in enumerate(view.history.edited):
        for definition in lookup.in_path(edit.path) if edit.path != own_path else ():
            if definition.start_line < edit.end_line and edit.start_line < definition.end_line:
                pool.add(definition, "edited", 1.0 / (1.0 + rank / 2), "worked on a moment ago")
    for path in sorted(set(view.unsaved()) - {own_path})[:MAX_OVERLAYS]:
        for definition in lookup.in_path(path):
            if not definition.container:
                pool.add(definition, "unsaved", 1.0, "unsaved document")


def _most(names: Mapping[str, float], most: int) -> dict[str, float]:
    return dict(sorted(names.items(), key=lambda pair: (-pair[1], pair[0]))[:most])


def _imported_reason(binding: Binding, *, new: bool) -> str:
    original = binding.definitions[0].name
    known_as = f" as `{binding.local}`" if binding.local != original else ""
    not_yet = ", not used yet" if new else ""
    return f"imported: `{original}`{known_as} from {binding.paths[0]}{not_yet}"


def _near_reason(use: Use) -> str:
    if use.distance == 0:
        return f"named at the cursor: `{use.name}`"
    lines = "line" if use.distance == 1 else "lines"
    return f"named {use.distance} {lines} from the cursor: `{use.name}`"
