"""aider's repository map as a baseline: the cursor's file in its chat, the names just above the cursor mentioned."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from benchmarks.context.case import Case
from benchmarks.context.child import Child
from benchmarks.context.given import Given, header_tokens
from benchmarks.context.rounds import Placed
from benchmarks.index.baselines import AIDER, AIDER_VENV, AIDER_VERSION
from benchmarks.targets import Say
from benchmarks.venvs import ensure_venv
from engine.prompts import ContextSegment, Tokenizer

CHILD = Path(__file__).with_name("aider_map_child.py")
MENTIONED_LINES = 20
BAR = "│"
LINE_CHARACTERS = 100
"""Where aider cuts the lines of its map."""
SMALLER = (0.94, 0.87, 0.8, 0.7)
"""aider counts samples of its map and takes one that is up to 15% too large: then a smaller one is asked for until it
fits."""


class AiderMap:
    """RepoMap in aider's venv; a process for each repository, its tags read before anything is timed."""

    name = AIDER
    settings = (
        f"aider-chat {AIDER_VERSION}: RepoMap, the case's file in the chat, identifiers of the last {MENTIONED_LINES} "
        "lines mentioned, the model's own tokenizer; tags cached, the ranking made anew"
    )

    def __init__(self, python: Path, tokenizer: Tokenizer, scratch: Path) -> None:
        self._python, self._tokenizer, self._scratch = python, tokenizer, scratch

    @classmethod
    async def ready(cls, tokenizer: Tokenizer, scratch: Path, say: Say) -> AiderMap:
        """Raises TargetError."""
        return cls(await ensure_venv(AIDER_VENV, say), tokenizer, scratch)

    @contextlib.asynccontextmanager
    async def opened(self, root: Path) -> AsyncGenerator[AiderRepository]:
        """Raises TargetError."""
        log = self._scratch / "aider.log"
        async with Child.running(AIDER, self._python, CHILD, root, _files(root), log) as child:
            yield AiderRepository(child, root, self._tokenizer)


class AiderRepository:
    """One repository that is mapped."""

    def __init__(self, child: Child, root: Path, tokenizer: Tokenizer) -> None:
        self._child, self._root, self._tokenizer = child, root, tokenizer
        self._warm = False

    async def give(self, placed: Placed, budgets: Sequence[int]) -> list[Given]:
        """Raises TargetError."""
        if not self._warm:
            await self._map(placed.case, budgets[0])
            self._warm = True
        return [await self._given(placed.case, budget) for budget in budgets]

    async def _given(self, case: Case, budget: int) -> Given:
        text, seconds = await self._map(case, budget)
        tokens = self._tokenizer.count(text)
        for share in SMALLER:
            if tokens > budget:
                text, _ = await self._map(case, int(budget * share))
                tokens = self._tokenizer.count(text)
        # Its first files, should even the smallest be too large.
        segments = fitting(sections_of(text), budget, self._tokenizer)
        shown = case.needed is not None and self._shows(segments, case)
        return Given(case, AIDER, budget, segments, min(tokens, budget), shown, seconds)

    async def _map(self, case: Case, tokens: int) -> tuple[str, float]:
        above = case.before.splitlines()[-MENTIONED_LINES:]
        mentioned = sorted({name for line in above for name in re.findall(r"[^\W\d]\w*", line)})
        asked = {"path": case.path, "mentioned": mentioned, "tokens": tokens}
        told = await self._child.ask(asked, self._tokenizer.count)
        return told["map"], told["seconds"]

    def _shows(self, sections: Sequence[ContextSegment], case: Case) -> bool:
        assert case.needed is not None
        lines = (self._root / case.needed.path).read_text("utf-8").splitlines()
        heads = {lines[head][: LINE_CHARACTERS - len(BAR)].rstrip() for head in case.needed.heads}
        return any(
            line.rstrip() in heads
            for section in sections
            if section.path == case.needed.path
            for line in section.text.splitlines()
        )


def sections_of(text: str) -> list[ContextSegment]:
    """The files of a map, in its order, without the bars before the lines; those of which it has the name alone are
    left out."""
    sections: list[ContextSegment] = []
    path, lines = "", list[str]()
    for line in [*text.splitlines(), "end:"]:
        if line.startswith((BAR, "⋮")):
            lines.append(line.removeprefix(BAR))
        elif line:
            if path and lines:
                sections.append(ContextSegment(path, "\n".join(lines) + "\n"))
            path, lines = line.removesuffix(":"), []
    return sections


def fitting(
    sections: Sequence[ContextSegment], budget: int, tokenizer: Tokenizer
) -> tuple[ContextSegment, ...]:
    """All of them, as a prompt lays them out, or the first that fit."""
    kept: list[ContextSegment] = []
    for section in sections:
        budget -= header_tokens(section.path, tokenizer) + tokenizer.count(section.text)
        if budget < 0:
            break
        kept.append(section)
    return tuple(kept)


def _files(root: Path) -> list[str]:
    """All that a repository would track."""
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [(Path(folder) / name).relative_to(root).as_posix() for name in sorted(names)]
    return found
