"""One root as it is now, in memory: which path has which content, and where every name is defined."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from indexer.names.lexicon import Lexicon
from indexer.parsing.imports import PathIndex
from indexer.parsing.tags import Tag
from indexer.roots.definitions import DefinitionMemory
from indexer.store.contents import ManifestEntry, StoredContent
from indexer.store.sitecache import SiteCache

_versions = itertools.count(1)

_KEPT_INDEXES = 4
"""Each connection has its own unsaved documents; more than a few at work in one root are rare."""

_UNPACKED_DEFINITIONS = 20_000
"""Definitions of the contents asked for last are kept unpacked, about 8 MB: all of a middling repository, the
part of a large one that somebody works in."""


FEW = 16
"""Files that define one name and are remembered: more say nothing about which is meant."""

_KEPT_NAMES = 20_000
"""Some 4 MB: what packs in one part of a root ask about."""


class ShownPaths:
    """The paths of a root whose contents may be shown, ready for imports to be resolved. Kept until one comes or
    goes: it is asked for at every keystroke, and makes tens of milliseconds of work for 25,000 paths."""

    def __init__(self, manifest: Mapping[str, ManifestEntry], contents: Mapping[str, StoredContent]) -> None:
        self._manifest = manifest
        self._contents = contents
        self._lock = threading.Lock()
        self._indexes: OrderedDict[frozenset[str], PathIndex] = OrderedDict()

    def __contains__(self, path: str) -> bool:
        entry = self._manifest.get(path)
        content = self._contents.get(entry.key) if entry is not None else None
        return content is not None and not content.skipped

    def index(self, unsaved: Iterable[str]) -> PathIndex:
        """With the paths of these unsaved documents, new ones among them."""
        new = frozenset(path for path in unsaved if path not in self)
        with self._lock:
            if new not in self._indexes:
                shown = [path for path in self._manifest if path in self]
                self._indexes[new] = PathIndex([*shown, *new])
            self._indexes.move_to_end(new)
            while len(self._indexes) > _KEPT_INDEXES:
                self._indexes.popitem(last=False)
            return self._indexes[new]


class Maps(NamedTuple):
    """The maps of a root at one moment."""

    manifest: Mapping[str, ManifestEntry]
    paths_by_key: Mapping[str, tuple[str, ...]]
    shown: ShownPaths
    version: int
    """Differs from that of every other moment and root."""


class LiveRoot:
    """Changed by one task; readers on other threads take `now` once and see the maps of one moment. What hangs on
    contents (`contents`, names) only grows."""

    def __init__(self, manifest: Mapping[str, ManifestEntry], contents: Mapping[str, StoredContent]) -> None:
        self.contents: dict[str, StoredContent] = {}
        self.now = Maps(MappingProxyType({}), MappingProxyType({}), ShownPaths({}, self.contents), 0)
        self.sites = SiteCache()
        self.told = DefinitionMemory()
        self._lexicon: Lexicon | None = None
        self._making_lexicon = threading.Lock()
        self._learning = threading.Lock()
        """Held while a batch of names becomes known, in the lexicon as well."""
        self._names: dict[str, str | tuple[str, ...]] = {}
        """Name → contents that define it (most names have one); may name contents that no path has any
        longer."""
        self._few: tuple[int, dict[str, Sequence[str] | None]] = 0, {}
        """Version of the maps; name → paths."""
        self._unpacked: OrderedDict[str, tuple[Tag, ...]] = OrderedDict()
        self._unpacked_count = 0
        self._unpacking = threading.Lock()
        self.update(manifest, (), contents.values())

    def update(
        self,
        upserts: Mapping[str, ManifestEntry],
        deletes: Iterable[str],
        contents: Iterable[StoredContent],
    ) -> None:
        """Applies one batch of changes."""
        self._learn(content for content in contents if content.key not in self.contents)
        manifest = dict(self.now.manifest)
        paths = dict(self.now.paths_by_key)
        touched = (*upserts, *deletes)
        gone: defaultdict[str, set[str]] = defaultdict(set)
        for path in touched:
            before = manifest.pop(path, None)
            if before is not None:
                gone[before.key].add(path)
        come: defaultdict[str, list[str]] = defaultdict(list)
        for path, entry in upserts.items():
            manifest[path] = entry
            come[entry.key].append(path)
        for key in gone.keys() | come.keys():  # once for each: thousands of empty files share one
            left = [path for path in paths.get(key, ()) if path not in gone[key]] + come[key]
            if left:
                paths[key] = tuple(sorted(left))
            else:
                del paths[key]
        shown = ShownPaths(manifest, self.contents)
        if all((path in shown) == (path in self.now.shown) for path in touched):
            shown = self.now.shown
        self.now = Maps(MappingProxyType(manifest), MappingProxyType(paths), shown, next(_versions))

    @property
    def manifest(self) -> Mapping[str, ManifestEntry]:
        return self.now.manifest

    @property
    def paths_by_key(self) -> Mapping[str, tuple[str, ...]]:
        return self.now.paths_by_key

    def _learn(self, contents: Iterable[StoredContent]) -> None:
        fresh: defaultdict[str, list[str]] = defaultdict(list)
        for content in contents:
            self.contents[content.key] = content
            for name in content.distinct_names():
                fresh[name].append(content.key)
        with self._learning:
            if self._lexicon is not None:
                self._lexicon.learn(name for name in fresh if name not in self._names)
            for name, keys in fresh.items():
                keys = (*self._keys_defining(name), *keys)
                self._names[name] = keys[0] if len(keys) == 1 else keys

    def _keys_defining(self, name: str) -> tuple[str, ...]:
        keys = self._names.get(name, ())
        return (keys,) if isinstance(keys, str) else keys

    def defining(self, name: str, maps: Maps | None = None) -> Iterable[tuple[str, StoredContent]]:
        """(path, content) of every file that defines `name` in these maps (else as they are now), by path."""
        found = ((path, content.key) for path, content in self.places(name, maps))
        for path, key in sorted(found):
            yield path, self.contents[key]

    def places(self, name: str, maps: Maps | None = None) -> Iterator[tuple[str, StoredContent]]:
        """The same in no order, for whoever needs only the first few or their number: some names are defined by
        thousands of files."""
        paths_by_key = (maps or self.now).paths_by_key
        for key in self._keys_defining(name):
            for path in paths_by_key.get(key, ()):
                yield path, self.contents[key]

    def few_places(self, name: str, maps: Maps) -> Sequence[str] | None:
        """Paths that define `name`, found once for the same maps; None where there are many."""
        version, known = self._few
        if version != maps.version:
            version, known = self._few = maps.version, {}
        if name not in known:
            if len(known) >= _KEPT_NAMES:
                known.clear()
            found = [path for path, _ in itertools.islice(self.places(name, maps), FEW + 1)]
            known[name] = found if len(found) <= FEW else None
        return known[name]

    def names(self) -> list[str]:
        """All names that contents define, those of contents included that no path has any longer."""
        return list(self._names)

    @property
    def lexicon(self) -> Lexicon:
        """The same by their words. Made when somebody asks, and from then on kept up; from any thread."""
        if self._lexicon is not None:
            return self._lexicon
        with self._making_lexicon:
            if self._lexicon is None:
                with self._learning:
                    names = self.names()
                made = Lexicon(
                    names
                )  # takes a second in a large root: what is learned meanwhile does not wait
                with self._learning:
                    made.learn(itertools.islice(self._names, len(names), None))
                    self._lexicon = made
            return self._lexicon

    def definitions_of(self, content: StoredContent) -> tuple[Tag, ...]:
        """Unpacked, by place; from any thread."""
        with self._unpacking:
            known = self._unpacked.get(content.key)
            if known is not None:
                self._unpacked.move_to_end(content.key)
                return known
        definitions = content.definitions
        with self._unpacking:
            if content.key not in self._unpacked:
                self._unpacked[content.key] = definitions
                self._unpacked_count += len(definitions)
            while self._unpacked_count > _UNPACKED_DEFINITIONS and len(self._unpacked) > 1:
                _, dropped = self._unpacked.popitem(last=False)
                self._unpacked_count -= len(dropped)
        return definitions

    def compacted(self) -> LiveRoot:
        """The same without what no path has any longer."""
        return LiveRoot(self.manifest, {content.key: content for content in self.living_contents()})

    def living_contents(self) -> list[StoredContent]:
        return [self.contents[key] for key in self.paths_by_key]
