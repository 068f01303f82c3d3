"""Takes receiver paths apart, as `indexer.parsing.receivers` writes them: `a.b().c`, `:Type.field`, `:super(C).m()`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_ROOT = re.compile(r"(:?)(?:super\(([^()]*)\)|([^.()?]+))(\(\))?")
_STEP = re.compile(r"\.([^.()]+)(\(\))?")


class Step(NamedTuple):
    name: str
    called: bool


class ReceiverPath(NamedTuple):
    root: str
    instance: bool
    """Whether the root is a type, and an instance of it is meant."""
    above: bool
    """The same, seen as its base class; the root may be dotted."""
    called: bool
    steps: tuple[Step, ...]


def parse(written: str) -> ReceiverPath | None:
    """None for `?`, and whatever else tells nothing."""
    root = _ROOT.match(written)
    if root is None:
        return None
    steps = tuple(_steps(written, root.end()))
    if sum(len(step.name) + 1 + 2 * step.called for step in steps) != len(written) - root.end():
        return None
    above = root[2] is not None
    return ReceiverPath(root[2] if above else root[3], bool(root[1]), above, bool(root[4]), steps)


def _steps(written: str, start: int) -> Iterator[Step]:
    while (step := _STEP.match(written, start)) is not None:
        yield Step(step[1], step[2] is not None)
        start = step.end()
