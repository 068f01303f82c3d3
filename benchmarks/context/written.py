"""The line that the product would show of what the model said, and how near it is to the true one."""

from __future__ import annotations

import difflib

import msgspec

from benchmarks.context.case import Case
from lsp.trim import Place, Trimmer


class Written(msgspec.Struct, frozen=True):
    line: str
    reason: str
    """Why there is none, where that is so."""
    exact: bool
    similarity: float
    """To the true line, 0 to 1."""


def place_of(case: Case) -> Place:
    return Place(case.before, case.after, block=False, language=case.language)


def is_enough(said: str) -> bool:
    """Whether a whole line and the next one are there: then no way to trim it needs more."""
    return said.strip().count("\n") > 1


def written(case: Case, said: str, *, ended: bool) -> Written:
    """`ended`: the model ended by itself."""
    trimmer = Trimmer(place_of(case))
    decision = trimmer.feed(said)
    if not decision.done:
        decision = trimmer.finish(said, cut=not ended)
    line, truth = decision.text.strip().partition("\n")[0].rstrip(), case.truth.strip()
    similarity = difflib.SequenceMatcher(None, line, truth, autojunk=False).ratio()
    return Written(line, decision.why, line == truth, similarity)
