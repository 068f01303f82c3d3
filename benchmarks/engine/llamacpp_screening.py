"""Which way to run llama.cpp is best at each row: every cell tried briefly, before the best ones run in earnest."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from benchmarks.engine.llamacpp import LLAMA_VIM_BATCH, Cell, Child, LlamaCpp, cells, open_cell
from benchmarks.engine.rows import Sizes, label
from benchmarks.engine.texts import Texts
from benchmarks.targets import Say

BLOCK_TOKENS = 512
"""Cold prompts are judged by such a block at their beginning and one behind the whole base."""
TRIES = 2
"""Of what takes less than a few seconds; the better one counts."""
DECODED_TOKENS = 8
CLOSE = 2
"""So many of the best cells of each row get a second trial, lest a moment's noise decides."""


class Trial(msgspec.Struct, frozen=True):
    """What one cell took, seconds."""

    block_at_start: float
    block_at_end: float
    new: float
    keystroke: float
    decode: dict[int, float]
    """By length of the prompt: per token."""


def predicted(trial: Trial, sizes: Sizes) -> dict[str, float]:
    """What each row would take: attention makes a block dearer in proportion to what stands before it."""
    growth = (trial.block_at_end - trial.block_at_start) / sizes.large

    def cold(tokens: int) -> float:
        return sum(
            (trial.block_at_start + growth * start) * min(BLOCK_TOKENS, tokens - start) / BLOCK_TOKENS
            for start in range(0, tokens, BLOCK_TOKENS)
        )

    large = label(sizes.large)
    found = {f"cold_ttft_{label(size)}": cold(size) for size in (sizes.small, sizes.middle, sizes.large)}
    found[f"warm_ttft_{large}_plus_{sizes.new}"] = trial.new
    found[f"keystroke_{large}"] = found[f"edit_{large}"] = trial.keystroke
    for size in (sizes.short, sizes.middle, sizes.large):
        found[f"decode_{label(size)}"] = trial.decode[size]
    # The same prompt again is the evaluation of one token, as in decoding.
    found[f"warm_ttft_{label(sizes.small)}"] = trial.decode[sizes.short]
    found[f"warm_ttft_{label(sizes.middle)}"] = trial.decode[sizes.middle]
    found[f"warm_ttft_{large}"] = trial.decode[sizes.large]
    return found


def better(first: Trial, second: Trial) -> Trial:
    """The less of each: what else ran on the machine only ever makes a trial longer."""
    return Trial(
        min(first.block_at_start, second.block_at_start),
        min(first.block_at_end, second.block_at_end),
        min(first.new, second.new),
        min(first.keystroke, second.keystroke),
        {length: min(seconds, second.decode[length]) for length, seconds in first.decode.items()},
    )


def close_ones(trials: Mapping[Cell, Trial], sizes: Sizes) -> list[Cell]:
    """The cells that are among the CLOSE best of some row: worth a second trial."""
    by_cell = {cell: predicted(trial, sizes) for cell, trial in trials.items()}
    names = next(iter(by_cell.values()))
    kept = {cell for row in names for cell in sorted(by_cell, key=lambda cell: by_cell[cell][row])[:CLOSE]}
    return [cell for cell in trials if cell in kept]


def best_by_row(trials: Mapping[Cell, Trial], sizes: Sizes) -> dict[str, Cell]:
    """The cell with the least predicted seconds for each row."""
    by_cell = {cell: predicted(trial, sizes) for cell, trial in trials.items()}
    names = next(iter(by_cell.values()))
    return {row: min(by_cell, key=lambda cell: by_cell[cell][row]) for row in names}


async def screen(target: LlamaCpp, texts: Texts, sizes: Sizes, threads: tuple[int, ...], say: Say) -> None:
    """Try all cells and note the best ones in `target.best`. Raises TargetError."""
    trials: dict[Cell, Trial] = {}
    child = Child(target.python, target.scratch)
    try:
        await child.start()
        await target.files.ensure(child, max(threads), say)
        # the most threads first: they make the states that the others begin from
        wanted = sorted(cells(target.files.precisions, threads), key=lambda cell: -cell.threads)
        for at, cell in enumerate(wanted, start=1):
            trials[cell] = await _try(child, target, cell, texts, sizes)
            trial = trials[cell]
            say(
                f"trying {at} of {len(wanted)}: {cell.name}: {BLOCK_TOKENS} cold {trial.block_at_start:.2f} s, "
                f"{sizes.new} new {trial.new:.2f} s, decode {1000 * trial.decode[sizes.large]:.0f} ms"
            )
        again = close_ones(trials, sizes)
        say(f"trying the best {len(again)} once more")
        for cell in again:
            trials[cell] = better(trials[cell], await _try(child, target, cell, texts, sizes))
        target.best = best_by_row(trials, sizes)
        for size in (sizes.middle, sizes.large):
            row = f"cold_ttft_{label(size)}"
            target.best[row] = await _better_batch(child, target, target.best[row], texts, sizes)
    finally:
        await child.close()


async def _try(child: Child, target: LlamaCpp, cell: Cell, texts: Texts, sizes: Sizes) -> Trial:
    base = texts.base(sizes.large)
    await open_cell(child, target.files, cell)
    start = (await child.ask("read", ids=texts.cold(BLOCK_TOKENS, 1)))["seconds"]
    state = target.state_file(cell.flash)
    if state.exists():
        await child.ask("restore", path=str(state))
    else:
        await child.ask("read", ids=base)
        await child.ask("save", path=str(state))

    async def after_base(tokens: int, at: int) -> float:
        return float((await child.ask("read", ids=[*base, *texts.fresh(tokens, at)]))["seconds"])

    new = [await after_base(sizes.new, 40 + at) for at in range(TRIES)]
    keystroke = await after_base(sizes.suffix, 10)
    end = await after_base(BLOCK_TOKENS, 4)
    decode: dict[int, float] = {}
    for length in (sizes.large, sizes.middle, sizes.short):
        tries = [await child.ask("decode", ids=base[:length], tokens=DECODED_TOKENS) for _ in range(TRIES)]
        decode[length] = min(float(each["seconds_per_token"]) for each in tries)
    return Trial(start, end, min(new), keystroke, decode)


async def _better_batch(child: Child, target: LlamaCpp, cell: Cell, texts: Texts, sizes: Sizes) -> Cell:
    """Batch sizes matter where more tokens than a default micro-batch are new: for cold prompts alone."""
    taken: dict[Cell, float] = {}
    for candidate in (cell, msgspec.structs.replace(cell, batch=LLAMA_VIM_BATCH)):
        await open_cell(child, target.files, candidate)
        taken[candidate] = (await child.ask("read", ids=texts.cold(sizes.middle, 2)))["seconds"]
    return min(taken, key=lambda each: taken[each])
