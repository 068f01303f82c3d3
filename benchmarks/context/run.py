"""One whole run of the context benchmark: cases cut, repositories indexed without them, packs looked at."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import msgspec

from benchmarks.archives import HTTPX, NETWORKX, Archive, ArchiveError, unpack
from benchmarks.context.case import Case, Kind, sample
from benchmarks.context.python_cases import cases_of
from benchmarks.context.retrieval import Packed, pack_all
from benchmarks.figures import Figure, high
from benchmarks.index.service import NO_EMBEDDER, Home
from benchmarks.machine_facts import machine_after, machine_before, steal_s
from benchmarks.report import Document
from benchmarks.results import Problem
from benchmarks.targets import Say, TargetError, ended_tidily
from engine.profiles import QWEN_SMALL
from engine.weights.model_folder import WeightsError
from engine.weights.tokenizer_file import ensure_tokenizer
from indexer.client import IndexServiceError
from indexer.messages import TokenizerRef

__all__ = ["BUDGETS", "EXPECTED", "NAMED_FIGURES", "Options", "run"]

CLICK = Archive("click", "8.1.8", "ed53c9d8990d83c2a27deae68e4ee337473f6330c040a31d4225c9574d16096a")
RICH = Archive("rich", "13.9.4", "439594978a49a09530cff7ebc4b5c7103ef57baf48d5ea3184f21d9a2befa098")
DEVELOPMENT = (CLICK, HTTPX, RICH, NETWORKX)
"""On which the ranking may be tuned; all others are held back."""

BUDGETS = (1024, 4096, 8192)
KINDS: tuple[Kind, ...] = ("import", "noimport", "member")
NAMED_FIGURES = (
    "shown_8192",
    "shown_4096",
    "shown_1024",
    "shown_4096_noimport",
    "shown_4096_member",
    "pack_p95_s",
)
"""Those that the project is held to, in the order in which they are shown."""

EXPECTED = (ArchiveError, TargetError, PackageNotFoundError, WeightsError)
FAILURES = (TargetError, IndexServiceError, OSError)
"""Of one repository: it is told, and the others go on."""
PACKAGES = ("foreword", "lancedb", "tree-sitter", "sentence-transformers")
SEED = 0
QUICK_CASES = 4


class Options(msgspec.Struct, frozen=True):
    repositories: tuple[Path, ...] = ()
    """Instead of the development ones."""
    budgets: tuple[int, ...] = BUDGETS
    cases: int = 40
    """Of each kind and repository, at most."""
    cases_file: Path | None = None
    """Cases as JSON lines, instead of those that are cut here."""
    quick: bool = False
    vectors: bool = True


async def run(options: Options, say: Say) -> Document:
    """Measure. What cannot be measured is in the document's problems. Raises one of EXPECTED where nothing can be."""
    with ended_tidily():
        return await _run(options, say)


async def _run(options: Options, say: Say) -> Document:
    machine, steal_before, began = machine_before(PACKAGES), steal_s(), time.monotonic()
    tokenizer = TokenizerRef(str(await asyncio.to_thread(ensure_tokenizer, QWEN_SMALL)))
    packed: list[Packed] = []
    problems: list[Problem] = []
    with tempfile.TemporaryDirectory(prefix="foreword-bench-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        for name, repository in await asyncio.to_thread(_repositories, options, scratch):
            cases = await asyncio.to_thread(_cases, options, repository, name)
            home = Home(scratch / f"home-{name}", None if options.vectors else NO_EMBEDDER)
            try:
                packed += await pack_all(
                    home,
                    repository,
                    cases,
                    options.budgets,
                    tokenizer,
                    scratch / name,
                    say,
                    with_vectors=options.vectors,
                )
            except FAILURES as failed:
                problems.append(Problem("ours", name, str(failed)))
    machine |= machine_after(machine, steal_before, time.monotonic() - began)
    machine |= {
        "quick": options.quick,
        "vectors": options.vectors,
        "cases": _counted(packed, options.budgets),
    }
    return Document(machine, list(_figures(packed, options.budgets)), problems)


def _repositories(options: Options, scratch: Path) -> list[tuple[str, Path]]:
    if options.repositories:
        return [(path.resolve().name, path.resolve()) for path in options.repositories]
    archives = (HTTPX,) if options.quick else DEVELOPMENT
    return [(archive.package, unpack(archive, scratch / "sources")) for archive in archives]


def _cases(options: Options, repository: Path, name: str) -> list[Case]:
    """Raises TargetError where there are none."""
    if options.cases_file is not None:
        given = msgspec.json.Decoder(Case).decode_lines(options.cases_file.read_bytes())
        cases = [case for case in given if case.repository == name]
    else:
        count = QUICK_CASES if options.quick else options.cases
        cases = [case for kind in KINDS for case in sample(cases_of(repository, name, kind), count, SEED)]
    if not cases:
        raise TargetError(f"no case could be cut from {repository}: it has no Python that imports its own")
    return cases


def _figures(packed: Sequence[Packed], budgets: Sequence[int]) -> Iterator[Figure]:
    for kind in KINDS:
        for budget in budgets:
            of_kind = [each for each in packed if each.case.kind == kind and each.budget == budget]
            name = f"shown_{budget}" if kind == "import" else f"shown_{budget}_{kind}"
            yield from _share(name, of_kind)
            for repository in sorted({each.case.repository for each in of_kind}):
                yield from _share(
                    f"{name}_{repository}", [each for each in of_kind if each.case.repository == repository]
                )
    for repository in sorted({each.case.repository for each in packed}):
        seconds = [each.seconds for each in packed if each.case.repository == repository]
        yield high(f"pack_p95_s_{repository}", seconds, "s", "at all budgets, the second time at a place")
    largest = [each.seconds for each in packed if each.case.repository == NETWORKX.package]
    if largest:
        yield high("pack_p95_s", largest, "s", "networkx, at all budgets, the second time at a place")


def _share(name: str, packed: Sequence[Packed]) -> Iterator[Figure]:
    """Of cases whose needed definition is in the pack; the spread is that of the repositories."""
    if packed:
        by_repository = {
            repository: statistics.fmean(each.shown for each in packed if each.case.repository == repository)
            for repository in {each.case.repository for each in packed}
        }
        value = statistics.fmean(each.shown for each in packed)
        against = "cases whose needed definition is in the pack; spread over repositories"
        yield Figure(
            name,
            value,
            "share",
            against,
            len(packed),
            min(by_repository.values()),
            max(by_repository.values()),
        )


def _counted(packed: Sequence[Packed], budgets: Sequence[int]) -> dict[str, int]:
    once = [each.case for each in packed if each.budget == budgets[0]]
    return {
        f"{repository} {kind}": sum(case.repository == repository and case.kind == kind for case in once)
        for repository in sorted({case.repository for case in once})
        for kind in KINDS
    }
