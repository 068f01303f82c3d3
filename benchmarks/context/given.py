"""What a method gives the model to read for a case, so that all methods are looked at and measured alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from benchmarks.context.case import Case
from benchmarks.context.retrieval import Packed
from benchmarks.targets import TargetError
from engine.prompts import ContextSegment, Tokenizer, path_line

Method = Literal["none", "bm25", "aider", "foreword"]
METHODS: tuple[Method, ...] = ("none", "bm25", "aider", "foreword")
BASELINES: tuple[Method, ...] = ("bm25", "aider")
"""Those that read a repository, beside ours."""


class Given(msgspec.Struct, frozen=True):
    """Segments in the order in which the model reads them."""

    case: Case
    method: Method
    budget: int
    segments: tuple[ContextSegment, ...] = ()
    tokens: int = 0
    """Of the segments, what the prompt adds to each included."""
    shown: bool = False
    """Whether a line with the name of what is needed is there."""
    seconds: float = 0.0
    """For choosing, what can be prepared once for a repository left out."""


def of_pack(packed: Packed) -> Given:
    segments = tuple(ContextSegment(each.path, each.text, each.ids) for each in packed.pack.segments)
    return Given(
        packed.case, "foreword", packed.budget, segments, packed.tokens, packed.shown, packed.seconds
    )


def of_nothing(cases: Sequence[Case], budgets: Sequence[int]) -> list[Given]:
    return [Given(case, "none", budget) for case in cases for budget in budgets]


def in_order(given: Sequence[Given], cases: Sequence[Case]) -> list[Given]:
    """As the cases are, which rounds mix: runs of different methods then come to the same cases first."""
    place = {case.name: number for number, case in enumerate(cases)}
    return sorted(given, key=lambda each: place[each.case.name])


def checked(given: Given, planted: str) -> Given:
    """Raises TargetError where it has what it must not: of no method may it be the case's own file, or too much."""
    if given.tokens > given.budget:
        raise TargetError(
            f"{given.case.name}: {given.tokens} tokens of {given.method} at a budget of {given.budget}"
        )
    for segment in given.segments:
        if segment.path == given.case.path or planted in segment.text:
            raise TargetError(f"{given.case.name}: {segment.path} of {given.method} is the case's own file")
    return given


def header_tokens(path: str, tokenizer: Tokenizer) -> int:
    """What a segment takes beside its text: the separator and the line with its path."""
    return 1 + tokenizer.count(path_line(path))
