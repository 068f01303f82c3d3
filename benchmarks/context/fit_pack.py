"""Fits what the features of a pack's candidates count for to lines of the development repositories.

    python -m benchmarks.context.fit_pack [--cases 60] [--seed 0]

Logistic regression over all candidates of each case (is it what the line names?), every kind of case and repository
counting the same, with a ridge and with no weight of the wrong sign. Each repository is also ranked with weights
fitted to the others: that is what the last columns tell. Prints what `indexer/packing/weights.py` holds.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import scipy.optimize  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from benchmarks.archives import unpack
from benchmarks.context.case import Case, Kind, sample
from benchmarks.context.python_cases import cases_of
from benchmarks.context.sources import DEVELOPMENT
from indexer.embedding.embedding import EmbeddingUnavailable
from indexer.graph import Graph
from indexer.history.history import NO_HISTORY
from indexer.messages import Hit
from indexer.names.siblings import Siblings
from indexer.packing.candidates import Gathering
from indexer.packing.evidence import FEATURES, Candidate
from indexer.packing.pack import SEARCH_HITS
from indexer.packing.probes import probed
from indexer.packing.surroundings import look_around
from indexer.parsing.facts import facts_of
from indexer.parsing.languages import language_of
from indexer.parsing.lines import split_lines
from indexer.roots.live import LiveFiles, LiveRoot, TextCache
from indexer.roots.overlays import OverlayDocument
from indexer.roots.renown import among
from indexer.search import Searcher
from indexer.store.contents import ManifestEntry
from indexer.store.store import Store
from indexer.store.upkeep import index_text

KINDS: tuple[Kind, ...] = ("import", "noimport", "member")

RIDGE = 1e-3

AGAINST = frozenset({"private", "test", "method", "constant"})
"""Features that may speak against a candidate; all others never do."""

LEAST = {"imported_near": 2.0, "attribute": 1.0, "typed": 0.5}
"""What stands at the cursor is worth more than what stands far away, though a case whose only use of an import is the
line that was cut says the opposite."""

UNSEEN = {"maker": 3.0, "together": 1.0, "changed": 0.5, "edited": 2.0, "unsaved": 2.0}
"""No case needs a constructor by its name, releases have no history and nobody edits in them: these are set by
judgement, and the editing simulation looks at what the last ones do."""

Numbers = NDArray[np.float64]


class Asked(msgspec.Struct, frozen=True):
    """One case with all its candidates."""

    case: Case
    features: Numbers
    """[candidates, features]"""
    right: NDArray[np.bool_]


class View(LiveFiles):
    """A repository in which one document is as its editor has it."""

    repo_name = "fit"
    ready = True
    history = NO_HISTORY

    def __init__(self, repository: Repository, path: str, text: str) -> None:
        document = OverlayDocument(path, text)
        super().__init__(
            repository.root,
            repository.live,
            {path: document},
            repository.texts,
            lambda _: None,
            repository.store,
        )
        self.graph = Graph()
        self.notes: list[str] = []
        self._repository = repository

    def used_beside(self, path: str) -> Mapping[str, float]:
        return self._repository.siblings.used(self, path)

    def popular(self, most: int) -> Sequence[str]:
        return self._repository.counted.first[:most]

    def popularity(self, name: str) -> int:
        return self._repository.counted.counts.get(name, 0)

    async def search(self, query: str, limit: int) -> Sequence[Hit]:
        async def no_vector(_: str) -> list[float]:
            raise EmbeddingUnavailable("vectors are not fitted")

        store = self._repository.store
        found = await self._repository.searcher.search(
            self, query, limit, no_vector, store.vector_tables.wanted
        )
        return found.hits


class Repository:
    """One repository, indexed in a folder of its own, without vectors."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root = root
        facts = {
            path.relative_to(root).as_posix(): facts_of(path.read_bytes(), language_of(path.name))
            for path in sorted(root.rglob("*"))
            if path.is_file() and language_of(path.name) is not None
        }
        self.store = Store(scratch / f"{root.name}-store", "fit")
        contents = self.store.write(list(facts.values()))
        index_text(self.store)
        self.live = LiveRoot(
            {path: ManifestEntry(fact.key, fact.size, 0) for path, fact in facts.items()},
            {content.key: content for content in contents},
        )
        self.texts = TextCache()
        self.siblings = Siblings()
        self.counted = among(self.store.names_by_use({content.key for content in contents}), self.live)

    async def ask(self, case: Case) -> Asked:
        self.searcher = Searcher(self.store)
        view = View(self, case.path, case.text)
        lines = split_lines(case.text)
        around = look_around(lines, case.line, case.column)
        written = probed(lines, case.line, case.column, around, language_of(case.path))
        hits = await view.search(around.query, SEARCH_HITS)
        found = Gathering(view, case.path, written, around).with_hits(hits)
        features = np.array([[getattr(one.evidence, name) for name in FEATURES] for one in found])
        return Asked(case, features, np.array([_is_right(one, case) for one in found], np.bool_))


