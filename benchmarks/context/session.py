"""What the parts of one run of the context benchmark share: options, cases, what each method gives, one engine host."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from benchmarks.archives import HTTPX, ArchiveError
from benchmarks.context import go_cases, typescript_cases
from benchmarks.context.aider_map import AiderMap
from benchmarks.context.bm25 import Bm25
from benchmarks.context.case import LANGUAGES, Case, Kind, Language, sample
from benchmarks.context.given import METHODS, Given, Method, checked, in_order, of_nothing, of_pack
from benchmarks.context.python_cases import cases_of
from benchmarks.context.retrieval import Beside, pack_all
from benchmarks.context.rounds import Placed, rounds
from benchmarks.context.sources import ARCHIVES, Source, unpacked
from benchmarks.engine.hosted import Hosted
from benchmarks.index.service import NO_EMBEDDER, Home
from benchmarks.results import Problem
from benchmarks.targets import Say, TargetError
from engine.profiles import QWEN_SMALL
from engine.tokens import ModelTokenizer
from engine.weights.weights import ensure
from indexer.client import IndexServiceError
from indexer.messages import TokenizerRef

BUDGETS = (1024, 4096, 8192)
KINDS: tuple[Kind, ...] = ("import", "noimport", "member", "random")
SHOWN_KINDS: dict[Language, tuple[Kind, ...]] = {
    "python": ("import", "noimport", "member"),
    "typescript": ("import",),
    "go": ("import",),
}
"""Those that need a definition, and that we can cut."""
PARTS = ("shown", "quality", "curve", "simulation", "base")
FAILURES = (TargetError, ArchiveError, IndexServiceError, OSError)
"""Of one repository or method: it is told, and the others go on."""
SEED = 0


class Options(msgspec.Struct, frozen=True):
    repositories: tuple[Path, ...] = ()
    """Instead of the development ones."""
    budgets: tuple[int, ...] = BUDGETS
    cases: int = 40
    """Of each kind and repository, at most; the model is asked about half of them."""
    cases_file: Path | None = None
    """Cases as JSON lines, instead of those that are cut here."""
    quick: bool = False
    vectors: bool = True
    parts: tuple[str, ...] = ()
    """Of PARTS; empty means all, or in a quick run the first."""
    methods: tuple[Method, ...] = ()
    """Empty means all, or in a quick run ours alone."""
    kinds: tuple[Kind, ...] = ()
    results: Path | None = None
    """Where the model's answers are kept, and those of an earlier run found."""

    @property
    def wanted(self) -> tuple[str, ...]:
        return self.parts or (PARTS[:1] if self.quick else PARTS)

    @property
    def compared(self) -> tuple[Method, ...]:
        return self.methods or (("foreword",) if self.quick else METHODS)


class Session:
    """What the parts of one run share."""

    def __init__(self, options: Options, tokenizer: ModelTokenizer, scratch: Path, say: Say) -> None:
        self.options, self.tokenizer, self.scratch, self.say = options, tokenizer, scratch, say
        self.problems: list[Problem] = []
        self.told: dict[str, object] = {}
        self._host: Hosted | None = None

    def sources(self) -> list[Source]:
        """Those that the parts read: of other languages than Python only what is shown is looked at."""
        if self.options.repositories:
            return [
                Source(path.resolve().name, path.resolve(), language_of(path))
                for path in self.options.repositories
            ]
        found: list[Source] = []
        wanted = set(self.options.wanted) - {"simulation"}
        for language, archives in ARCHIVES.items():
            for archive in archives if "shown" in wanted or (wanted and language == "python") else ():
                if self.options.quick and archive != HTTPX:
                    continue
                try:
                    found.append(unpacked(archive, language, self.scratch / "sources"))
                except ArchiveError as failed:
                    self.problems.append(Problem("sources", archive.package, str(failed)))
        return found

    def cases(self, source: Source, kinds: Sequence[Kind], count: int) -> list[Case]:
        """Raises TargetError where there are none."""
        if self.options.cases_file is not None:
            given = msgspec.json.Decoder(Case).decode_lines(self.options.cases_file.read_bytes())
            cases = [case for case in given if case.repository == source.name and case.kind in kinds]
        else:
            cases = [case for kind in kinds for case in sample(_cut(source, kind), count, SEED)]
        if not cases:
            raise TargetError(
                f"no case could be cut from {source.folder}: it has no code that imports its own"
            )
        return cases

    async def given(
        self, source: Source, cases: Sequence[Case], budgets: Sequence[int], compared: Sequence[Method]
    ) -> list[Given]:
        """What each method has the model read for each case. What fails is noted as a problem."""
        found: list[Given] = []
        readers: list[Bm25 | AiderMap] = []
        for method, kind in (("bm25", Bm25), ("aider", AiderMap)):
            if method in compared:
                try:
                    readers.append(await kind.ready(self.tokenizer, self.scratch, self.say))
                except TargetError as failed:
                    self.failed(method, source.name, failed)

        async def beside(placed: list[Placed]) -> None:
            for reader in readers:
                try:
                    async with reader.opened(placed[0].root) as repository:
                        for each in placed:
                            given = await repository.give(each, budgets)
                            found.extend(checked(one, each.planted) for one in given)
                except TargetError as failed:
                    self.failed(reader.name, source.name, failed)
            if readers:
                self.say(f"{source.name}: baselines of {len(placed)} cases")

        if "none" in compared:
            found += of_nothing(cases, budgets)
        try:
            if "foreword" in compared:
                found += await self._packs(source, cases, budgets, beside)
            elif readers:
                for placed in rounds(source.folder, cases, self.scratch / source.name):
                    await beside(placed)
        except FAILURES as failed:
            self.failed("ours", source.name, failed)
        self.told |= {reader.name: reader.settings for reader in readers}
        return in_order(found, cases)

    async def _packs(
        self, source: Source, cases: Sequence[Case], budgets: Sequence[int], beside: Beside
    ) -> list[Given]:
        home = Home(self.scratch / f"home-{source.name}", None if self.options.vectors else NO_EMBEDDER)
        packed = await pack_all(
            home,
            source.folder,
            cases,
            budgets,
            TokenizerRef(str(self.tokenizer.file)),
            self.scratch / source.name,
            self.say,
            with_vectors=self.options.vectors,
            beside=beside,
        )
        return [of_pack(each) for each in packed]

    async def host(self, stack: AsyncExitStack) -> Hosted:
        """One engine host of the run's own, started when it is first needed. Raises TargetError or WeightsError."""
        if self._host is None:
            await asyncio.to_thread(ensure, QWEN_SMALL)
            self._host = Hosted("ours", QWEN_SMALL, self.scratch)
            stack.push_async_callback(self._host.close)
            await self._host.start()
            self.told["host"] = self._host.settings("quality")
        return self._host

    def failed(self, target: str, what: str, error: Exception) -> None:
        self.problems.append(Problem(target, what, str(error)))


def language_of(repository: Path) -> Language:
    """The language that most of its files are in that one of our cutters reads."""
    found = [LANGUAGES[path.suffix] for path in repository.rglob("*") if path.suffix in LANGUAGES]
    return max(LANGUAGES.values(), key=found.count)


def _cut(source: Source, kind: Kind) -> Sequence[Case]:
    if source.language == "python":
        return list(cases_of(source.folder, source.name, kind))
    if kind not in SHOWN_KINDS[source.language]:
        return []
    cutter = typescript_cases if source.language == "typescript" else go_cases
    return list(cutter.cases_of(source.folder, source.name))
