"""Fits the weights of search to questions with known answers, and says how good they are elsewhere.

    python -m benchmarks.index.fit_search [--questions 60] [--seed 0] [--precision int8] [--save FILE]

Weights maximize the likelihood of the right answers among all candidates of a question (conditional logistic
regression, McFadden 1974), every kind of question and repository counting the same. Each development repository is
also answered with weights fitted to the other three; the held-back ones are answered once, with the final weights.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.archives import HTTPX, NETWORKX, Archive, unpack
from benchmarks.index.search_cases import KINDS, NONSENSE, Kind, Question, cases
from indexer.embedding import origin
from indexer.embedding.models import Model, ways
from indexer.embedding.settings import EmbedderSettings
from indexer.parsing.facts import FileFacts, facts_of
from indexer.parsing.languages import language_of
from indexer.roots.live import LiveFiles, LiveRoot, TextCache
from indexer.search import Searcher, depth
from indexer.searching import found, ranking
from indexer.searching.found import Candidate
from indexer.searching.ranking import SIGNALS, WEIGHTS
from indexer.store.contents import ManifestEntry
from indexer.store.store import Store
from indexer.store.upkeep import index_text

DEVELOPMENT = (
    Archive("click", "8.1.8", "ed53c9d8990d83c2a27deae68e4ee337473f6330c040a31d4225c9574d16096a"),
    HTTPX,
    Archive("rich", "13.9.4", "439594978a49a09530cff7ebc4b5c7103ef57baf48d5ea3184f21d9a2befa098"),
    NETWORKX,
)
HELD_BACK = (
    Archive("jinja2", "3.1.4", "4a3aee7acbbe7303aede8e9648d13b8bf88a429282aa6122a993f0ac800cb369"),
    Archive("requests", "2.32.3", "55365417734eb18255590a9ff9eb97e9e1da868d4ccd6402399eaf68af20a760"),
)

PLACES = 10
"""MRR@10: an answer behind the tenth place counts as none."""

RIDGE = 1e-3
STEPS = 400
SMALLEST_STEP = 1e-6
BOUNDS: dict[str, tuple[float, float]] = {"exact": (4.0, np.inf), "aside": (-1.0, -1.0)}
"""Of weights, beside that none is negative. Who types a name letter for letter means it, though the questions that are
made of names make little of that; and no case has its answer in a test, so what they say of tests is not believed."""

Numbers = NDArray[np.float64]
Score = Callable[["Asked"], Numbers]


@dataclass(frozen=True)
class Asked:
    """A question with all candidates."""

    question: Question | None
    """None: a question without sense."""
    signals: Numbers
    """[candidates, signals]"""
    right: NDArray[np.bool_]
    ranks: Numbers
    """[candidates, 2]: place in the list of full text and in that of vectors, infinite where it is in none."""
    places: list[tuple[str, int]]


class Repository:
    """One repository, indexed and embedded in memory and in a folder of its own."""

    def __init__(self, archive: Archive, scratch: Path, model: Model, questions: int, seed: int) -> None:
        made = cases(unpack(archive, scratch), questions, seed)
        folder = scratch / f"{archive.name}-without-docstrings"
        facts: dict[str, FileFacts] = {}
        for path, text in made.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
            facts[path] = facts_of(text.encode(), language_of(path))
        self.name = archive.name
        self.questions = made.questions
        self._store = Store(scratch / f"{archive.name}-store", "fit")
        contents = self._store.write(list(facts.values()))
        index_text(self._store)
        manifest = {path: ManifestEntry(fact.key, fact.size, 0) for path, fact in facts.items()}
        live = LiveRoot(manifest, {content.key: content for content in contents})
        self._files = LiveFiles(folder, live, {}, TextCache(), lambda _: None)
        self._model = model
        texts = {
            key: chunk.text
            for fact in facts.values()
            for key, chunk in zip(fact.text_keys, fact.chunks, strict=True)
        }
        vectors = model.embed(list(texts.values()), 1)
        self._store.write_vectors(dict(zip(texts, vectors, strict=True)))

    def ask(self) -> list[Asked]:
        return [self._ask(it.text, it) for it in self.questions] + [self._ask(it, None) for it in NONSENSE]

    def _ask(self, text: str, question: Question | None) -> Asked:
        searcher, count = Searcher(self._store), depth(PLACES)
        near = searcher.by_vector(self._files, self._model.embed([text], 1)[0].tolist(), count)
        rows = searcher.by_text(self._files, text, count)
        candidates = found.candidates(self._files, text, rows, near)
        by_text = [(self._files.path_of(row.key), row.start_line) for row in rows]
        by_vector = [(self._files.path_of(it.key), it.span(chunk)[0]) for it, chunk, _ in near.found]
        places = [(one.path, one.start_line) for one in candidates]
        return Asked(
            question,
            np.array([msgspec.structs.astuple(one.signals) for one in candidates]).reshape(-1, len(SIGNALS)),
            np.array([question is not None and _is_right(one, question) for one in candidates], np.bool_),
            np.array([(_rank(by_text, it), _rank(by_vector, it)) for it in places]).reshape(-1, 2),
            places,
        )


def _is_right(one: Candidate, question: Question) -> bool:
    return any(
        path == one.path and (start <= one.start_line < end or one.start_line <= start < one.end_line)
        for path, start, end in question.answers
    )


def _rank(listed: Sequence[tuple[str | None, int]], place: tuple[str, int]) -> float:
    return listed.index(place) if place in listed else np.inf


# ---------------------------------------------------------------- figures


def reciprocal_rank(asked: Asked, score: Score) -> float:
    scores = score(asked).tolist()
    order = sorted(range(len(scores)), key=lambda one: (-scores[one], asked.places[one]))
    ranks = (rank for rank, one in enumerate(order[:PLACES], start=1) if asked.right[one])
    return 1 / next(ranks, np.inf)


def by_kind(asked: Sequence[Asked], score: Score) -> dict[Kind, float]:
    """MRR@10 of each kind of question."""
    found: defaultdict[Kind, list[float]] = defaultdict(list)
    for one in asked:
        if one.question is not None:
            found[one.question.kind].append(reciprocal_rank(one, score))
    return {kind: float(np.mean(found[kind])) for kind in KINDS if found[kind]}


def weighted(weights: Numbers) -> Score:
    return lambda asked: asked.signals @ weights


def by_ranks(text: float, vector: float, offset: float) -> Score:
    """Reciprocal rank fusion (Cormack et al., SIGIR 2009)."""
    return lambda asked: text / (offset + asked.ranks[:, 0]) + vector / (offset + asked.ranks[:, 1])


def equal_sum(asked: Asked) -> Numbers:
    return asked.signals[:, SIGNALS.index("text")] + asked.signals[:, SIGNALS.index("vector")]


WAYS: dict[str, Score] = {
    "text alone": by_ranks(1, 0, 1),
    "vectors alone": by_ranks(0, 1, 1),
    "equal, by rank (10)": by_ranks(1, 1, 10),
    "equal, by rank (60)": by_ranks(1, 1, 60),
    "equal, by score": equal_sum,
    "as shipped": weighted(np.array(msgspec.structs.astuple(WEIGHTS))),
}

# ---------------------------------------------------------------- fitting


def fit(repositories: Sequence[Sequence[Asked]]) -> Numbers:
    """The weights, so scaled that the one of `vector` is 1."""
    cases: list[tuple[Numbers, NDArray[np.bool_], float]] = []
    for asked in repositories:
        known = [(one, one.question) for one in asked if one.question is not None and one.right.any()]
        counts = Counter(question.kind for _, question in known)
        cases += [
            (one.signals, one.right, 1 / counts[question.kind] / len(counts) / len(repositories))
            for one, question in known
        ]
    low, high = np.array([BOUNDS.get(name, (0.0, np.inf)) for name in SIGNALS]).T
    weights = np.clip(np.ones(len(SIGNALS)), low, high)
    loss, slope = _loss(cases, weights)
    step = 1.0
    for _ in range(STEPS):  # projected gradient descent with backtracking; the loss is near enough to convex
        new = np.clip(weights - step * slope, low, high)
        new_loss, new_slope = _loss(cases, new)
        if new_loss <= loss:
            weights, loss, slope, step = new, new_loss, new_slope, step * 1.5
        elif step < SMALLEST_STEP:
            break
        else:
            step /= 2
    return weights / weights[SIGNALS.index("vector")]


def _loss(
    cases: Sequence[tuple[Numbers, NDArray[np.bool_], float]], weights: Numbers
) -> tuple[float, Numbers]:
    """Negative log likelihood and its slope."""
    loss, slope = RIDGE * float(weights @ weights), 2 * RIDGE * weights
    for signals, right, share in cases:
        scores = signals @ weights
        odds = np.exp(scores - scores.max())
        loss -= share * float(np.log(odds[right].sum() / odds.sum()))
        slope -= share * (odds[right] @ signals[right] / odds[right].sum() - odds @ signals / odds.sum())
    return loss, slope


def tell(name: str, figures: dict[Kind, float]) -> None:
    kinds = " ".join(f"{kind} {figure:.3f}" for kind, figure in figures.items())
    print(f"  {name:28s} {np.mean(list(figures.values())):.3f}   {kinds}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--questions", type=int, default=60, help="of each kind and repository, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--precision", default="", help="int8 or float32; by default the embedder's own choice"
    )
    parser.add_argument("--save", type=Path, help="a file for all figures, as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        document = asyncio.run(asyncio.to_thread(_run, Path(scratch), options))
    if options.save:
        options.save.write_bytes(msgspec.json.encode(document))


def _run(scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    wanted = origin.find(EmbedderSettings())
    possible = ways(wanted.facts, Path(wanted.graphs))
    model = possible[options.precision or next(iter(possible))]()
    asked: dict[str, list[Asked]] = {}
    document: dict[str, Any] = {"precision": model.precision, "mrr": {}}
    for archive in (*DEVELOPMENT, *HELD_BACK):
        repository = Repository(archive, scratch, model, options.questions, options.seed)
        asked[archive.name] = answers = repository.ask()
        held = " (held back)" if archive in HELD_BACK else ""
        print(f"{archive.name}{held}: {len(repository.questions)} questions")
        for name, way in WAYS.items():
            figures = by_kind(answers, way)
            tell(name, figures)
            document["mrr"].setdefault(archive.name, {})[name] = figures
    development = [asked[archive.name] for archive in DEVELOPMENT]
    means: list[float] = []
    print("fitted to the other three:")
    for left_out, archive in enumerate(DEVELOPMENT):
        weights = fit([it for place, it in enumerate(development) if place != left_out])
        figures = by_kind(asked[archive.name], weighted(weights))
        tell(archive.name, figures)
        means.append(float(np.mean(list(figures.values()))))
    print(f"  mean {np.mean(means):.3f}, standard deviation {np.std(means):.3f}")
    final = fit(development)
    print("fitted to all four:", " ".join(f"{n}={w:.2f}" for n, w in zip(SIGNALS, final, strict=True)))
    for archive in HELD_BACK:
        tell(f"{archive.name} (held back)", by_kind(asked[archive.name], weighted(final)))
    silent = [not _shown(one) for answers in asked.values() for one in answers if one.question is None]
    lost = [not _shown(one) for answers in asked.values() for one in answers if one.question is not None]
    print(f"no hit at all: {np.mean(silent):.0%} without sense, {np.mean(lost):.1%} of the others")
    return document | {"weights": dict(zip(SIGNALS, final.tolist(), strict=True)), "left_out": means}


def _shown(asked: Asked) -> bool:
    vector = asked.signals[:, SIGNALS.index("vector")]
    return bool((np.isfinite(asked.ranks[:, 0]) | (vector >= ranking.LEAST_SIMILARITY)).any())


if __name__ == "__main__":
    main()
