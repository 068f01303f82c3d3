"""The past of a root together with this session, as whoever packs may ask for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from indexer.history.branch import Branch
from indexer.history.edits import Place
from indexer.history.past import Past

SESSION_EDITS_PER_DAY = 1.0
"""Of each place that was edited in this session: more than any file is edited over months."""

_NO_BRANCH = Branch()


@dataclass(frozen=True)
class History:
    """At one moment; nothing in it changes."""

    past: Past = field(default_factory=lambda: Past(()))
    branch: Branch = _NO_BRANCH
    edited: tuple[Place, ...] = ()
    """Places that were edited in this session, the most recent first."""
    viewed: tuple[Place, ...] = ()
    """Where completions were asked for in it, each file once, the most recent first."""

    @property
    def merge_base(self) -> str:
        """The last commit that is shared with the default branch; empty where there is none."""
        return self.branch.merge_base

    @property
    def changed(self) -> frozenset[str]:
        """Paths that are not as the merge-base has them: on this branch, in the work tree or unsaved."""
        return self.branch.changed

    def rate(self, path: str) -> float:
        """Edits a day that are to be expected: commits by their age, and what this user edits now."""
        return self.past.rate(path) + self._session.get(path, 0) * SESSION_EDITS_PER_DAY

    def together(self, path: str) -> list[tuple[str, float]]:
        """Files that are edited with this one, with the share of its commits; the largest share first."""
        return self.past.together(path)

    def changed_s(self, path: str) -> float:
        """Unix time of the last change that is known of; 0 where none is."""
        return (
            self._edited_s.get(path)
            or self.branch.written_s.get(path, 0.0)
            or self.past.last_s.get(path, 0.0)
        )

    @cached_property
    def _edited_s(self) -> dict[str, float]:
        latest: dict[str, float] = {}
        for place in self.edited:
            latest[place.path] = max(place.when_s, latest.get(place.path, 0.0))
        return latest

    @cached_property
    def _session(self) -> Counter[str]:
        return Counter(place.path for place in self.edited)


NO_HISTORY = History()
"""While it is being read, and of texts that have none."""
