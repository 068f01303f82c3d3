"""Runs the rows that all targets share, interleaved: one prompt of each target in turn, then the next prompt."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from benchmarks.engine.rows import Row
from benchmarks.engine.targets import Reading, Target
from benchmarks.results import Results
from benchmarks.targets import Say, TargetError

MORE_TO_SHOW_S = 5.0
"""Progress within a row is told when a call takes longer than this."""


async def run_row(
    row: Row,
    targets: Sequence[Target],
    results: Results,
    say: Say,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Measure one row of every target. One that fails is noted and left out of this row; the others go on."""
    taking_part: list[Target] = []
    for target in targets:
        try:
            await target.prepare(row)
        except TargetError as error:
            results.failed(target.name, row.name, error)
        else:
            taking_part.append(target)
    values: dict[str, list[float]] = {target.name: [] for target in taking_part}
    for number, ids in enumerate(row.prompts, start=1):
        for target in list(taking_part):
            began = clock()
            try:
                values[target.name].append(value_of(row, await target.run(row, ids)))
            except TargetError as error:
                results.failed(target.name, row.name, error)
                taking_part.remove(target)  # the others' n-th values stay beside one another
                continue
            if clock() - began > MORE_TO_SHOW_S:
                say(
                    f"{row.name}: {target.name} {number} of {len(row.prompts)}: {values[target.name][-1]:.3f} s"
                )
    for target in taking_part:
        results.add(row.name, target.name, values[target.name], target.settings(row.name))
    say(f"{row.name}: " + ", ".join(f"{name} {_shown(each)}" for name, each in values.items()))


def value_of(row: Row, reading: Reading) -> float:
    """Seconds to the first token, or per token after it. Raises TargetError where the latter was not measured."""
    if row.decoded == 1:
        return reading.ttft_s
    if reading.seconds_per_token is None:
        raise TargetError(f"no time per token was measured for {row.name}")
    return reading.seconds_per_token


def _shown(values: Sequence[float]) -> str:
    middle = sorted(values)[len(values) // 2] if values else 0.0
    return f"{middle:.4f} s" if values else "failed"
