"""The typing trace: the same keys in real time to `foreword lsp`, to llama.vim's method with the same weights, and to a
client of the same server that only debounces."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from benchmarks.client import Editor
from benchmarks.context.history import Commit, main_line, read
from benchmarks.context.release_history import RELEASES, build
from benchmarks.context.simulation import prepare
from benchmarks.engine.hosted import Hosted
from benchmarks.index.service import NO_EMBEDDER
from benchmarks.lsp.keystrokes import Run, Step, chosen, steps
from benchmarks.lsp.llama_server import ensure_server
from benchmarks.lsp.llamavim_side import LlamaServer, LlamaVim
from benchmarks.lsp.ours_side import Blocked, Debounced, Ours, ready
from benchmarks.lsp.playing import Side, play
from benchmarks.lsp.scoring import Played
from benchmarks.results import Problem
from benchmarks.targets import Say, TargetError
from engine.paths import cache_folder, models_folder
from engine.profiles import Profile

LLAMAVIM, DEBOUNCED = "llamavim", "debounced"
PAST_RELEASES = 4
"""So many of the release history are the past; what follows is typed."""
LAST_COMMITS = 40
"""Of a clone so many are typed."""
QUICK_COMMITS = 12
SECONDS, QUICK_SECONDS = 240.0, 20.0
"""Of typing, for each side."""
SERVICE_IDLE_S = "5"
PRECISION = "as-q8_0"
"""Of the model file: what llama.vim's presets name. `foreword bench engine` makes it of the pinned file."""


class Traced(msgspec.Struct):
    """What came of it, by side."""

    played: dict[str, list[Played]]
    blocked: list[Blocked]
    history: str
    settings: dict[str, str]
    problems: list[Problem]


class Trace:
    """One engine host, which is started with `start`, and the sides at it."""

    def __init__(self, profile: Profile, scratch: Path, say: Say) -> None:
        self._profile, self._scratch, self._say = profile, scratch, say
        self.host = Hosted("ours", profile, scratch)

    @property
    def environment(self) -> dict[str, str]:
        """Of a server that finds this host, and has an index service beside it."""
        home = str(self._scratch / self.host.name)
        return {
            **NO_EMBEDDER,
            "XDG_RUNTIME_DIR": home,
            "XDG_CACHE_HOME": home,
            "FOREWORD_MODELS": str(models_folder()),
            "FOREWORD_SERVICE_IDLE_S": SERVICE_IDLE_S,
            "FOREWORD_DEBUG": "1",
        }

    async def run(self, repository: Path | None, without: Sequence[str], *, quick: bool) -> Traced:
        """Raises TargetError where ours cannot be measured; what another side cannot is told."""
        source, commits = await asyncio.to_thread(self._history, repository, quick)
        played = chosen(list(steps(commits)), QUICK_SECONDS if quick else SECONDS)
        runs = [each for each in played if isinstance(each, Run)]
        if not runs:
            raise TargetError(f"{source} has no commit in which code was typed at one place")
        told = (
            f"{'release history of httpx' if repository is None else source.name}, {len(runs)} runs of keys"
        )
        found = Traced({}, [], told, {"foreword": self.host.settings("trace")}, [])
        async with AsyncExitStack() as stack:
            ours = await self._server(Ours, source, commits, stack)
            sides: list[Side] = [ours]
            if LLAMAVIM not in without:
                try:
                    sides.append(await self._llamavim(found, source, commits, stack))
                except TargetError as failed:
                    found.problems.append(Problem(LLAMAVIM, "trace", str(failed)))
            await self._play(played, sides, found)
            found.blocked += ours.blocked
        if DEBOUNCED not in without:
            await self.host.forget()  # what the engine has cached of the keys was read for another side
            async with AsyncExitStack() as stack:
                debounced = await self._server(Debounced, source, commits, stack)
                await self._play(played, [debounced], found)
        return found

    def _history(self, repository: Path | None, quick: bool) -> tuple[Path, list[Commit]]:
        """Where the commits are, and which of them are typed."""
        if repository is None:
            source = build(self._scratch / "history")
            line = [read(source, sha) for sha in main_line(source)]
            last = f"Release {RELEASES[PAST_RELEASES - 1].archive.version}"
            begin = next(at for at, commit in enumerate(line) if commit.message == last) + 1
            commits = line[begin:]
        else:
            source, shas = repository, main_line(repository)
            if len(shas) < 2:
                raise TargetError(f"{repository} has no commit that could be typed after its first one")
            commits = [read(source, sha) for sha in shas[max(1, len(shas) - LAST_COMMITS) :]]
        return source, commits[:QUICK_COMMITS] if quick else commits

    async def _server(
        self, kind: type[Ours], source: Path, commits: Sequence[Commit], stack: AsyncExitStack
    ) -> Ours:
        """A server of its own, in a work tree of its own as it was before the first commit."""
        root = await asyncio.to_thread(prepare, source, commits, self._scratch / kind.name)
        editor = Editor()
        await editor.start(root, {"model": self._profile.short}, self.environment)
        stack.push_async_callback(editor.stop)
        await ready(editor)
        return kind(editor, root)

    async def _llamavim(
        self, found: Traced, source: Path, commits: Sequence[Commit], stack: AsyncExitStack
    ) -> LlamaVim:
        program, model = await ensure_server(self._say), self._model()
        threads = int(self.host.told.get("threads") or os.cpu_count() or 1)
        server = LlamaServer(program, model, threads, self._scratch)
        stack.push_async_callback(server.close)
        await server.start()
        found.settings[LLAMAVIM] = server.settings
        root = await asyncio.to_thread(prepare, source, commits, self._scratch / LLAMAVIM)
        return LlamaVim(server, root)

    def _model(self) -> Path:
        """In the precision of llama.vim's presets where that was made, else the pinned file itself. Raises
        TargetError."""
        weights = self._profile.weights
        if weights is None:
            raise TargetError(f"llama.cpp: {self._profile.short} has no model file that it could read")
        pinned = models_folder() / "gguf" / weights.file
        made = cache_folder() / "bench" / f"{pinned.stem}-{PRECISION}.gguf"
        return made if made.exists() else pinned

    async def _play(self, played: Sequence[Step], sides: Sequence[Side], found: Traced) -> None:
        """Run by run, one side after the other, so that only one has the machine; the order turns."""
        going = list(sides)
        count = sum(isinstance(each, Run) for each in played)
        number = 0
        for step in played:
            if not isinstance(step, Run):
                for side in going:
                    await side.carry_out(step)
                continue
            number += 1
            for side in going if number % 2 else tuple(reversed(going)):
                try:
                    found.played.setdefault(side.name, []).append(await play(step, side))
                except TargetError as failed:
                    if side is sides[0]:
                        raise
                    found.problems.append(Problem(side.name, "trace", str(failed)))
                    found.played.pop(side.name, None)
                    going.remove(side)
            shown = {
                side.name: sum(each is not None for each in found.played[side.name][-1].ghosts)
                for side in going
            }
            self._say(
                f"typed {number} of {count} runs; {len(step.keys)} keys, of which had something on screen: "
                + ", ".join(f"{name} {keys}" for name, keys in shown.items())
            )
