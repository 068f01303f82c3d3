"""The first index of a repository beside aider's first map and ctags, and how soon a symbol can be asked for."""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

from benchmarks.index.baselines import AIDER, CTAGS, Aider, Ctags
from benchmarks.index.bench import Bench, Part
from benchmarks.index.repositories import Subject, Symbol
from benchmarks.index.service import CONNECT_TIMEOUT_S, NO_EMBEDDER, Home, Service, running
from benchmarks.processes import MB
from benchmarks.targets import TargetError
from indexer.client import IndexClient
from indexer.messages import RootStatus

POLL_S = 0.002
"""Between two looks at whether an answer is there."""
ANSWER_TIMEOUT_S = 60.0


async def cold(bench: Bench) -> None:
    """Ours, aider and ctags in turn; each from nothing, with the files in the page cache."""
    subject, folder = bench.subject, bench.subject.folder
    files = await asyncio.to_thread(tracked, folder)
    await asyncio.to_thread(_read_all, folder, files)
    aider, ctags = await _aider(bench), await _ctags(bench)
    ours_s: list[float] = []
    cpu_s: list[float] = []
    aider_s: list[float] = []
    aider_cpu_s: list[float] = []
    aider_process_s: list[float] = []
    ctags_s: list[float] = []
    status: RootStatus | None = None
    for run in range(bench.runs):
        status, seconds, cpu = await cold_pass(bench.home(NO_EMBEDDER), folder)
        ours_s.append(seconds)
        cpu_s.append(cpu)
        bench.say(f"cold {run + 1} of {bench.runs}: ours {seconds:.2f} s")
        try:
            if aider is not None:
                mapped = await aider.first_map(folder, files)
                aider_s.append(mapped.seconds)
                aider_cpu_s.append(mapped.cpu_seconds)
                aider_process_s.append(mapped.process_s)
                bench.told["aider_map_characters"] = mapped.characters
        except TargetError as error:
            bench.results.failed(AIDER, "cold_over_aider", error)
            aider = None
        try:
            if ctags is not None:
                ctags_s.append(await ctags.tags(folder, bench.scratch / "tags"))
        except TargetError as error:
            bench.results.failed(CTAGS, "cold_over_ctags", error)
            ctags = None
    assert status is not None
    with_what = (
        f"{subject.name}: service started, store empty; {status.files} files, {status.symbols} symbols, "
        f"{status.references} references, {status.chunks} chunks; graph and full text, secrets looked for; no vectors"
    )
    bench.ratio("cold_over_aider", ours_s, aider_s, aider.settings if aider else "")
    bench.ratio("cold_over_ctags", ours_s, ctags_s, ctags.settings if ctags else "")
    bench.absolute("cold_s", ours_s, with_what)
    bench.absolute("cold_cpu_s", cpu_s, "CPU of the service and its children for the same", "CPU s")
    bench.single("cold_mb_per_s", status.source_bytes / MB / sorted(ours_s)[len(ours_s) // 2], "MB/s")
    bench.absolute("aider_first_map_s", aider_s, aider.settings if aider else "")
    bench.absolute("aider_first_map_cpu_s", aider_cpu_s, "", "CPU s")
    bench.absolute(
        "aider_process_s", aider_process_s, "the same with Python's start and what the map imports"
    )
    bench.absolute("ctags_s", ctags_s, ctags.settings if ctags else "")
    bench.told["cold"] = {
        "files": status.files,
        "skipped": status.skipped,
        "symbols": status.symbols,
        "references": status.references,
        "chunks": status.chunks,
        "source_bytes": status.source_bytes,
    }


async def cold_pass(home: Home, folder: Path) -> tuple[RootStatus, float, float]:
    """(what was found, seconds, CPU seconds) of a first index by a service that has just opened an empty store."""
    async with running(home) as service:
        cpu, began = service.cpu_s, time.perf_counter()
        status = await opened(service, folder)
        return status, time.perf_counter() - began, service.cpu_s - cpu


async def opened(service: Service, folder: Path, *, wait_vectors: bool = False) -> RootStatus:
    """The root, indexed. Raises TargetError when that failed."""
    status = await service.client.open_root(str(folder), wait=True, wait_vectors=wait_vectors)
    if status.state != "ready" or not status.symbols:
        raise TargetError(f"{folder} was not indexed: {status.state} {status.error} {status.note}")
    return status


async def first_answers(bench: Bench) -> None:
    """From the moment a workspace is opened to the first right answer about one of its symbols."""
    subject = bench.subject
    new_s: list[float] = []
    known_s: list[float] = []
    started_s: list[float] = []
    known_home = bench.home(NO_EMBEDDER)
    async with running(known_home) as service:
        await opened(service, subject.folder)
    for run in range(bench.runs):
        symbol = subject.symbols[run % len(subject.symbols)]
        async with running(bench.home(NO_EMBEDDER)) as service:
            new_s.append(await answered(service.client, subject, symbol))
        async with running(known_home) as service:
            known_s.append(await answered(service.client, subject, symbol))
        started_s.append(await _with_start(known_home, subject, symbol))
    names = ", ".join(symbol.name for symbol in subject.symbols[: bench.runs])
    bench.absolute("first_answer_new_s", new_s, f"service started, never seen; asked for {names}")
    bench.absolute("first_answer_known_s", known_s, "service restarted, store from an earlier one; the same")
    bench.absolute("first_answer_known_with_start_s", started_s, "the same with the service's own start")


async def answered(client: IndexClient, subject: Subject, symbol: Symbol) -> float:
    """Seconds until the symbol's definition is told. Raises TargetError."""
    began = time.perf_counter()
    root = str(subject.folder)
    await client.open_root(root)
    while time.perf_counter() - began < ANSWER_TIMEOUT_S:
        found = await client.symbols(root, name=symbol.name)
        if any(each.path == symbol.path for each in found.definitions):
            return time.perf_counter() - began
        await asyncio.sleep(POLL_S)
    raise TargetError(f"no answer about {symbol.name} within {ANSWER_TIMEOUT_S:.0f} s")


async def _with_start(home: Home, subject: Subject, symbol: Symbol) -> float:
    """As an editor does that is the first: the service is started within the time."""
    began = time.perf_counter()
    with home.entered():
        client = await IndexClient.connect(timeout_s=CONNECT_TIMEOUT_S)
    await answered(client, subject, symbol)
    seconds = time.perf_counter() - began
    await client.close()
    async with running(home):
        pass  # ends it
    return seconds


async def _aider(bench: Bench) -> Aider | None:
    if bench.options.quick or AIDER in bench.options.without:
        return None
    try:
        return await Aider.ready(bench.say)
    except TargetError as error:
        bench.results.failed(AIDER, "cold_over_aider", error)
        return None


async def _ctags(bench: Bench) -> Ctags | None:
    if CTAGS in bench.options.without:
        return None
    try:
        return await Ctags.ready()
    except TargetError as error:
        bench.results.failed(CTAGS, "cold_over_ctags", error)
        return None


def tracked(folder: Path) -> list[str]:
    """What git tracks, as aider takes it; without git every file."""
    if (folder / ".git").exists():
        done = subprocess.run(
            ["git", "ls-files", "-z"], cwd=folder, capture_output=True, check=True, timeout=ANSWER_TIMEOUT_S
        )
        return [name.decode() for name in done.stdout.split(b"\0") if name]
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _read_all(folder: Path, files: list[str]) -> None:
    for name in files:
        (folder / name).read_bytes()


PARTS = (
    Part(
        "the first index",
        ("cold_over_aider", "cold_over_ctags", "cold_s", "cold_cpu_s", "aider_first_map_s", "ctags_s"),
        2,
        cold,
    ),
    Part("first answers", ("first_answer_new_s", "first_answer_known_s"), 1, first_answers),
)
