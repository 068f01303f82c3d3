"""The targets of one run and what is asked of them, row by row and moment by moment."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.engine.figures import (
    LLAMACPP,
    NAMED,
    OURS,
    STOCK,
    absolute_figures,
    named_ratios,
    other_ratios,
)
from benchmarks.engine.hosted import Hosted
from benchmarks.engine.llamacpp import LlamaCpp, ModelFiles
from benchmarks.engine.llamacpp_screening import screen
from benchmarks.engine.llamacpp_venv import ensure_venv
from benchmarks.engine.long_context import long_cached
from benchmarks.engine.moments import aborts, beside_warm_up, two_at_once
from benchmarks.engine.perplexity import FEW_ROWS, of_few_rows
from benchmarks.engine.rows import FULL, QUICK, label, rows
from benchmarks.engine.runner import run_row
from benchmarks.engine.stock import best_stock
from benchmarks.engine.targets import Target
from benchmarks.engine.texts import Texts
from benchmarks.figures import P95, Figure, percentile, summary
from benchmarks.results import Results
from benchmarks.targets import Say, TargetError
from engine.paths import models_folder
from engine.profiles import Profile

ABORTS = 20
QUICK_ABORTS = 3
PERPLEXITY_WINDOW = 1024
PERPLEXITY_WINDOWS = 16
FEW_ROWS_WINDOW = 192
FEW_ROWS_WINDOWS = 8
"""Shorter, since every third token is a request."""
ABORT_NAMES = ("abort_steps_p95", "abort_prefill", "abort_decode")
COMPANY_NAMES = ("ttft_beside_warmup_over_alone", "interactive_alone", "interactive_beside_warmup")
NOT_ROWS = ("two_at_once", *ABORT_NAMES, *COMPANY_NAMES, "perplexity", "rss_mb", "pss_mb")
"""What is asked of the targets beside the rows, by the names that `--only` may give."""
HOST_FACTS = ("model", "threads", "linears", "speculation", "window_extended", "kv_total_tokens")
"""Of what a host tells about itself, that by which its figures are understood."""


class Options(msgspec.Struct, frozen=True):
    model: str
    runs: int
    quick: bool
    only: tuple[str, ...] = ()
    """Names or parts of names of rows and figures; empty means everything."""
    without: tuple[str, ...] = ()

    def wants(self, *names: str) -> bool:
        """Whether one of these rows or figures was asked for."""
        return not self.only or any(wanted in name for wanted in self.only for name in names)


class Session:
    """The targets of one run and what they are asked."""

    def __init__(
        self,
        options: Options,
        profile: Profile,
        texts: Texts,
        scratch: Path,
        results: Results,
        say: Say,
        stack: AsyncExitStack,
    ) -> None:
        self.options = options
        self.profile = profile
        self.texts = texts
        self.scratch = scratch
        self.results = results
        self.say = say
        self.stack = stack
        self.sizes = QUICK if options.quick else FULL
        self.runs = 1 if options.quick else options.runs
        self.told: dict[str, Any] = {}
        self.stock_threads = ""
        self.hosts: list[Hosted] = []
        self.llamacpp: LlamaCpp | None = None

    async def measure(self, wanted: list[str]) -> list[Figure]:
        """All figures of the run. Whatever fails is in the results' problems."""
        places = self.sizes.places()
        asked = [
            row
            for row in rows(self.texts, self.sizes, self.runs)
            if self.options.wants(row.name, *_ratios_of(row.name, places))
        ]
        if not asked and not self.options.wants(*NOT_ROWS):
            wanted = []  # only what has a host of its own
        if LLAMACPP in wanted:
            await self._screen_llamacpp()  # alone on the machine: the hosts start after it
        for name in wanted:
            if name != LLAMACPP:
                await self._start(name)
        targets: list[Target] = [*self.hosts, *([self.llamacpp] if self.llamacpp else [])]
        for row in asked if targets else ():
            await run_row(row, targets, self.results, self.say)
        figures = await self._moments() if targets else []
        figures += [figure for target in targets for figure in _memory(target)]
        if not self.options.quick and self.options.wants("perplexity"):
            for target in targets:
                figures += await self._perplexity(target)
        measured, described = self.results.measured, self.results.described
        await self._close(targets)
        if not self.options.quick and self.options.wants("ttft_256k_cached_s"):
            figures += await self._long()
        return [
            *named_ratios(measured, described, places),
            *figures,
            *absolute_figures(measured, described),
            *other_ratios(measured, described),
        ]

    async def _screen_llamacpp(self) -> None:
        cores = os.cpu_count() or 1
        try:
            weights = self.profile.weights
            if weights is None:
                raise TargetError(f"llama.cpp: {self.profile.short} has no model file that it could read")
            python = await ensure_venv(self.say)
            target = LlamaCpp(
                python, ModelFiles(models_folder() / "gguf" / weights.file), self.scratch, cores
            )
            self.stack.push_async_callback(target.close)
            threads = tuple(each for each in (2, 1) if each <= cores)
            await screen(target, self.texts, self.sizes, threads, self.say)
            self.llamacpp = target
        except TargetError as error:
            self.results.failed(LLAMACPP, "everything", error)

    async def _start(self, name: str) -> None:
        self.say(f"starting {name}")
        try:
            if name == STOCK:
                host = await best_stock(self.profile, self.scratch, self.texts, self.stack, self.say)
                self.stock_threads = host.threads
            else:
                host = Hosted(name, self.profile, self.scratch)
                self.stack.push_async_callback(host.close)
                await host.start()
        except TargetError as error:
            self.results.failed(name, "everything", error)
            return
        self.told[name] = {fact: host.told[fact] for fact in HOST_FACTS if fact in host.told}
        self.hosts.append(host)

    async def _moments(self) -> list[Figure]:
        """What is not a prompt after another: two at once, aborts, company."""
        figures: list[Figure] = []
        wants, sizes = self.options.wants, self.sizes
        if wants("two_at_once"):
            await two_at_once(self.hosts, self.llamacpp, self.texts, sizes, self.runs, self.results, self.say)
        if wants(*ABORT_NAMES):
            count = QUICK_ABORTS if self.options.quick else ABORTS
            steps = await aborts(self.hosts, self.texts, sizes, count, self.results, self.say)
            for name, each in steps.items():
                p95 = percentile(each, P95)
                figures.append(
                    Figure(
                        "abort_steps_p95" if name == OURS else f"{name}_abort_steps_p95",
                        p95,
                        "steps",
                        "in prefill and in decode",
                        len(each),
                        min(each),
                        max(each),
                    )
                )
        ours = [host for host in self.hosts if host.name == OURS]
        if ours and wants(*COMPANY_NAMES):
            cold = self.results.measured.get(f"cold_ttft_{label(sizes.large)}", {}).get(OURS)
            cold_s = min(cold) if cold else (await ours[0].read(self.texts.cold(sizes.large, 3))).ttft_s
            await beside_warm_up(ours[0], self.texts, sizes, self.runs, cold_s, self.results, self.say)
        return figures

    async def _perplexity(self, target: Target) -> list[Figure]:
        self.say(f"perplexity of {target.name}")
        windows = self.texts.windows(PERPLEXITY_WINDOW, PERPLEXITY_WINDOWS)
        figures: list[Figure] = []
        try:
            for cell, value in (await target.perplexity(windows)).items():
                name = f"{_named(target, cell)}_perplexity"
                figures.append(Figure(name, value, "", cell, len(windows), value, value))
            if isinstance(target, Hosted):
                windows = self.texts.windows(FEW_ROWS_WINDOW, FEW_ROWS_WINDOWS)
                value = await of_few_rows(target.ask, windows)
                name, how = (
                    f"{target.name}_perplexity_few_rows",
                    f"{FEW_ROWS} tokens at a time, as in decoding",
                )
                figures.append(Figure(name, value, "", how, len(windows), value, value))
        except TargetError as error:
            self.results.failed(target.name, "perplexity", error)
        return figures

    async def _long(self) -> list[Figure]:
        try:
            return await long_cached(self.scratch, self.runs, self.say)
        except TargetError as error:
            self.results.failed(OURS, "ttft_256k_cached_s", error)
            return []

    async def _close(self, targets: list[Target]) -> None:
        """Before the last row, which needs the memory."""
        for target in targets:
            await target.close()


def _ratios_of(row: str, places: dict[str, str]) -> list[str]:
    """Named figures that this row is a part of, so that they can be asked for by their own names."""
    return [
        each.name
        for each in NAMED
        if row in (each.over[1].format_map(places), each.under[1].format_map(places))
    ]


def _named(target: Target, cell: str) -> str:
    """`llamacpp_q8_0` for one of its precisions, else the target's name."""
    if target.name != LLAMACPP:
        return target.name
    return f"{target.name}_{cell.split()[1].rstrip(',').lower()}"


def _memory(target: Target) -> list[Figure]:
    """Resident and proportional memory, the largest of each precision."""
    found: dict[str, Figure] = {}
    for cell, (resident, proportional) in target.memory().items():
        for kind, value in (("rss", resident), ("pss", proportional)):
            name = f"{_named(target, cell)}_{kind}_mb"
            if name not in found or found[name].value < value:
                found[name] = summary(name, [value], "MB", cell)
    return list(found.values())
