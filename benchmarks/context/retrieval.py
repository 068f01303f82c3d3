"""Whether packs show what a line needs, at several budgets, and how long they take."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks.context.case import Case
from benchmarks.context.rounds import Placed, rounds
from benchmarks.index.cold import opened
from benchmarks.index.service import Home, Service, running
from benchmarks.targets import Say, TargetError
from indexer.messages import Pack, PackRequest, TokenizerRef

WARM = 1
"""Packs of a case that are not timed: the first at a place reads what its file imports."""


class Packed(msgspec.Struct, frozen=True):
    """What one case was given."""

    case: Case
    budget: int
    shown: bool
    """Whether a segment has the line with the name of what is needed."""
    tokens: int
    seconds: float
    pack: Pack


Beside = Callable[[list[Placed]], Awaitable[None]]


async def pack_all(
    home: Home,
    repository: Path,
    cases: Sequence[Case],
    budgets: Sequence[int],
    tokenizer: TokenizerRef,
    scratch: Path,
    say: Say,
    *,
    with_vectors: bool = True,
    beside: Beside | None = None,
) -> list[Packed]:
    """`beside` is called with the cases of each round once they are packed, while its folder is there. Raises
    TargetError where a pack has what it must not."""
    found: list[Packed] = []
    async with running(home) as service:
        for number, placed in enumerate(rounds(repository, cases, scratch), 1):
            root = placed[0].root
            await opened(service, root, wait_vectors=with_vectors)
            for each in placed:
                found += [await _packed(service, each, budget, tokenizer) for budget in budgets]
            await service.client.close_root(str(root))
            if beside is not None:
                await beside(placed)
            say(f"{repository.name}: round {number}, {len(found) // len(budgets)} of {len(cases)} cases")
    return found


async def _packed(service: Service, placed: Placed, budget: int, tokenizer: TokenizerRef) -> Packed:
    case = placed.case
    request = PackRequest(
        str(placed.path), placed.text, case.line, case.column, budget, tokenizer, root=str(placed.root)
    )
    seconds = 0.0
    pack = None
    for _ in range(WARM + 1):
        began = time.perf_counter()
        pack = await service.client.pack(request)
        seconds = time.perf_counter() - began
    assert pack is not None
    if pack.tokens > budget:
        raise TargetError(f"{case.name}: {pack.tokens} tokens at a budget of {budget}")
    for segment in pack.segments:
        if segment.path == case.path or placed.planted in segment.text:
            raise TargetError(f"{case.name}: {segment.path} is the case's own file, or a copy of it")
    return Packed(case, budget, _shown(case, pack), pack.tokens, seconds, pack)


def _shown(case: Case, pack: Pack) -> bool:
    needed = case.needed
    return needed is not None and any(
        segment.path == needed.path and segment.start_line <= head < segment.end_line
        for segment in pack.segments
        for head in needed.heads
    )
