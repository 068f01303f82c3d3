"""What the store knows of all files of one root, for its base: sizes, token ids, and which names they use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from indexer.messages import TokenizerRef
from indexer.packing.token_lines import TokenLines
from indexer.roots.live import LiveFiles

if TYPE_CHECKING:
    from indexer.store.store import Store


class RootFacts:
    """Implements `indexer.packing.base.Facts`."""

    def __init__(self, view: LiveFiles, store: Store | None, tokenizer: TokenizerRef) -> None:
        self._view = view
        self._store = store
        self._tokenizer = tokenizer

    def size(self, path: str) -> int:
        entry = self._view.manifest.get(path)
        return entry.size if entry is not None else 0

    def names_used(self) -> Mapping[str, Iterable[str]]:
        if self._store is None:
            return {}
        paths_by_key = self._view.paths_by_key
        used = self._store.names_referred_to(paths_by_key.keys())
        return {path: names for key, names in used.items() for path in paths_by_key[key]}

    def counted(self, paths: Sequence[str]) -> Mapping[str, TokenLines]:
        if self._store is None or self._tokenizer.file is None or not paths:
            return {}
        keys = {path: self._view.key_of(path) for path in paths}
        found = self._store.token_table(self._tokenizer).many(keys.values())
        return {path: found[key] for path, key in keys.items() if key in found}
