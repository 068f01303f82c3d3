"""What is kept of one suggestion, and the words for what came of it."""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal["accepted", "partly", "typed", "rejected", "unseen"]
"""`accepted`: taken to its end. `partly`: a word or a line of it. `typed`: written out by hand as it stood there.
`rejected`: seen and left. `unseen`: the client says that it never showed it."""

Kind = Literal["one line", "several lines"]

WHOLE = 1.0
"""All of what was accepted is there, and nothing within it."""

MOSTLY = 0.67
"""From here on what was accepted counts as kept in part: at most a third of it is another text, the "mostly unchanged"
of Ziegler et al. 2022, arXiv 2205.06537."""

NAME_CHARS = 64
"""Of a language or a model: they come from clients and settings, and the table has to stay small."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One suggestion, once nothing more can come of it."""

    at: int
    """Seconds since 1970."""
    day: str
    """Of this machine's calendar, as 2026-03-01."""
    language: str
    model: str
    kind: Kind
    outcome: Outcome
    shown: bool | None
    """What the client said; None where it says nothing, and what was sent counts as shown."""
    told: bool
    """The client said that it was accepted; else the document did."""
    engine: bool
    """The engine was needed for it."""
    latency_ms: int
    """From the request to the answer."""
    characters: int
    lines: int
    taken_characters: int
    """That were accepted at once, not typed."""
    kept: float | None
    """How much of what was accepted was there 30 s later, from 0 to 1; None where nothing was accepted."""


def short(name: str | None, otherwise: str) -> str:
    return (name or otherwise)[:NAME_CHARS]
