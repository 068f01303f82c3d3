"""BM25 windows as a baseline: those most like the lines around the cursor, best first, until the budget is full."""

from __future__ import annotations

import contextlib
import functools
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from benchmarks.context.bm25_child import STEP_LINES, WINDOW_LINES
from benchmarks.context.child import Child
from benchmarks.context.given import Given, header_tokens
from benchmarks.context.rounds import Placed
from benchmarks.context.trees import files
from benchmarks.targets import Say
from benchmarks.venvs import PinnedVenv, ensure_venv
from engine.prompts import ContextSegment, Tokenizer

BM25 = "bm25"
VERSION = "0.3.16"
VENV = PinnedVenv(
    name="bm25s",
    version=VERSION,
    requirements=Path(__file__).with_name("bm25-requirements.txt"),
    ready_variable="FOREWORD_BENCH_BM25_VENV",
    leave_out="--methods without bm25",
)
CHILD = Path(__file__).with_name("bm25_child.py")
SOURCES = (".py", ".ts", ".tsx", ".go")
ABOVE, BELOW = 15, 5
"""Lines of the query around the cursor: a window's worth."""

Blocks = dict[str, set[int]]
"""By path, the blocks of STEP_LINES lines that were taken."""


class Bm25:
    """bm25s in its venv; a process for each repository."""

    name = BM25
    settings = (
        f"bm25s {VERSION}: windows of {WINDOW_LINES} lines every {STEP_LINES}, identifiers and their parts as words, "
        f"query of {ABOVE} lines above and {BELOW} below; overlapping windows merged, the best one last"
    )

    def __init__(self, python: Path, tokenizer: Tokenizer, scratch: Path) -> None:
        self._python, self._tokenizer, self._scratch = python, tokenizer, scratch

    @classmethod
    async def ready(cls, tokenizer: Tokenizer, scratch: Path, say: Say) -> Bm25:
        """Raises TargetError."""
        return cls(await ensure_venv(VENV, say), tokenizer, scratch)

    @contextlib.asynccontextmanager
    async def opened(self, root: Path) -> AsyncGenerator[Bm25Repository]:
        """Raises TargetError."""
        names = list(files(root, SOURCES))
        log = self._scratch / "bm25.log"
        async with Child.running(BM25, self._python, CHILD, root, names, log) as child:
            yield Bm25Repository(child, root, self._tokenizer)


class Bm25Repository:
    """One repository whose windows are ranked."""

    def __init__(self, child: Child, root: Path, tokenizer: Tokenizer) -> None:
        self._child, self._root, self._tokenizer = child, root, tokenizer
        self._lines = functools.lru_cache(maxsize=None)(self._read)
        self._tokens = functools.lru_cache(maxsize=None)(self._count)

    async def give(self, placed: Placed, budgets: Sequence[int]) -> list[Given]:
        """Raises TargetError."""
        case = placed.case
        lines = case.text.splitlines()
        query = "\n".join(lines[max(0, case.line - ABOVE) : case.line + BELOW])
        told = await self._child.ask({"path": case.path, "query": query})
        return [self._given(placed, budget, told["windows"], told["seconds"]) for budget in budgets]

    def _given(self, placed: Placed, budget: int, ranked: list[tuple[str, int]], seconds: float) -> Given:
        taken, tokens = self._fill(ranked, budget)
        segments: list[ContextSegment] = []
        shown = False
        needed = placed.case.needed
        for path, blocks in reversed(taken.items()):  # the best one is read last
            for first, last in _runs(blocks):
                start, end = first * STEP_LINES, (last + 1) * STEP_LINES
                text = "".join(self._lines(path)[start:end]).strip("\n")
                segments.append(ContextSegment(path, text + "\n"))
                if needed is not None and path == needed.path:
                    shown = shown or any(start <= head < end for head in needed.heads)
        return Given(placed.case, BM25, budget, tuple(segments), tokens, shown, seconds)

    def _fill(self, ranked: list[tuple[str, int]], budget: int) -> tuple[Blocks, int]:
        """Each window that still has room, the best first."""
        taken: Blocks = defaultdict(set)
        left = budget
        for path, start in ranked:
            first = start // STEP_LINES
            whole = {block for block in (first, first + 1) if self._tokens(path, block)}
            new = whole - taken.get(path, set())
            cost = sum(self._tokens(path, block) for block in new) + header_tokens(path, self._tokenizer)
            if new and cost <= left:
                taken[path] |= new
                left -= cost
        return taken, budget - left

    def _read(self, path: str) -> list[str]:
        return (self._root / path).read_text("utf-8").splitlines(keepends=True)

    def _count(self, path: str, block: int) -> int:
        return self._tokenizer.count(
            "".join(self._lines(path)[block * STEP_LINES : (block + 1) * STEP_LINES])
        )


def _runs(blocks: set[int]) -> list[tuple[int, int]]:
    """(first, last) of each unbroken run."""
    runs: list[tuple[int, int]] = []
    for block in sorted(blocks):
        if runs and runs[-1][1] == block - 1:
            runs[-1] = (runs[-1][0], block)
        else:
            runs.append((block, block))
    return runs
