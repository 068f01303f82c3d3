"""Search anchors as a grammar: runs of whole lines of one file, each long enough to be found in it only once.

A small model chooses well between lines that it reads and counts badly: under these rules it cannot miscopy, and cannot
stop where two places would fit.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from engine.editing.blocks import MARKER_CHARS

MAX_COPIED_LINES = 250
"""Of all files together: xgrammar takes 4 ms to compile a line."""

RUN_LINES = 24
"""An anchor has at most twice as many lines, unless it takes more to be the only one: a small model that has begun to
copy goes on to the end of the file."""

_MARKER_LIKE = re.compile(rf"[<=>]{{{MARKER_CHARS},}}")


def literal(text: str) -> str:
    """A text in EBNF; JSON's escapes are xgrammar's."""
    return json.dumps(text, ensure_ascii=False)


def copied_rules(name: str, lines: Sequence[str], first: int, last: int) -> Iterator[str]:
    """Rules of which `name` is any run from line `first` to line `last` of a file (from 1, both included) that is found
    in its `lines` only once. Nothing where there is no such run."""
    usable = [not _MARKER_LIKE.match(line) for line in lines]
    starts: list[str] = []
    chains: dict[int, int] = {}
    """Of each group of lines that runs begin in, the first line that such a run may go on with."""
    for begin, length in _least_runs(lines, first - 1, last):
        if all(usable[begin : begin + length]):
            group, following = begin // RUN_LINES, begin + length
            run = " ".join(_line(line) for line in lines[begin:following])
            starts.append(f"{run} {name}_{group}_{following}")
            chains[group] = min(chains.get(group, following), following)
    if not starts:
        return
    yield f"{name} ::= {' | '.join(starts)}"
    for group, begin in chains.items():
        end = min(last, (group + 2) * RUN_LINES)
        for at in range(begin, last + 1):
            goes_on = at < end and usable[at]
            following = f"({_line(lines[at])} {name}_{group}_{at + 1})?" if goes_on else '""'
            yield f"{name}_{group}_{at} ::= {following}"


def _least_runs(lines: Sequence[str], begin: int, end: int) -> Iterator[tuple[int, int]]:
    """For each line the least number of lines from there that occur only once; none where the end comes first."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, line in enumerate(lines):
        places[line].append(at)
    for at in range(begin, end):
        others = [other for other in places[lines[at]] if other != at]
        length = 1
        while others and at + length < end:
            following = lines[at + length]
            others = [
                other
                for other in others
                if other + length < len(lines) and lines[other + length] == following
            ]
            length += 1
        if not others:
            yield at, length


def _line(line: str) -> str:
    return literal(f"{line}\n")
