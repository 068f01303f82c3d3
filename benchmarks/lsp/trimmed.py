"""What trimming is worth: the same texts of a model, as they came and as they would be shown, beside the true ones.

`raw` is what a client without rules of its own would show: the text up to its first line break where one line is
asked for, all of it elsewhere.
"""

from __future__ import annotations

import difflib
import statistics
from collections.abc import Iterable, Iterator, Sequence
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
    shown: bool
    """Whether trimming leaves anything of it."""
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
        bool(shown.strip()),
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
    """Over all texts, then for each language. `…_trimmed_over_raw` counts what is not shown as wrong, however right it
    is to say nothing; `…_shown_over_raw` is what a person sees: the mean of the texts that are shown over that of the
    raw ones, each of which would be. None of a kind of which the raw texts have nothing right."""
    yield from _of("", texts)
    for language in sorted({text.language for text in texts}):
        yield from _of(f"_{language}", [text for text in texts if text.language == language])


def _of(suffix: str, texts: Sequence[Scored]) -> Iterator[Figure]:
    shown = [text for text in texts if text.shown]
    raw = _mean(text.raw_exact for text in texts)
    yield from _over(
        raw, "em", suffix, "exact", [text.exact for text in texts], [text.exact for text in shown]
    )
    raw = _mean(text.raw_similarity for text in texts)
    of_all, of_shown = [text.similarity for text in texts], [text.similarity for text in shown]
    yield from _over(raw, "es", suffix, "similar to the true ones", of_all, of_shown)


def _over(
    raw: float, name: str, suffix: str, how: str, of_all: Sequence[float], of_shown: Sequence[float]
) -> Iterator[Figure]:
    if not raw:
        return
    value = _mean(of_all) / raw
    against = f"the same texts untrimmed, {how}"
    yield Figure(f"{name}_trimmed_over_raw{suffix}", value, "ratio", against, len(of_all), value, value)
    value = _mean(of_shown) / raw
    against = f"all texts untrimmed, {how}; only those that are shown count here"
    yield Figure(f"{name}_shown_over_raw{suffix}", value, "ratio", against, len(of_shown), value, value)


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(found) if (found := list(values)) else 0.0


def _similarity(text: str, truth: str) -> float:
    return difflib.SequenceMatcher(None, text, truth, autojunk=False).ratio()
