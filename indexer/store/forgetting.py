"""Removes what nobody needs from the store, so that its size has a bound without anybody setting one.

In this order: roots that are gone from the disk; contents that no root has and that are old, or more than there are
living ones; when the store is too large all the same, every content that no root has, then the roots that have not
been opened for longest."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.store import inheritance, reader
from indexer.store.claim import try_claim
from indexer.store.sizes import size_of

if TYPE_CHECKING:
    from indexer.store.store import Store

_log = logging.getLogger(__name__)

_KEEP_UNUSED_S = 14 * 86_400
"""A branch or a deleted file may come back; after two weeks its facts are cheaper made anew."""

_KEEP_INHERITED_S = _KEEP_UNUSED_S
"""The same of vectors that hang on texts which a new generation has not read yet: a root that nobody opens for so
long has its vectors made anew."""

_SPARE_CONTENTS = 2_000
"""Contents without a root are kept up to the number of those that have one, or this."""

MOST_BYTES = 8 * 1024**3
_MOST_SHARE = 0.1
"""Of the disk: what the store may take at most, if that is less than `MOST_BYTES`."""

_SHRINK_TO = 0.8
"""Of what it may take, so that this is not done every day."""


def most_bytes(folder: Path) -> int:
    """What a store there may take."""
    return min(MOST_BYTES, int(shutil.disk_usage(folder).total * _MOST_SHARE))


def forget(store: Store, held: Collection[str] = (), most: int | None = None) -> None:
    """Blocks. `held`: roots that are open now; `most`: bytes that the store may take. Raises one of
    STORE_ERRORS."""
    most = most_bytes(store.folder) if most is None else most
    with store.lock:
        roots = set(reader.column(store.manifest_table, "root"))
        _drop_roots(store, [root for root in roots if root not in held and not Path(root).is_dir()])
        named = store.keys_by_root()
        unused = _unused(store, named)
        excess = size_of(store.folder) - most
        if excess > 0:
            unused, dropped = _until_small(store, named, held, excess + int(most * (1 - _SHRINK_TO)))
            _drop_roots(store, dropped)
        drafts, store.drafts.text_keys = store.drafts.text_keys, set()
        sweep = excess > 0 or (bool(unused) and not _inherits(store))
        _drop_contents(store, unused, drafts, sweep=sweep)
        _drop_token_tables(store)


def forget_drafts(store: Store, kept: int) -> None:
    """Blocks. Removes what was saved over, but for so many of the newest; their vectors go with the next
    `forget`. Raises one of STORE_ERRORS."""
    with store.lock:
        gone = store.known.intersection(store.drafts.take(kept))
        unnamed = sorted(gone - reader.named(store.manifest_table, gone)) if gone else []
        if unnamed:
            store.drafts.text_keys |= _texts_of(store, unnamed)
            store.remove_contents(unnamed)


def forget_roots(store: Store, roots: Collection[str] | None) -> None:
    """Blocks. Removes what is stored of these roots (None: of all) and of no other one, and gives its room back.
    Raises one of STORE_ERRORS."""
    from indexer.store import upkeep

    store.flush()
    with store.lock:
        stored = set(reader.column(store.manifest_table, "root"))
        _drop_roots(store, [root for root in stored if roots is None or root in roots])
        used = set[str]().union(*store.keys_by_root().values())
        unused = sorted(store.known - used)
        _drop_contents(store, unused, sweep=roots is None or (bool(unused) and not _inherits(store)))
        upkeep.tidy(store, timedelta(0))


def _unused(store: Store, named: dict[str, set[str]]) -> list[str]:
    """Contents of no root that are old, or too many; the oldest of these."""
    used = set[str]().union(*named.values())
    ages = reader.ages(store.files)
    spare = sorted((stored_s, key) for key, stored_s in ages.items() if key not in used)
    before_s = int(time.time()) - _KEEP_UNUSED_S
    too_many = len(spare) - max(_SPARE_CONTENTS, len(used))
    return [key for place, (stored_s, key) in enumerate(spare) if stored_s < before_s or place < too_many]


def _until_small(
    store: Store, named: dict[str, set[str]], held: Collection[str], excess: int
) -> tuple[list[str], list[str]]:
    """All contents without a root, and the roots not opened for longest, until so many bytes are saved: as
    many for each content as it takes on average."""
    each = size_of(store.folder) / max(1, len(store.known))
    left = dict(named)
    unused = store.known - set[str]().union(*left.values())
    closed = sorted((root for root in named if root not in held), key=lambda it: store.openings[it].opened_s)
    dropped: list[str] = []
    for root in closed:
        if len(unused) * each >= excess:
            break
        dropped.append(root)
        del left[root]
        unused = store.known - set[str]().union(*left.values())
    _log.info("the store is too large: %d contents and %d roots are forgotten", len(unused), len(dropped))
    return sorted(unused), dropped


def _drop_roots(store: Store, roots: list[str]) -> None:
    if roots:
        store.delete(store.manifest_table, "root", sorted(roots))
        store.openings.forget(roots)


def _inherits(store: Store) -> bool:
    """Whether there may be vectors of roots that this generation has not read yet."""
    age_s = inheritance.age_s(store.folder)
    return age_s is not None and age_s < _KEEP_INHERITED_S


def _drop_contents(store: Store, keys: list[str], texts: Collection[str] = (), *, sweep: bool) -> None:
    """And the vectors of texts that no content has any longer: those of these contents and `texts`, or (`sweep`)
    all."""
    texts = _texts_of(store, keys).union(texts)
    if keys:
        store.remove_contents(keys)
    if not (texts or sweep):
        return
    living = set(reader.column(store.chunks, "text_key"))
    for waiting in store.pending.contents.values():
        living.update(waiting.content.hex_text_keys())
    store.wrote(store.vector_tables.flush())
    for vectors in store.vector_tables.all:
        spare = [key for key in reader.column(vectors.table, "text_key") if key not in living]
        vectors.remove([key for key in spare if sweep or key in texts])


def _texts_of(store: Store, keys: Collection[str]) -> set[str]:
    """Keys of the texts of their chunks."""
    rows = reader.rows_of(store.chunks, keys, ["text_key"])
    return {key for some in rows for key in some["text_key"].to_pylist()}


def _drop_token_tables(store: Store) -> None:
    """Of tokenizers that no root uses any longer."""
    used: list[str] = []
    for tokenizer in store.openings.tokenizers():
        try:
            used.append(store.token_table(tokenizer).fingerprint)
        except OSError:
            continue  # its file is gone, and with it whoever could use the ids
    store.token_tables.keep_only(used)


def forget_generations(current: Path) -> None:
    """Removes stores of other versions that nobody has opened for two weeks, and what was damaged."""
    for sibling in current.parent.iterdir():
        if sibling == current or not sibling.is_dir() or not _unused_for_long(sibling):
            continue
        held = try_claim(sibling)
        if held is not None:  # else a service of another version has been running for weeks
            # what cannot be removed now is tried at the next start
            shutil.rmtree(sibling, ignore_errors=True)
            os.close(held)


def _unused_for_long(generation: Path) -> bool:
    return time.time() - generation.stat().st_mtime > _KEEP_UNUSED_S
