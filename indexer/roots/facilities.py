"""What all open roots share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from indexer.children.manners import Manners
from indexer.children.workers import Workers
from indexer.embedding.embedding import Embedding
from indexer.roots.failures import Failures
from indexer.roots.live import TextCache

if TYPE_CHECKING:
    from indexer.store.store import Store


@dataclass(frozen=True)
class Facilities:
    """The same for every root of a service."""

    store: Callable[[], Awaitable[Store]]
    index_text: Callable[[Store], None]
    written: Callable[[], None]
    workers: Workers
    embedding: Embedding
    texts: TextCache
    manners: Manners = field(default_factory=Manners)
    failures: Failures = field(default_factory=Failures)
    doubt: Callable[[Exception], None] = lambda failed: None
    """Told of every one of STORE_ERRORS."""
