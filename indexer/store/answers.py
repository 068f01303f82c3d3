"""The questions that the store answers, from memory and disk together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from indexer.parsing.tags import Site
from indexer.store import reader
from indexer.store.contents import ManifestEntry, StoredContent
from indexer.store.pending import Pending
from indexer.store.sitecache import PackedSites


class StoreAnswers:
    """Every method blocks on the disk."""

    files: Any
    references: Any
    chunks: Any
    manifest_table: Any
    pending: Pending
    known: set[str]
    """Contents that are whole on disk. Added to or replaced by whoever holds the lock."""

    def holds(self, key: str) -> bool:
        """Whether this content need not be read again. Does not block."""
        return key in self.known or key in self.pending.contents

    def manifest(self, root: str) -> dict[str, ManifestEntry]:
        """Which content each path of `root` has; only contents that are whole."""
        found = reader.manifest(self.manifest_table, root)
        for path, entry in self.pending.changes_of(root).items():
            found.pop(path, None)
            if entry is not None:
                found[path] = entry
        return {path: entry for path, entry in found.items() if self.holds(entry.key)}

    def keys_by_root(self) -> dict[str, set[str]]:
        """The contents that each root has."""
        found = reader.keys_by_root(self.manifest_table)
        for root in {*found, *self.pending.roots()}:
            changes = self.pending.changes_of(root)
            found.setdefault(root, set()).update(entry.key for entry in changes.values() if entry)
        return found

    def contents(self, keys: Iterable[str]) -> dict[str, StoredContent]:
        """What memory holds about these contents; unknown keys are missing from the answer."""
        wanted = set(keys)
        pending = self.pending.contents
        found = {key: pending[key].content for key in wanted & pending.keys()}
        return found | reader.contents(self.files, (wanted - found.keys()) & self.known)

    def references_to(self, name: str, limit: int | None = None) -> list[tuple[str, list[Site]]]:
        """(content key, sites) of everything that refers to this name, in any root."""
        found = {key: rows.sites(name) for key, rows in self.pending.contents.items()}
        found = {key: sites for key, sites in found.items() if sites}
        for key, sites in reader.references_to(self.references, name, limit):
            found.setdefault(key, sites)
        return list(found.items())[:limit]

    def keys_referring(self, name: str) -> list[str]:
        """The contents that refer to this name, in any root."""
        found = {key: None for key, rows in self.pending.contents.items() if name in rows.reference_names}
        found.update(dict.fromkeys(reader.keys_referring(self.references, name)))
        return list(found)

    def names_by_use(self, keys: Collection[str]) -> Counter[str]:
        """Of these contents, how many refer to each name."""
        pending = self.pending.contents
        counted = Counter(name for key in pending.keys() & keys for name in pending[key].reference_names)
        counted.update(reader.names_by_use(self.references, [key for key in keys if key not in pending]))
        return counted

    def names_referred_to(self, keys: Collection[str]) -> dict[str, list[str]]:
        """The names that each of these contents refers to, all in one go."""
        found: dict[str, list[str]] = {}
        pending = self.pending.contents
        for key in pending.keys() & keys:
            found[key] = list(pending[key].reference_names)
        for key, name in reader.references_by_content(self.references, set(keys) - found.keys()):
            found.setdefault(key, []).append(name)
        return found

    def references_of(self, key: str) -> dict[str, list[Site]]:
        """What one content refers to, by name."""
        return dict(self.sites_of([key]).get(key, {}))

    def sites_of(self, keys: Iterable[str]) -> dict[str, PackedSites]:
        """The same of several contents."""
        wanted = set(keys)
        pending = self.pending.contents
        found = {key: pending[key].all_sites() for key in wanted & pending.keys()}
        return found | reader.sites_of(self.references, wanted - found.keys())

    def chunk_texts(self, text_keys: Sequence[str]) -> dict[str, str]:
        """What is to be embedded."""
        found = reader.chunk_texts(self.chunks, text_keys)
        wanted = set(text_keys) - found.keys()
        for rows in self.pending.contents.values() if wanted else ():
            of_content = zip(rows.content.hex_text_keys(), rows.texts, strict=True)
            found.update((key, text) for key, text in of_content if key in wanted)
        return found
