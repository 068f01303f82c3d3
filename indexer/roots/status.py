"""What is told about a root."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from indexer.messages import RootStatus, Skipped
from indexer.roots.live import LiveRoot
from indexer.roots.progress import Progress
from indexer.store.contents import explain

if TYPE_CHECKING:
    from indexer.store.store import Store

State = Literal["listing", "indexing", "ready", "failed"]

_SKIPPED_EXAMPLES = 20


def root_status(
    path: Path,
    state: State,
    error: str,
    watching: str,
    live: LiveRoot,
    store: Store | None,
    progress: Progress,
    notes: Sequence[str],
    skipped: Mapping[str, str],
) -> RootStatus:
    """`skipped`: path → why it is not indexed, of files whose content is not known. Blocks: there may be 50,000
    contents."""
    now = live.now
    living = [live.contents[key] for key in now.paths_by_key]
    contents = [content for content in living if not content.skipped]
    excluded = {
        where: content.skipped
        for content in living
        if content.skipped
        for where in now.paths_by_key[content.key]
    }
    notes = list(notes)
    if store is not None and store.writer.failure is not None:
        notes.append(f"what was read is not on disk yet: {explain(store.writer.failure)}")
    done, total = progress.files
    files = len(now.manifest) - len(excluded)
    busy = state == "indexing"
    reasons = Counter(excluded.values())
    reasons.update(skipped.values())
    examples = [*excluded.items(), *skipped.items()][:_SKIPPED_EXAMPLES]
    return RootStatus(
        root=str(path),
        state=state,
        files=max(total, files) if busy else files,
        files_done=done if busy else files,
        symbols=sum(content.symbols for content in contents),
        references=sum(content.references for content in contents),
        chunks=sum(content.chunks for content in contents),
        vectors=store.vector_tables.wanted.covered(contents) if store is not None else 0,
        counted=store.counted(str(path), now.paths_by_key) if store is not None else 0,
        source_bytes=sum(content.size for content in contents),
        seconds=round(progress.seconds, 3),
        stage=progress.stage,
        rate=progress.rate,
        seconds_left=progress.seconds_left,
        files_read=progress.files_read,
        skipped=dict(reasons),
        skipped_examples=[Skipped(*example) for example in examples],
        redacted=sum(content.redacted for content in contents),
        error=error,
        note="; ".join(filter(None, notes)),
        watching=watching,
    )
