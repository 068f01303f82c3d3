"""What a change costs: a save, two thousand of them, and a branch switch."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

from benchmarks.figures import P95, percentile
from benchmarks.index.bench import Bench, Part
from benchmarks.index.cold import opened
from benchmarks.index.repositories import Branches, git, has_git, python_files, with_branches
from benchmarks.index.saving import POLL_S, save, searched, seen, text_with
from benchmarks.index.service import NO_EMBEDDER, Service, running
from benchmarks.index.vectors import vectors_of, with_tiny_embedder
from benchmarks.targets import TargetError

BETWEEN_SAVES_S = 0.3
"""Nobody saves faster by hand; what one save left to do is done before the next."""
SAVED_FILES = 100
"""That the many saves go around among."""
SWITCH_POLL_S = 0.01
SWITCH_TIMEOUT_S = 120.0
WARM_QUERIES = 20
MOST_NAMED = 5_000


async def resave(bench: Bench) -> None:
    """One large file saved again and again, through the file system and the watcher."""
    root = bench.scratch / "resaved"
    await asyncio.to_thread(shutil.copytree, bench.subject.folder, root)
    path = root / bench.subject.saved
    original = path.read_text("utf-8")
    async with running(bench.home(NO_EMBEDDER)) as service:
        await opened(service, root)
        await asyncio.sleep(BETWEEN_SAVES_S)
        times: list[float] = []
        looks: list[float] = []
        for number in range(bench.sizes.saves):
            since = save(path, text_with(original, number))
            found = await seen(service, root, bench.subject.saved, number, since)
            times.append(found.seconds)
            looks.append(found.look_s)
            await asyncio.sleep(BETWEEN_SAVES_S)
    kilobytes = len(original.encode()) / 1000
    against = (
        f"{kilobytes:.0f} KB, from the rename's return until the symbol and full text are answered; "
        f"looked every {1000 * (POLL_S + percentile(looks, 0.5)):.0f} ms"
    )
    bench.high("resave_p95_s", times, against)
    bench.absolute("resave_s", times, "the same, median")


async def many_saves(bench: Bench) -> None:
    """Queries before and after a long row of saves, each of which is one write of the store."""
    root = bench.scratch / "worked_in"
    await asyncio.to_thread(shutil.copytree, bench.subject.folder, root)
    files = python_files(root / bench.subject.package)[:SAVED_FILES]
    texts = {path: path.read_text("utf-8") for path in files}
    async with running(bench.home(await with_tiny_embedder(bench))) as service:
        await vectors_of(service, root)
        await _queries(bench, service, root, WARM_QUERIES)
        before = await _queries(bench, service, root, bench.sizes.queries)
        began = time.perf_counter()
        for number in range(bench.sizes.saves_in_a_row):
            path = files[number % len(files)]
            since = save(path, text_with(texts[path], number))
            relative = path.relative_to(root).as_posix()
            await seen(service, root, relative, number, since, full_text=False)
        seconds = time.perf_counter() - began
        after = await _queries(bench, service, root, bench.sizes.queries)
        store_bytes = service.home.store_bytes
    saves = bench.sizes.saves_in_a_row
    value = percentile(after, P95) / percentile(before, P95)
    bench.single(
        "query_after_saves", value, "ratio", f"p95 of {len(after)} searches at once after {saves} saves"
    )
    bench.high(
        "query_before_saves_p95_s",
        before,
        "names, full text and vectors, ten hits; embedder of next to no cost",
    )
    bench.high("query_after_saves_p95_s", after)
    bench.single("save_in_a_row_s", seconds / saves, "s", "until the symbol was answered, then the next")
    bench.single("store_after_saves_mb", store_bytes / 1e6, "MB")


async def _queries(bench: Bench, service: Service, root: Path, count: int) -> list[float]:
    """Seconds of each of `count` searches, going around among the questions."""
    questions, taken, answered = bench.subject.questions, list[float](), 0
    for number in range(count):
        began = time.perf_counter()
        found = await service.client.search(str(root), questions[number % len(questions)])
        taken.append(time.perf_counter() - began)
        answered += bool(found.hits)
    if answered < count / 2:  # in a small repository, words of some question may be nowhere
        raise TargetError(f"only {answered} of {count} searches found anything")
    return taken


async def switches(bench: Bench) -> None:
    """`git checkout` of branches whose contents are new, and of the same again when they are known."""
    if not has_git():
        raise TargetError("git is not on this machine, so no branch can be switched. Install git.")
    branches = await asyncio.to_thread(
        with_branches, bench.subject, bench.scratch, bench.sizes.switched_files, bench.runs
    )
    new_s: list[float] = []
    known_s: list[float] = []
    git_s: list[float] = []
    async with running(bench.home(NO_EMBEDDER)) as service:
        status = await opened(service, branches.repository)
        for name in branches.names:
            for values in (new_s, known_s):
                seconds, took = await _switch(service, branches, name)
                values.append(seconds)
                git_s.append(took)
                await _away(service, branches, name)
                await asyncio.sleep(BETWEEN_SAVES_S)
    against = (
        f"{branches.changed} of {status.files} files, from the return of git checkout until all of their new symbols "
        "and full text are answered"
    )
    bench.absolute("switch_known_s", known_s, against)
    bench.absolute("switch_new_s", new_s, against)
    bench.absolute("git_checkout_s", git_s, "git itself, not counted above")


async def _switch(service: Service, branches: Branches, name: str) -> tuple[float, float]:
    """(seconds after git, seconds of git) until everything of branch `name` is answered. Raises TargetError."""
    began = time.perf_counter()
    await asyncio.to_thread(git, branches.repository, "checkout", "--quiet", name)
    since = time.perf_counter()
    await _until_marked(service, branches, name, branches.changed, since)
    while not await searched(service, branches.repository, f"{name}doc"):
        if time.perf_counter() - since > SWITCH_TIMEOUT_S:
            raise TargetError(
                f"{SWITCH_TIMEOUT_S:.0f} s after the switch to {name} full text has nothing of it"
            )
        await asyncio.sleep(SWITCH_POLL_S)
    return time.perf_counter() - since, since - began


async def _away(service: Service, branches: Branches, name: str) -> None:
    """Back to main, until nothing of `name` is left."""
    await asyncio.to_thread(git, branches.repository, "checkout", "--quiet", "main")
    await _until_marked(service, branches, name, 0, time.perf_counter())


async def _until_marked(service: Service, branches: Branches, name: str, count: int, since: float) -> None:
    """Until exactly `count` files define what every changed file of `name` defines."""
    root, found = str(branches.repository), -1
    while time.perf_counter() - since < SWITCH_TIMEOUT_S:
        told = await service.client.symbols(root, name=f"{name}_marker", limit=MOST_NAMED)
        found = len({each.path for each in told.definitions})
        if found == count:
            return
        await asyncio.sleep(SWITCH_POLL_S)
    raise TargetError(
        f"{SWITCH_TIMEOUT_S:.0f} s after a switch {found} files have {name}_marker, not {count}"
    )


PARTS = (
    Part("saves", ("resave_p95_s", "resave_s"), 1, resave),
    Part("branch switches", ("switch_known_s", "switch_new_s"), 2, switches),
    Part("many saves", ("query_after_saves", "query_after_saves_p95_s"), 4, many_saves),
)
