"""The view of one root that everybody reads: its live maps with a set of unsaved documents on top."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from indexer.children.reading import load
from indexer.messages import Definition
from indexer.names.lexicon import Lexicon
from indexer.packing.view import definition_of
from indexer.parsing.facts import content_key, decode
from indexer.parsing.imports import Import
from indexer.parsing.languages import language_of
from indexer.parsing.tags import Site, Tag
from indexer.roots.definitions import NO_DEFINITIONS, FileDefinitions
from indexer.roots.liveroot import LiveRoot as LiveRoot
from indexer.roots.overlays import OverlayDocument
from indexer.roots.texts import TextCache as TextCache
from indexer.secrets.redaction import redact
from indexer.store.contents import SPAN, ManifestEntry, StoredContent
from indexer.store.sitecache import SiteSource


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
        source: SiteSource | None = None,
    ) -> None:
        """`source`: where references of stored contents are; without one there are none."""
        self.root = str(root)
        self._folder = root
        self._live = live
        self._maps = live.now
        self.manifest = self._maps.manifest
        self.paths_by_key = self._maps.paths_by_key
        self.overlays = overlays
        self._cache = cache
        self._on_stale = on_stale
        self._source = source
        self._hidden = ""
        self.state = (self._maps.version, *sorted(document.serial for document in overlays.values()))
        """Differs where paths or texts may."""

    def hiding(self, path: str) -> Self:
        """The same, but what this path defines is not found by its name, and so need not be read."""
        other = copy.copy(self)
        other._hidden = path
        return other

    def files(self) -> Collection[str]:
        return self._maps.shown.index(self.overlays)

    def unsaved(self) -> Collection[str]:
        return self.overlays.keys()

    def is_overlay(self, path: str) -> bool:
        return path in self.overlays

    def text(self, path: str) -> str | None:
        overlay = self.overlays.get(path)
        return overlay.text if overlay is not None else self.stored_text(path)

    def stored_text(self, path: str) -> str | None:
        """As it was saved, whatever stands over it."""
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
        return redact(decode(data), language).text

    def _skipped(self, path: str) -> bool:
        content = self._live.contents.get(self.manifest[path].key)
        return content is None or bool(content.skipped)

    def definitions_in(self, path: str) -> Sequence[Definition]:
        return self._told(path).all

    def definitions_named(self, name: str) -> Sequence[Definition]:
        return self._named(name, self._unsaved(name), self._stored(name))

    def few_named(self, name: str, most: int) -> Sequence[Definition] | None:
        """The same; None, before any of them is read, where more than `most` files have one."""
        paths = [*self._unsaved(name)] if self.overlays else []
        stored = self._live.few_places(name, self._maps)
        if stored is None:
            paths += (path for path, _ in itertools.islice(self._stored(name), most + 1))
        else:
            paths += [path for path in stored if path not in self.overlays and path != self._hidden]
        if len(paths) > most:
            return None
        paths.sort()
        return [one for path in paths for one in self._told(path).named(name)]

    def _told(self, path: str) -> FileDefinitions:
        """Of the living text."""
        overlay = self.overlays.get(path)
        if overlay is not None:
            return self._live.told.of(path, self.key_of(path), overlay.definitions)
        content = self._content(path)
        if content is None:
            return NO_DEFINITIONS
        return self._live.told.of(path, content.key, lambda: self._live.definitions_of(content))

    def _named(
        self, name: str, unsaved: Mapping[str, Sequence[Tag]], stored: Iterable[tuple[str, StoredContent]]
    ) -> list[Definition]:
        found = [definition_of(path, tag) for path, tags in unsaved.items() for tag in tags]
        for path, content in stored:
            tags = self._live.definitions_of(content)
            found.extend(definition_of(path, tag) for tag in tags if tag.name == name)
        return sorted(found, key=lambda definition: (definition.path, definition.start_line))

    def _unsaved(self, name: str) -> dict[str, Sequence[Tag]]:
        """Path → definitions with this name."""
        return {
            path: tags
            for path, document in self.overlays.items()
            if path != self._hidden and (tags := document.by_name().get(name))
        }

    def _stored(self, name: str) -> Iterator[tuple[str, StoredContent]]:
        """Paths with the contents that define this name, in no order."""
        for path, content in self._live.places(name, self._maps):
            if path not in self.overlays and path != self._hidden:
                yield path, content

    def imports_of(self, path: str) -> Sequence[Import]:
        overlay = self.overlays.get(path)
        if overlay is not None:
            return overlay.imports()
        content = self._content(path)
        return content.decode_imports() if content is not None else []

    def key_of(self, path: str) -> str:
        """Identity of the living content; empty for a path that has none."""
        if (overlay := self.overlays.get(path)) is not None:
            return f"unsaved {overlay.serial}"
        entry = self.manifest.get(path)
        return entry.key if entry is not None else ""

    def tags_in(self, path: str) -> Sequence[Tag]:
        """Definitions by place."""
        overlay = self.overlays.get(path)
        return overlay.definitions() if overlay is not None else self._definitions(self._content(path))

    def types_of(self, path: str) -> Mapping[str, str]:
        """`Class.attribute` → receiver path of its type."""
        if (overlay := self.overlays.get(path)) is not None:
            return overlay.types()
        content = self._content(path)
        return content.types if content is not None else {}

    def sites_of(self, path: str) -> Mapping[str, Sequence[Site]]:
        """References by name."""
        if (overlay := self.overlays.get(path)) is not None:
            return overlay.sites()
        entry = self.manifest.get(path)
        if entry is None or self._source is None:
            return {}
        return self._live.sites.of(entry.key, self._source)

    def defining(self, name: str) -> Sequence[str]:
        """Paths that define this name, in order."""
        return sorted({*self._unsaved(name), *(path for path, _ in self._stored(name))})

    def defined(self, names: Iterable[str]) -> set[str]:
        """Those of these names that some path defines."""
        wanted = set(names)
        unsaved = (
            wanted & document.by_name().keys()
            for path, document in self.overlays.items()
            if path != self._hidden
        )
        found = set[str]().union(*unsaved)
        return found | {name for name in wanted - found if next(self._stored(name), None)}

    def names(self) -> Collection[str]:
        """All that are defined; some may have no definition any longer."""
        unsaved = {tag.name for document in self.overlays.values() for tag in document.definitions()}
        return unsaved.union(self._live.names())

    def referring(self, name: str) -> Sequence[str]:
        """Paths that refer to this name, in order."""
        found = {path for path, document in self.overlays.items() if name in document.sites()}
        for key in self._live.sites.referring(name, self._source) if self._source is not None else ():
            found.update(path for path in self.paths_by_key.get(key, ()) if path not in self.overlays)
        return sorted(found)

    @property
    def lexicon(self) -> Lexicon:
        """The names that stored texts define, by their words."""
        return self._live.lexicon

    def path_of(self, key: str) -> str | None:
        """The first stored path with this content whose stored text still lives."""
        for path in self.paths_by_key.get(key, ()):
            if path not in self.overlays:
                return path
        return None

    @property
    def version(self) -> int:
        """Of the stored paths and contents: differs from that of every other moment and root."""
        return self._maps.version

    def stored(self) -> list[StoredContent]:
        """The contents of all stored paths."""
        return [self._live.contents[key] for key in self.paths_by_key]

    def chunk_at(self, path: str, line: int) -> tuple[int, int] | None:
        """First and end line of the smallest stored chunk of `path` that has this line."""
        content = self._content(path) if path not in self.overlays else None
        if content is None:
            return None
        around = [(start, end) for start, end in SPAN.iter_unpack(content.spans) if start <= line < end]
        return min(around, key=lambda span: span[1] - span[0], default=None)

    def definitions_of(self, key: str) -> Sequence[Tag]:
        """Of a stored content, by place."""
        return self._definitions(self._live.contents.get(key))

    def text_keys(self, most: int) -> set[str]:
        """Of the chunks of all stored contents; of so many contents only that `most` are exceeded."""
        found: set[str] = set()
        for key in self.paths_by_key:
            found.update(self._live.contents[key].hex_text_keys())
            if len(found) >= most:
                break
        return found

    def _definitions(self, content: StoredContent | None) -> Sequence[Tag]:
        return self._live.definitions_of(content) if content is not None else ()

    def _content(self, path: str) -> StoredContent | None:
        entry = self.manifest.get(path)
        return self._live.contents.get(entry.key) if entry is not None else None
