"""Texts that are always at hand for measuring an embedder: our own code, and questions that no code answers."""

from __future__ import annotations

from pathlib import Path

_LINES = 30

NONSENSE = (
    "purple elephants dancing tango on the moon",
    "best recipe for lemon cheesecake without eggs",
    "who won the football world cup in 1998",
    "lorem ipsum dolor sit amet consectetur",
    "cheap flights from Lisbon to Tokyo in March",
    "symptoms of vitamin D deficiency",
    "the quick brown fox jumps over the lazy dog",
    "wann fährt der nächste Zug nach Berlin",
)


def pieces(count: int) -> list[str]:
    """The heads of so many of our own modules."""
    sources = sorted(Path(__file__).parent.parent.rglob("*.py"))
    step = max(1, len(sources) // count)
    return [
        "".join(source.read_text(encoding="utf-8").splitlines(True)[:_LINES])
        for source in sources[::step][:count]
    ]
