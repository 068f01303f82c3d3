"""What commits tell of files: how often each is edited, and which are edited with it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

from indexer.history.commits import Commit

HALF_LIFE_DAYS = 90.0
"""An edit that is so old counts half: what a project works on changes with the seasons."""

MEAN_LIFE_DAYS = HALF_LIFE_DAYS / math.log(2)

UNSEEN_EDITS = 0.25
"""So many edits count for every file beside its own: one that no commit touched may still be edited."""

LARGE_COMMIT = 30
"""Files. A commit of more says little of each: it counts the less, the more there are."""

MOST_TOGETHER = 100
"""Files. A commit of more is a release, a move or a formatter, and joins nothing."""

MOST_COMPANIONS = 20
"""Of one file: the share of those further down is noise."""

DOUBT = 1.0
"""Commits, at their full weight, that a file is taken to have seen alone: what went together once says less than what
always does."""

_DAY_S = 86_400.0


class Past:
    """Of one root at one commit; frozen once it is made, so from any thread. Ages count from the newest commit, not
    from today: everybody at the same commit is told the same."""

    def __init__(self, commits: Iterable[Commit]) -> None:
        self._commits = list(commits)
        newest_s = max((commit.time_s for commit in self._commits), default=0)
        self._decay = [
            math.exp(-(newest_s - commit.time_s) / _DAY_S / MEAN_LIFE_DAYS) for commit in self._commits
        ]
        self._edits: defaultdict[str, float] = defaultdict(float)
        self._touching: defaultdict[str, list[int]] = defaultdict(list)
        self.last_s: dict[str, float] = {}
        """Path → when the last of these commits that touched it was made."""
        for number, commit in enumerate(self._commits):
            weight = self._decay[number] * min(1.0, LARGE_COMMIT / max(1, len(commit.paths)))
            for path in commit.paths:
                self._edits[path] += weight
                self._touching[path].append(number)
                self.last_s[path] = max(commit.time_s, self.last_s.get(path, 0.0))

    @classmethod
    def of_times(cls, changed_s: Mapping[str, float]) -> Past:
        """Where there are no commits: each file's last change is an edit of that file alone."""
        return cls(Commit(int(time_s), (path,)) for path, time_s in changed_s.items())

    def rate(self, path: str) -> float:
        """Edits a day: those of the past, each counted by its age."""
        return (self._edits.get(path, 0.0) + UNSEEN_EDITS) / MEAN_LIFE_DAYS

    def together(self, path: str) -> list[tuple[str, float]]:
        """Files that are edited with this one, and in which share of its commits, by age; the largest share first."""
        shared: defaultdict[str, float] = defaultdict(float)
        total = DOUBT
        for number in self._touching.get(path, ()):
            others = len(self._commits[number].paths) - 1
            if others >= MOST_TOGETHER:
                continue
            weight = self._decay[number]
            total += weight
            weight *= min(1.0, LARGE_COMMIT / (others + 1)) if others else 0.0
            for other in self._commits[number].paths:
                if other != path:
                    shared[other] += weight
        ranked = sorted(shared.items(), key=lambda item: (-item[1], item[0]))[:MOST_COMPANIONS]
        return [(other, weight / total) for other, weight in ranked]