def _is_right(one: Candidate, case: Case) -> bool:
    needed = case.needed
    return (
        needed is not None
        and one.definition is not None
        and one.definition.name == needed.name
        and one.path == needed.path
        and one.start_line <= needed.line < one.end_line
    )


# ---------------------------------------------------------------- figures


def fit(asked: Sequence[Asked]) -> Numbers:
    """The bias and the weights of FEATURES."""
    asked = [one for one in asked if one.right.any()]
    counts = Counter((one.case.repository, one.case.kind) for one in asked)
    features = np.concatenate([one.features for one in asked])
    right = np.concatenate([one.right for one in asked])
    weight = np.concatenate(
        [
            np.full(len(one.right), 1 / counts[one.case.repository, one.case.kind] / len(counts))
            for one in asked
        ]
    )

    def loss(parameters: Numbers) -> tuple[float, Numbers]:
        odds = parameters[0] + features @ parameters[1:]
        value = np.logaddexp(0.0, odds) - right * odds
        slope = weight * (1 / (1 + np.exp(-odds)) - right)
        ridge = np.concatenate([[0.0], parameters[1:]])
        return (
            float(weight @ value + RIDGE * (ridge @ ridge)),
            np.concatenate([[slope.sum()], features.T @ slope]) + 2 * RIDGE * ridge,
        )

    bounds = [
        (None, None),
        *((None, 0.0) if name in AGAINST else (LEAST.get(name, 0.0), None) for name in FEATURES),
    ]
    minimize: Any = scipy.optimize.minimize  # pyright: ignore[reportUnknownMemberType]
    return minimize(loss, np.zeros(1 + len(FEATURES)), jac=True, bounds=bounds, method="L-BFGS-B").x


def places(asked: Sequence[Asked], parameters: Numbers) -> Numbers:
    """Of each case, how many candidates stand before the right one; infinite where it is none."""
    found: list[float] = []
    for one in asked:
        odds = one.features @ parameters[1:] if len(one.right) else np.zeros(0)
        found.append(float((odds > odds[one.right].max()).sum()) if one.right.any() else np.inf)
    return np.array(found)


def _told(name: str, ranks: Numbers) -> str:
    shares = "  ".join(f"{(ranks < place).mean():.3f}" for place in (1, 10, 40, 160))
    return f"{name:32} n {len(ranks):4}  first, first 10, 40, 160: {shares}"


async def _asked(root: Path, name: str, scratch: Path, count: int, seed: int) -> list[Asked]:
    repository = Repository(root, scratch)
    found: list[Asked] = []
    for kind in KINDS:
        found += [await repository.ask(case) for case in sample(cases_of(root, name, kind), count, seed)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=60, help="of each kind and repository")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    by_name: dict[str, list[Asked]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for archive in DEVELOPMENT:
            root = unpack(archive, Path(folder))
            asked = asyncio.run(_asked(root, archive.name, Path(folder), arguments.cases, arguments.seed))
            by_name[archive.name] = asked
    everything = [one for asked in by_name.values() for one in asked]
    parameters = fit(everything)
    for name, asked in by_name.items():
        others = fit([one for other, found in by_name.items() if other != name for one in found])
        for kind in KINDS:
            of_kind = [one for one in asked if one.case.kind == kind]
            print(_told(f"{name} {kind}, fitted", places(of_kind, parameters)))
            print(_told(f"{name} {kind}, held out", places(of_kind, others)))
    weights = {name: round(float(value), 2) for name, value in zip(FEATURES, parameters[1:], strict=True)}
    print(f"bias={parameters[0]:.2f}, of={ {**weights, **UNSEEN} }")


if __name__ == "__main__":
    main()
