"""Whether an edit did any good, by the diagnostics before and after it: a pure function.

Diagnostics are the same by who told them, what they say and what stands in their line, never by the line's number."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import msgspec

from lsp.edits.task import Diagnosed

ERROR, WARNING = 1, 2
"""Severities of the protocol that count: what is new of these is told, and nothing is fixed by it. A diagnostic without
one counts as an error (LSP leaves it to the client)."""

MOST_TOLD = 3
"""New diagnostics that are named in a claim."""

_PLACES = re.compile(r"\b(lines?|columns?) \d+")


class Noted(msgspec.Struct, frozen=True):
    """A diagnostic with what it was about."""

    diagnosed: Diagnosed
    content: str
    """Its line, without white space around."""
    severity: int = ERROR

    @property
    def kind(self) -> tuple[str, str, str, str]:
        each = self.diagnosed
        return each.path, each.source, each.code, _PLACES.sub(r"\1 #", each.message)


class Difference(msgspec.Struct, frozen=True):
    left: tuple[Noted, ...]
    """Of those that were asked about."""
    new: tuple[Noted, ...]
    """Errors and warnings that were not there before."""


def difference(before: Sequence[Noted], after: Sequence[Noted], asked: Sequence[Noted]) -> Difference:
    """`asked` are among `before`, or were told with the question alone. Where lines have changed and it cannot be told
    which of several alike diagnostics is gone, those that were asked about are taken to be left."""
    before = [*asked, *_without(before, asked)]
    there: dict[tuple[str, str, str, str], list[Noted]] = defaultdict(list)
    for each in after:
        there[each.kind].append(each)
    unmatched: list[tuple[int, Noted]] = []
    left: list[Noted] = []
    for at, each in enumerate(before):  # first those whose line is as it was
        same = next((other for other in there[each.kind] if other.content == each.content), None)
        if same is None:
            unmatched.append((at, each))
            continue
        there[each.kind].remove(same)
        if at < len(asked):
            left.append(each)
    for at, each in unmatched:
        if there[each.kind]:
            there[each.kind].pop()
            if at < len(asked):
                left.append(each)
    new = [each for others in there.values() for each in others if each.severity in (0, ERROR, WARNING)]
    return Difference(tuple(left), tuple(sorted(new, key=lambda each: _place(each.diagnosed))))


def _without(some: Sequence[Noted], others: Sequence[Noted]) -> list[Noted]:
    rest = list(some)
    for other in others:
        same = next((each for each in rest if (each.kind, each.content) == (other.kind, other.content)), None)
        if same is not None:
            rest.remove(same)
    return rest


def _place(each: Diagnosed) -> tuple[str, int, str]:
    return each.path, each.line, each.message


State = Literal["waiting", "running", "passed", "failed", "none"]


class CheckNote(msgspec.Struct, frozen=True, rename="camel"):
    """What is known of the check."""

    state: State
    told: str = ""
    tail: str = ""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an edit that was applied."""

    difference: Difference | None = None
    """None where the diagnostics are not known."""
    asked: int = 0
    """Diagnostics that it was about."""
    why: str = ""
    """Why they are not known."""
    check: CheckNote | None = None

    @property
    def fixed(self) -> bool:
        """Never without having looked."""
        found = self.difference
        return found is not None and self.asked > 0 and not found.left and not found.new

    @property
    def failed(self) -> bool:
        """Whether there is something to be repaired."""
        wrong = self.difference is not None and bool(self.difference.new or self.difference.left)
        return wrong or (self.check is not None and self.check.state == "failed")

    @property
    def claim(self) -> str:
        parts = ["fixed" if self.fixed else "parses"]
        found = self.difference
        if found is not None and found.left:
            parts = [f"parses; still there: {found.left[0].diagnosed.told()}"]
        if found is not None and found.new:
            named = "; ".join(each.diagnosed.told() for each in found.new[:MOST_TOLD])
            more = len(found.new) - MOST_TOLD
            parts.append(f"new: {named}{f'; and {more} more' if more > 0 else ''}")
        if self.check is not None and self.check.state in ("passed", "failed"):
            passed = self.check.state == "passed"
            parts.append("check passed" if passed else f"check failed: {self.check.told}")
        return "; ".join(parts)
