"""What trimming is worth: the same texts of a model, as they came and as they would be shown, beside the true ones.

`raw` is what a client without rules of its own would show: the text up to its first line break where one line is
asked for, all of it elsewhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from benchmarks.figures import Figure
from lsp.trim import Place, Trimmer


class Cut(Protocol):
    """A place where `truth` was cut out of a text."""

    @property
    def before(self) -> str: ...
    @property
    def after(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def truth(self) -> str: ...


class Scored(msgspec.Struct, frozen=True):
    """One text of a model: whether it is the true one, and how similar (0 to 1), raw and trimmed."""

    language: str
    raw_exact: bool
    raw_similarity: float
    exact: bool
    similarity: float


def scored(said: str, case: Cut, *, ended: bool, block: bool = False) -> Scored:
    """`said` is all that the model wrote; `ended` that it ended by itself and not at a limit."""
    raw = said if block else said.partition("\n")[0]
    shown = trimmed(said, case, ended=ended, block=block)
    truth = case.truth.strip()
    return Scored(
        case.language,
        raw.strip() == truth,
        _similarity(raw.strip(), truth),
        shown.strip() == truth,
        _similarity(shown.strip(), truth),
    )


def trimmed(said: str, case: Cut, *, ended: bool, block: bool = False) -> str:
    """What would be shown of it."""
    trimmer = Trimmer(Place(case.before, case.after, block, case.language))
    decision = trimmer.feed(said)
    return (decision if decision.done else trimmer.finish(said, cut=not ended)).text


def figures(texts: Sequence[Scored]) -> Iterator[Figure]:
    """Over all texts, then for each language. None of a kind of which the raw texts have nothing right."""
    yield from _of("", texts)
    for language in sorted({text.language for text in texts}):
        yield from _of(f"_{language}", [text for text in texts if text.language == language])


def _of(suffix: str, texts: Sequence[Scored]) -> Iterator[Figure]:
    exact = f"em_trimmed_over_raw{suffix}"
    yield from _ratio(exact, texts, lambda each: each.exact, lambda each: each.raw_exact, "exact")
    similar = f"es_trimmed_over_raw{suffix}"
    yield from _ratio(
        similar, texts, lambda each: each.similarity, lambda each: each.raw_similarity, "similar"
    )


def _ratio(
    name: str,
    texts: Sequence[Scored],
    over: Callable[[Scored], float],
    under: Callable[[Scored], float],
    how: str,
) -> Iterator[Figure]:
    raw = sum(map(under, texts))
    if not raw:
        return
    value = sum(map(over, texts)) / raw
    yield Figure(
        name, value, "ratio", f"the same texts untrimmed, {how} to the true ones", len(texts), value, value
    )


def _similarity(text: str, truth: str) -> float:
    return difflib.SequenceMatcher(None, text, truth, autojunk=False).ratio()
