"""What one edit is to do: the instruction, the files that it may change, and the places that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from engine.editing.examples import Shape

WhenPlanned = Literal["no", "where several", "always", "known"]
"""Whether the model plans first: which of the files that it could be about it changes. `known`: the files are known to
be all that change, and no model is asked."""


class Focus(msgspec.Struct, frozen=True):
    """Lines that an edit is about, from 1, both ends included."""

    path: str
    first: int
    last: int


class Use(msgspec.Struct, frozen=True):
    """A line that refers to what an edit is about."""

    path: str
    line: int
    """From 1."""
    name: str


class Diagnosed(msgspec.Struct, frozen=True):
    """A diagnostic as whoever found it told it."""

    path: str
    line: int
    """From 1."""
    message: str
    source: str = ""
    code: str = ""

    def told(self) -> str:
        by = " ".join(filter(None, (self.source, self.code)))
        return f"{self.path}:{self.line}: {self.message}{f' ({by})' if by else ''}"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    instruction: str
    paths: Sequence[str] = ()
    """Files that may be changed, below the root, the most important first."""
    new_paths: Sequence[str] = ()
    """Files that may be made."""
    focus: Sequence[Focus] = ()
    """At most one for each path."""
    confined: bool = False
    """Anchors lie within the focus: a small model is kept to the definition that is meant."""
    alone: bool = False
    """Nothing is read but the focus and what stands around it: a small model loses itself in more."""
    diagnostics: Sequence[Diagnosed] = ()
    shape: Shape = "any"
    reads: Sequence[Focus] = ()
    """Lines of other files that are shown, and stay as they are."""
    whole_files: bool = False
    """It may make, delete and rename files as it likes."""
    plan: WhenPlanned = "no"
    uses: Sequence[Use] = ()
    """Of what the edit is about, as far as the index knows them."""

    def focus_in(self, path: str) -> Focus | None:
        return next((each for each in self.focus if each.path == path), None)
