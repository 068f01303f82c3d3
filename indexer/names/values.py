"""What a name or an expression means to the graph."""

from __future__ import annotations

import msgspec

Place = tuple[str, int]
"""A definition: its path and its ordinal among those of the file by place."""


class Names(msgspec.Struct, frozen=True, gc=False):
    """Definitions: one, or several that are equally good (overloads, a declaration and what it declares)."""

    places: tuple[Place, ...]
    why: str = ""


class Module(msgspec.Struct, frozen=True, gc=False):
    """A file, or a package that is a folder, named with a `/` at the end, with the rules of its language."""

    path: str
    family: str


class Instance(msgspec.Struct, frozen=True, gc=False):
    """A value whose type is one of these. `above`: seen as its base class (`super`)."""

    places: tuple[Place, ...]
    above: bool = False


class Outside(msgspec.Struct, frozen=True, gc=False):
    """Something that this repository does not hold."""

    what: str


class Unknown(msgspec.Struct, frozen=True, gc=False):
    why: str


Value = Names | Module | Instance | Outside | Unknown

NOT_HERE = "not in this repository"
RECEIVER_UNKNOWN = "receiver unknown"
UNKNOWN_RECEIVER = Unknown(RECEIVER_UNKNOWN)
