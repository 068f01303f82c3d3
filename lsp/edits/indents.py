"""Lines that a model indented otherwise than the file: put to the depth that the file has there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from lsp.edits.lines import indent_of

DEFAULT_STEP = 4
"""Columns of one level where the lines at hand do not tell."""


class Uneven(Exception):
    """One depth of the model's lines stands for two of the file's, or none can be told."""


class Reindent:
    """From the indents of lines as a model wrote them to those of the same lines in the file. Raises Uneven."""

    def __init__(self, written: Sequence[str], there: Sequence[str], file: Iterable[str] = ()) -> None:
        pairs = [
            (indent_of(model), indent_of(real))
            for model, real in zip(written, there, strict=True)
            if model.strip() and real.strip()
        ]
        if len(pairs) > 1 and not pairs[0][0] and all(model == real for model, real in pairs[1:]):
            pairs = pairs[1:]  # only the first line has lost its indent, as models do
        self._known = dict(pairs)
        if len(set(pairs)) != len(self._known) or len(set(self._known.values())) != len(self._known):
            raise Uneven
        self._same = all(model == real for model, real in self._known.items())
        self._model_step = _step(written)
        file = [*there, *file]
        self._tabs = any(line.startswith("\t") for line in file)
        self._file_step = _step(file)

    def line(self, line: str) -> str:
        """Raises Uneven."""
        if self._same or not line.strip() or not self._known:
            return line
        indent = indent_of(line)
        return self._of(indent) + line[len(indent) :]

    def _of(self, indent: str) -> str:
        if indent in self._known:
            return self._known[indent]
        above = max((each for each in self._known if indent.startswith(each)), key=len, default=None)
        if above is not None:
            return self._known[above] + self._levels(indent[len(above) :])
        below = min((each for each in self._known if each.startswith(indent)), key=len, default=None)
        if below is None:
            raise Uneven
        fewer = self._levels(below[len(indent) :])
        real = self._known[below]
        if not real.endswith(fewer):
            raise Uneven
        return real[: len(real) - len(fewer)]

    def _levels(self, more: str) -> str:
        """Some levels of the model's indent in the file's."""
        if "\t" in more:
            levels, rest = more.count("\t"), more.count(" ")
        elif self._tabs:
            levels, rest = divmod(len(more), self._model_step)
        else:
            return more
        return ("\t" if self._tabs else " " * self._file_step) * levels + " " * rest


def _step(lines: Iterable[str]) -> int:
    """Columns of one level, of lines that are indented with blanks."""
    widths = {len(indent_of(line)) for line in lines if line.strip() and line.startswith(" ")}
    widths |= {abs(one - other) for one in widths for other in widths if one != other}
    step = math.gcd(*widths) if widths else DEFAULT_STEP
    return step if step > 1 else DEFAULT_STEP
