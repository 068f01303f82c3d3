"""One root as it is now, in memory: which path has which content, and where every name is defined."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from indexer.contents import ManifestEntry, StoredContent
from indexer.facts import content_key, decode
from indexer.imports import Import, PathIndex
from indexer.languages import language_of
from indexer.messages import Definition
from indexer.overlays import OverlayDocument
from indexer.reading import load
from indexer.tags import Tag

_CACHED_TEXT_CHARACTERS = 32 * 1024 * 1024
"""The files of a 256K-token pack are a few megabytes; this keeps those of several roots."""


class TextCache:
    """Texts of contents, the last used ones; from any thread."""

    def __init__(self, limit: int = _CACHED_TEXT_CHARACTERS) -> None:
        self._limit = limit
        self._size = 0
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        with self._lock:
            text = self._texts.get(key)
            if text is not None:
                self._texts.move_to_end(key)
            return text

    def put(self, key: str, text: str) -> None:
        with self._lock:
            if key in self._texts or len(text) > self._limit:
                return
            self._texts[key] = text
            self._size += len(text)
            while self._size > self._limit:
                _, dropped = self._texts.popitem(last=False)
                self._size -= len(dropped)


_KEPT_INDEXES = 4
"""Each connection has its own unsaved documents; more than a few at work in one root are rare."""


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


class LiveRoot:
    """The maps of one root. Changed by one task; readers on other threads see old or new maps, never half
    of one."""

    def __init__(self, manifest: Mapping[str, ManifestEntry], contents: Mapping[str, StoredContent]) -> None:
        self.manifest: Mapping[str, ManifestEntry] = MappingProxyType({})
        self.paths_by_key: Mapping[str, tuple[str, ...]] = MappingProxyType({})
        self.contents: dict[str, StoredContent] = {}
        self.shown = ShownPaths({}, self.contents)
        self._names: dict[str, tuple[str, ...]] = {}
        """Name → contents that define it; may name contents that no path has any longer."""
        self.update(manifest, (), contents.values())

    def update(
        self,
        upserts: Mapping[str, ManifestEntry],
        deletes: Iterable[str],
        contents: Iterable[StoredContent],
    ) -> None:
        """Applies one batch of changes."""
        self._learn(content for content in contents if content.key not in self.contents)
        manifest = dict(self.manifest)
        paths = dict(self.paths_by_key)
        touched = (*upserts, *deletes)
        for path in touched:
            before = manifest.pop(path, None)
            if before is not None:
                left = tuple(other for other in paths[before.key] if other != path)
                if left:
                    paths[before.key] = left
                else:
                    del paths[before.key]
        for path, entry in upserts.items():
            manifest[path] = entry
            paths[entry.key] = tuple(sorted({*paths.get(entry.key, ()), path}))
        self.manifest = MappingProxyType(manifest)
        self.paths_by_key = MappingProxyType(paths)
        shown = ShownPaths(self.manifest, self.contents)
        if any((path in shown) != (path in self.shown) for path in touched):
            self.shown = shown

    def _learn(self, contents: Iterable[StoredContent]) -> None:
        fresh: defaultdict[str, list[str]] = defaultdict(list)
        for content in contents:
            self.contents[content.key] = content
            for name in {definition.name for definition in content.definitions}:
                fresh[name].append(content.key)
        for name, keys in fresh.items():
            self._names[name] = (*self._names.get(name, ()), *keys)

    def defining(self, name: str) -> Iterable[tuple[str, StoredContent]]:
        """(path, content) of every living file that defines `name`, by path."""
        paths_by_key = self.paths_by_key
        found = [(path, key) for key in self._names.get(name, ()) for path in paths_by_key.get(key, ())]
        for path, key in sorted(found):
            yield path, self.contents[key]

    def compacted(self) -> LiveRoot:
        """The same without what no path has any longer."""
        return LiveRoot(self.manifest, {content.key: content for content in self.living_contents()})

    def living_contents(self) -> list[StoredContent]:
        return [self.contents[key] for key in self.paths_by_key]


class LiveFiles:
    """Files, texts and definitions of one root with a set of overlays on top; blocks on the disk and on
    parsing."""

    def __init__(
        self,
        root: Path,
        live: LiveRoot,
        overlays: Mapping[str, OverlayDocument],
        cache: TextCache,
        on_stale: Callable[[str], None],
    ) -> None:
        self.root = str(root)
        self._folder = root
        self._live = live
        self.manifest = live.manifest
        self.paths_by_key = live.paths_by_key
        self._shown = live.shown
        self.overlays = overlays
        self._cache = cache
        self._on_stale = on_stale

    def files(self) -> Collection[str]:
        return self._shown.index(self.overlays)

    def is_overlay(self, path: str) -> bool:
        return path in self.overlays

    def text(self, path: str) -> str | None:
        overlay = self.overlays.get(path)
        if overlay is not None:
            return overlay.text
        entry = self.manifest.get(path)
        if entry is None or self._skipped(path):
            return None
        text = self._cache.get(entry.key)
        if text is None:
            text = self._from_disk(path, entry)
            if text is not None:
                self._cache.put(entry.key, text)
        return text

    def _from_disk(self, path: str, entry: ManifestEntry) -> str | None:
        try:
            data, _ = load(self._folder / path)
        except OSError:
            self._on_stale(path)
            return None
        language = language_of(path)
        if entry.key not in (content_key(data, language), content_key(data, language, reincluded=True)):
            self._on_stale(path)  # changed a moment ago: its spans in the index are not those of this text
            return None
        return decode(data)

    def _skipped(self, path: str) -> bool:
        content = self._live.contents.get(self.manifest[path].key)
        return content is None or bool(content.skipped)

    def definitions_in(self, path: str) -> Sequence[Definition]:
        overlay = self.overlays.get(path)
        if overlay is not None:
            return [_definition(path, tag) for tag in overlay.definitions()]
        content = self._content(path)
        return [_definition(path, tag) for tag in content.definitions] if content is not None else []

    def definitions_named(self, name: str) -> Sequence[Definition]:
        found = [
            _definition(path, tag)
            for path, document in self.overlays.items()
            for tag in document.definitions()
            if tag.name == name
        ]
        for path, content in self._live.defining(name):
            if path not in self.overlays:
                found.extend(_definition(path, tag) for tag in content.definitions if tag.name == name)
        return sorted(found, key=lambda definition: (definition.path, definition.start_line))

    def imports_of(self, path: str) -> Sequence[Import]:
        overlay = self.overlays.get(path)
        if overlay is not None:
            return overlay.imports()
        content = self._content(path)
        return content.decode_imports() if content is not None else []

    def path_of(self, key: str) -> str | None:
        """The first stored path with this content whose stored text still lives."""
        return next((path for path in self.paths_by_key.get(key, ()) if path not in self.overlays), None)

    def text_keys(self, most: int) -> set[str]:
        """Of the chunks of all stored contents; of so many contents only that `most` are exceeded."""
        found: set[str] = set()
        for key in self.paths_by_key:
            found.update(self._live.contents[key].text_keys)
            if len(found) >= most:
                break
        return found

    def _content(self, path: str) -> StoredContent | None:
        entry = self.manifest.get(path)
        return self._live.contents.get(entry.key) if entry is not None else None


def _definition(path: str, tag: Tag) -> Definition:
    return Definition(
        path,
        tag.name,
        tag.kind,
        tag.start_line,
        tag.end_line,
        container=tag.container,
        signature=tag.signature,
    )
