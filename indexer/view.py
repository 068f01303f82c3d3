"""What packing may ask of one root: a read view with unsaved documents laid over what is stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from indexer.messages import Definition, Hit

if TYPE_CHECKING:
    from indexer.imports import Import


class IndexView(Protocol):
    """A snapshot-like view: paths are POSIX and relative to `root`, lines are 0-based, end lines
    exclusive."""

    @property
    def root(self) -> str:
        """The root's absolute path."""
        ...

    @property
    def repo_name(self) -> str: ...

    @property
    def ready(self) -> bool:
        """Whether symbols and full text are whole; before that, answers are partial."""
        ...

    @property
    def notes(self) -> list[str]:
        """Why something that one would expect may be missing, fit to be shown."""
        ...

    def files(self) -> Collection[str]:
        """Every living path, documents that exist only unsaved included."""
        ...

    def text(self, path: str) -> str | None:
        """The living text: the unsaved one if there is one, else what the index holds. None: excluded or
        unknown."""
        ...

    def is_overlay(self, path: str) -> bool: ...

    def definitions_in(self, path: str) -> Sequence[Definition]:
        """Definitions of the living text, by start line."""
        ...

    def definitions_named(self, name: str) -> Sequence[Definition]:
        """Definitions with exactly this name anywhere in the root, by path and line."""
        ...

    def imports_of(self, path: str) -> Sequence[Import]: ...

    async def search(self, query: str, limit: int) -> Sequence[Hit]:
        """Hybrid search; stored chunks of a file that has unsaved text are left out."""
        ...
