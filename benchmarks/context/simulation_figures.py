"""The editing simulation as figures: prompts of both sizes over the release history, or over a clone's last commits."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.context.base_share import Kept, read_again
from benchmarks.context.editor import Editor
from benchmarks.context.history import Commit, main_line, read
from benchmarks.context.layers import LAYERS, Asked
from benchmarks.context.prefix_cache import prefix_cache
from benchmarks.context.release_history import RELEASES, build
from benchmarks.context.simulation import SETTINGS, Setting, Simulation, prepare
from benchmarks.figures import Figure
from benchmarks.index.service import NO_EMBEDDER, Home, running
from benchmarks.targets import Say, TargetError
from engine.profiles import QWEN_SMALL
from engine.tokens import ModelTokenizer
from engine.weights.tokenizer_file import ensure_tokenizer

NAMED_FIGURES = ("sim_cached_4k", "sim_cached_32k", "base_kept", "base_kept_over_path")
"""Those that the project is held to."""

PAST_RELEASES = 4
"""So many of the release history are the past; what follows is typed."""
LAST_COMMITS = 80
"""Of a clone so many are typed, all before them are its past."""
MOST_PROMPTS = 2_000
QUICK_PROMPTS = 60
PARTS = 10
"""The spread of a share is that over so many consecutive parts of the session."""
RELEASE_HISTORY = "release history of httpx"


async def figures(
    scratch: Path, say: Say, *, repository: Path | None = None, quick: bool = False
) -> list[Figure]:
    """All figures of the simulation. Raises ArchiveError, TargetError, WeightsError."""
    source, commits = await asyncio.to_thread(_history, repository, scratch / "history")
    against = f"{RELEASE_HISTORY if repository is None else repository.name}, {len(commits)} commits"
    file = await asyncio.to_thread(ensure_tokenizer, QWEN_SMALL)
    tokenizer = ModelTokenizer.from_file(file)
    found: list[Figure] = []
    for setting in SETTINGS:
        simulation = await _simulate(
            source, commits, setting, tokenizer, scratch / setting.name, say, quick=quick
        )
        found += prompt_figures(setting, simulation.asked, against)
        if simulation.bases:
            found += base_figures(setting, simulation, against)
    return found


def _history(repository: Path | None, folder: Path) -> tuple[Path, list[Commit]]:
    """Where the commits are, and which of them are typed."""
    if repository is None:
        source = build(folder)
        line = [read(source, sha) for sha in main_line(source)]
        last = f"Release {RELEASES[PAST_RELEASES - 1].archive.version}"
        begin = next(at for at, commit in enumerate(line) if commit.message == last) + 1
        return source, line[begin:]
    shas = main_line(repository)
    if len(shas) < 2:
        raise TargetError(f"{repository} has no commit that could be typed after its first one")
    return repository, [read(repository, sha) for sha in shas[max(1, len(shas) - LAST_COMMITS) :]]


async def _simulate(
    source: Path,
    commits: Sequence[Commit],
    setting: Setting,
    tokenizer: ModelTokenizer,
    scratch: Path,
    say: Say,
    *,
    quick: bool,
) -> Simulation:
    root = await asyncio.to_thread(prepare, source, commits, scratch / "work")
    async with (
        running(Home(scratch / "home", NO_EMBEDDER)) as service,
        prefix_cache(setting.pool_tokens) as cache,
    ):
        editor = Editor(service.client, root)
        try:
            simulation = Simulation(editor, setting, tokenizer, cache)
            await simulation.run(commits, say, QUICK_PROMPTS if quick else MOST_PROMPTS)
        finally:
            await editor.link.close()
    return simulation


def prompt_figures(setting: Setting, asked: Sequence[Asked], against: str) -> Iterator[Figure]:
    size = len(asked) // PARTS or 1
    parts = [asked[at : at + size] for at in range(0, len(asked), size)]
    shares = [sum(each.cached for each in part) / sum(each.prompt for each in part) for part in parts]
    value = sum(each.cached for each in asked) / sum(each.prompt for each in asked)
    told = f"{against}; asked at pauses in typing; spread over tenths of the session"
    yield Figure(f"sim_cached_{setting.name}", value, "share", told, len(asked), min(shares), max(shares))
    prompts = [each.prompt for each in asked]
    yield _mean(f"sim_prompt_tokens_{setting.name}", prompts, "tokens")
    for layer in LAYERS:
        again = [each.recomputed[layer] for each in asked]
        of = statistics.fmean(each.tokens[layer] for each in asked)
        yield _mean(f"sim_recomputed_{layer}_{setting.name}", again, "tokens", f"of {of:.0f} tokens a prompt")
        first = [float(each.first_miss == layer) for each in asked]
        yield _mean(
            f"sim_first_miss_{layer}_{setting.name}", first, "share", "prompts whose first new token is there"
        )


def base_figures(setting: Setting, simulation: Simulation, against: str) -> Iterator[Figure]:
    """Of the base between the moments at which the server makes it anew, and as if it never did."""
    told = f"{against}; the part of the base that is true at a prompt, {len(simulation.bases)} bases"
    yield from _kept("base_kept", simulation.kept, told)
    yield from _kept(
        "base_kept_first", simulation.kept_first, f"{against}; of the first base, never made anew"
    )
    again = read_again(simulation.bases)
    cached = Kept(1 - again.ours, 1 - again.by_path)
    yield from _kept(
        "base_cached_anew", [cached], f"{against}; of bases made anew, what an earlier one begins with too"
    )
    idle = simulation.idle_tokens / len(simulation.asked)
    name = f"sim_idle_tokens_{setting.name}"
    yield Figure(
        name, idle, "tokens", "a prompt, read while nobody waited", len(simulation.asked), idle, idle
    )


def _kept(name: str, kept: Sequence[Kept], against: str) -> Iterator[Figure]:
    ours, by_path = [each.ours for each in kept], [each.by_path for each in kept]
    yield _mean(name, ours, "share", against)
    if sum(by_path):
        ratio = sum(ours) / sum(by_path)
        yield Figure(
            f"{name}_over_path",
            ratio,
            "ratio",
            "the same files in the order of their paths",
            len(kept),
            ratio,
            ratio,
        )


def _mean(name: str, values: Sequence[float], unit: str, against: str = "") -> Figure:
    return Figure(name, statistics.fmean(values), unit, against, len(values), min(values), max(values))
