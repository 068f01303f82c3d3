"""One run of the edit benchmark without a model: histories replayed as blocks, and anchors with faults."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from benchmarks.archives import ArchiveError
from benchmarks.edit.asking import Asking, asked_for
from benchmarks.edit.histories import HISTORIES, LANGUAGES, TrueEdit, edits
from benchmarks.edit.judged import Judged, judged
from benchmarks.edit.mutations import KINDS, Mutant, is_another_place, mutants
from benchmarks.edit.replay import ANCHORS, MOST_UNRELATED, Replayed, replay
from benchmarks.figures import Figure
from benchmarks.machine_facts import machine_after, machine_before, steal_s
from benchmarks.report import Document
from benchmarks.results import Problem
from benchmarks.targets import Say, TargetError, ended_tidily

NAMED_FIGURES = ("replay_applied", "wrong_place")
EXPECTED = (ArchiveError, TargetError)
PACKAGES = ("foreword", "tree-sitter")

STEPS = 24
"""Of each history: each is replayed in twelve ways."""

MUTANTS = 2_000
"""In all, as many of each kind."""

QUICK_STEPS = 3
QUICK_MUTANTS = 50
MOST_ROUNDS = 4
SHOWN = 3
"""Of what went wrong, told line by line."""

SEED = 7


class Options(msgspec.Struct, frozen=True):
    quick: bool = False
    languages: tuple[str, ...] = LANGUAGES
    asking: Asking | None = None
    """What a model is asked; None leaves it out."""


async def run(options: Options, say: Say) -> Document:
    """Measure. Raises one of EXPECTED where nothing can be."""
    with ended_tidily():
        machine, steal_before, began = machine_before(PACKAGES), steal_s(), time.monotonic()
        figures, problems, told = await asyncio.to_thread(measured, options, say)
        if options.asking is not None:
            by_model, missing = await asked_for(options.asking, say)
            figures, problems = [*figures, *by_model], [*problems, *missing]
        machine |= machine_after(machine, steal_before, time.monotonic() - began)
        return Document(machine | {"quick": options.quick, **told}, figures, problems)


def measured(options: Options, say: Say) -> tuple[list[Figure], list[Problem], dict[str, object]]:
    steps: list[TrueEdit] = []
    problems: list[Problem] = []
    for history in HISTORIES:
        if history.language in options.languages:
            try:
                steps += edits(history, QUICK_STEPS if options.quick else STEPS)
            except ArchiveError as failed:
                problems.append(Problem("history", history.language, str(failed)))
    say(f"{len(steps)} steps of {len({step.language for step in steps})} histories")
    replayed = [each for each in replays(steps) if each is not None]
    faults = spoiled(steps, QUICK_MUTANTS if options.quick else MUTANTS)
    for each in [each for each in replayed if each.why][:SHOWN]:
        say(f"not as it is true: {each.name}, {each.anchors}: {each.why}")
    for each in [each for each in faults if each.verdict == "wrong place"][:SHOWN]:
        say(
            f"at a wrong place: {each.mutant.name}, {each.mutant.path}, {each.mutant.kind}: {each.mutant.block}"
        )
    told: dict[str, object] = {"steps": Counter(step.language for step in steps), "faults": _counts(faults)}
    return [*replay_figures(replayed), *fault_figures(faults)], problems, told


def replays(steps: Sequence[TrueEdit]) -> list[Replayed | None]:
    """Every step with every kind of anchor and both line ends, in files as they were and in files that moved on."""
    found: list[Replayed | None] = []
    for number, step in enumerate(steps):
        meanwhile = (0, 1 + number % MOST_UNRELATED)
        for anchors, crlf, unrelated in itertools.product(ANCHORS, (False, True), meanwhile):
            found.append(replay(step, anchors, crlf=crlf, unrelated=unrelated, seed=number))
    return found


def spoiled(steps: Sequence[TrueEdit], count: int) -> list[Judged]:
    """As many of each kind; each replacement is spoiled again where there are too few of them."""
    found: list[Judged] = []
    for kind in KINDS:
        draw = random.Random(f"{SEED} {kind}")
        made: list[Mutant] = []
        for _ in range(MOST_ROUNDS):
            if len(made) < count // len(KINDS):
                more = [each for each in mutants(steps, kind, draw) if not is_another_place(each)]
                draw.shuffle(more)
                made += more
        found += [judged(each) for each in made[: count // len(KINDS)]]
    return found


def _counts(faults: Sequence[Judged]) -> dict[str, dict[str, int]]:
    return {kind: Counter(each.verdict for each in faults if each.mutant.kind == kind) for kind in KINDS}


def replay_figures(replayed: Sequence[Replayed]) -> list[Figure]:
    """The share that came out true, in all and by language, anchor and circumstance; spread by language."""
    if not replayed:
        return []
    by_language = {
        language: [not each.why for each in replayed if each.language == language]
        for language in sorted({each.language for each in replayed})
    }
    shares = [sum(good) / len(good) for good in by_language.values()]
    said = "true diffs as blocks: searched, numbered and numbered with copies, \\n and \\r\\n, base as sent and changed"
    found = [_share("replay_applied", [not each.why for each in replayed], said, shares)]
    found += [_share(f"replay_applied_{language}", good) for language, good in by_language.items()]
    for anchors in ANCHORS:
        good = [not each.why for each in replayed if each.anchors == anchors]
        found.append(_share(f"replay_applied_{anchors.replace(' ', '_')}", good))
    found.append(_share("replay_applied_crlf", [not each.why for each in replayed if each.crlf]))
    found.append(_share("replay_applied_meanwhile", [not each.why for each in replayed if each.unrelated]))
    return found


def _share(name: str, good: Sequence[bool], against: str = "", shares: Sequence[float] = ()) -> Figure:
    value = sum(good) / len(good) if good else 0.0
    return Figure(
        name, value, "share", against, len(good), min(shares, default=value), max(shares, default=value)
    )


def fault_figures(faults: Sequence[Judged]) -> list[Figure]:
    """How many land at a wrong place; and of each kind the shares that are repaired and refused."""
    if not faults:
        return []
    wrong = sum(each.verdict == "wrong place" for each in faults)
    found = [
        Figure("wrong_place", wrong, "anchors", "with a fault, of five kinds", len(faults), wrong, wrong)
    ]
    for kind in KINDS:
        of_kind = [each for each in faults if each.mutant.kind == kind]
        for verdict in ("repaired", "in place", "refused"):
            name = f"{verdict}_{kind}".replace(" ", "_")
            found.append(_share(name, [each.verdict == verdict for each in of_kind]))
    return found
