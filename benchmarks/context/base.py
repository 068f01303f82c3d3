"""How long the base of a prompt takes: the first time for a repository, and again after a file was saved."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.figures import Figure, summary
from benchmarks.index.cold import opened
from benchmarks.index.service import NO_EMBEDDER, Home, Service, running
from benchmarks.targets import Say, TargetError
from indexer.client import IndexClient
from indexer.messages import BaseRequest, PackRequest, TokenizerRef

BUDGET = 262_144
PACK_TOKENS = 1_024
FIRST_RUNS = 3
"""Each with a service of its own, that has nothing in memory."""
SAVES = 7
COUNTED_TIMEOUT_S = 600.0
SEEN_TIMEOUT_S = 30.0
_LOOK_S = 0.1


async def figures(repositories: list[Path], tokenizer: Path, scratch: Path, say: Say) -> list[Figure]:
    """Of all these repositories in one folder. Times are those of a client: the base is made, sent and decoded. Token
    ids were counted in the background, as they are minutes after a folder was opened first, and there was a pack, which
    loads the tokenizer. Raises TargetError."""
    root = scratch / "base"
    for repository in repositories:
        shutil.copytree(
            repository, root / repository.name, ignore=shutil.ignore_patterns(".git"), symlinks=True
        )
    home = Home(scratch / "home-base", NO_EMBEDDER)
    reference = TokenizerRef(str(tokenizer))
    request = BaseRequest(str(root), reference, BUDGET)
    first: list[float] = []
    again: list[float] = []
    tokens = 0
    async with running(home) as service:
        await opened(service, root, wait_vectors=False)
        await service.client.base(BaseRequest(str(root), reference, 1))  # names the tokenizer
        await _counted(service, root)
        say(f"{root.name}: token ids are counted")
    for number in range(FIRST_RUNS):
        async with running(home) as service:
            await opened(service, root, wait_vectors=False)
            path = str(root / "a_new_file.py")
            await service.client.pack(PackRequest(path, "import os\n", 1, 0, PACK_TOKENS, reference))
            began = time.perf_counter()
            base = await service.client.base(request)
            first.append(time.perf_counter() - began)
            tokens = base.tokens
            for save in range(SAVES):
                path = base.segments[len(base.segments) * (save + 1) // (SAVES + 1)].path
                await _save(service.client, root, path, f"saved_{number}_{save}")
                began = time.perf_counter()
                changed = await service.client.base(BaseRequest(str(root), reference, BUDGET, repack=True))
                again.append(time.perf_counter() - began)
                if changed.id == base.id or any(one.path == path for one in changed.segments):
                    raise TargetError(f"the base still has {path}, which was saved")
                base = changed
        say(f"{root.name}: {tokens} tokens, first {first[-1]:.3f} s, again {again[-1]:.3f} s")
    against = f"{tokens} tokens of {', '.join(repository.name for repository in repositories)}"
    return [
        summary("pack256k_first_s", first, "s", against),
        summary("pack256k_again_s", again, "s", against),
    ]


async def _counted(service: Service, root: Path) -> None:
    async def all_counted() -> bool:
        told = (await service.client.status(str(root))).roots[0]
        return told.counted > 0 and told.stage == ""

    await _until(all_counted, COUNTED_TIMEOUT_S, "the token ids")


async def _save(client: IndexClient, root: Path, path: str, name: str) -> None:
    """Another definition at the end of a file; returns when the index has it."""
    with (root / path).open("a", encoding="utf-8") as file:
        file.write(f"\n\ndef {name}():\n    return None\n")

    async def seen() -> bool:
        return bool((await client.symbols(str(root), name=name)).definitions)

    await _until(seen, SEEN_TIMEOUT_S, f"the saved {path}")


async def _until(condition: Callable[[], Awaitable[bool]], timeout_s: float, what: str) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            while not await condition():  # noqa: ASYNC110 — the client offers no event
                await asyncio.sleep(_LOOK_S)
    except TimeoutError as late:
        raise TargetError(f"the index service had not indexed {what} within {timeout_s:.0f} s") from late
