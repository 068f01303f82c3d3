"""What packing and the graph may ask of one root: a read view with unsaved documents laid over what is stored."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from indexer.messages import Definition, Hit

if TYPE_CHECKING:
    from indexer.graph import Graph
    from indexer.history.history import History
    from indexer.names.lexicon import Lexicon
    from indexer.parsing.imports import Import
    from indexer.parsing.tags import Site, Tag


class GraphView(Protocol):
    """What the graph looks at, of the living texts. Nothing in it changes while `state` is equal."""

    @property
    def state(self) -> Hashable:
        """Differs from that of every other view of this root whose paths or texts are not the same."""
        ...

    def files(self) -> Collection[str]: ...

    def text(self, path: str) -> str | None: ...

    def key_of(self, path: str) -> str:
        """Identity of the living content; empty for a path that has none."""
        ...

    def tags_in(self, path: str) -> Sequence[Tag]:
        """Definitions by place: the order to which `Site.within` refers."""
        ...

    def imports_of(self, path: str) -> Sequence[Import]: ...

    def types_of(self, path: str) -> Mapping[str, str]:
        """`Class.attribute` → receiver path of its type."""
        ...

    def sites_of(self, path: str) -> Mapping[str, Sequence[Site]]:
        """References by name."""
        ...

    def defining(self, name: str) -> Sequence[str]:
        """Paths that define this name, in order."""
        ...

    def referring(self, name: str) -> Sequence[str]:
        """Paths that refer to this name, in order."""
        ...


class IndexView(GraphView, Protocol):
    """A snapshot-like view: paths are POSIX and relative to `root`, lines are 0-based, end lines
    exclusive."""

    @property
    def root(self) -> str:
        """The root's absolute path."""
        ...

    @property
    def graph(self) -> Graph:
        """The graph of this root, to be asked with this view."""
        ...

    @property
    def history(self) -> History:
        """What the past of this root and this session tell; empty while it is being read."""
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

    def unsaved(self) -> Collection[str]:
        """Paths whose living text is not saved."""
        ...

    def is_overlay(self, path: str) -> bool: ...

    def definitions_in(self, path: str) -> Sequence[Definition]:
        """Definitions of the living text, by start line."""
        ...

    def definitions_named(self, name: str) -> Sequence[Definition]:
        """Definitions with exactly this name anywhere in the root, by path and line."""
        ...

    def few_named(self, name: str, most: int) -> Sequence[Definition] | None:
        """The same; None where more than `most` files have one, which is quick."""
        ...

    def defined(self, names: Iterable[str]) -> Collection[str]:
        """Those of these names that some path defines."""
        ...

    def hiding(self, path: str) -> IndexView:
        """The same view, but what this path defines is not found by its name, and so need not be read."""
        ...

    def names(self) -> Collection[str]:
        """All names that are defined; some may have no definition any longer."""
        ...

    def used_beside(self, path: str) -> Mapping[str, float]:
        """Name → the share of the files beside this one that refer to it, for names that the root defines elsewhere."""
        ...

    def popular(self, most: int) -> Sequence[str]:
        """The names that most files refer to, as far as that has been counted."""
        ...

    @property
    def lexicon(self) -> Lexicon:
        """The names that are defined, by their words."""
        ...

    def popularity(self, name: str) -> int:
        """How many files refer to this name, as far as that has been counted."""
        ...

    async def search(self, query: str, limit: int) -> Sequence[Hit]:
        """Hybrid search; stored chunks of a file that has unsaved text are left out."""
        ...


def definition_of(path: str, tag: Tag) -> Definition:
    """What is told about a definition to those who ask the service."""
    return Definition(
        path,
        tag.name,
        tag.kind,
        tag.start_line,
        tag.end_line,
        container=tag.container,
        signature=tag.signature,
        docstring=tag.docstring,
        name_line=tag.name_line,
        name_column=tag.name_column,
    )
