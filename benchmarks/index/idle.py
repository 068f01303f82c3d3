"""What all of Foreword's processes take while an editor is open and nobody does anything."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from benchmarks.client import Editor
from benchmarks.index.bench import Bench, Part
from benchmarks.index.service import Home, running
from benchmarks.processes import MB, cpu_seconds, memory
from benchmarks.targets import TargetError
from engine.hosting.launcher import stop_engine

ENGINE = "engine"
MODEL = "qwen2.5-coder-0.5b"
"""The embedded default; weights that are not here are fetched once, as ever."""
READY_TIMEOUT_S = 1800.0


async def idle(bench: Bench) -> None:
    """The server, the index service and the engine host over an idle minute, by part and all together."""
    with_engine = not bench.options.quick and ENGINE not in bench.options.without
    home = bench.home()
    options: dict[str, Any] = {"model": MODEL} if with_engine else {"engine": {"kind": "none"}}
    editor = Editor()
    await editor.start(bench.subject.folder, options, home.environment)
    try:
        status = await editor.until(lambda told: _ready(told, with_engine), _ignore, READY_TIMEOUT_S)
        pids = {
            "server": editor.server_pid,
            "index": status["index"]["pid"],
            ENGINE: status["engine"].get("pid"),
        }
        await asyncio.sleep(bench.sizes.settle_s)
        parts = {name: pid for name, pid in pids.items() if pid is not None}
        each = tuple(parts.values())
        before = {name: cpu_seconds(pid, each) for name, pid in parts.items()}
        began = time.perf_counter()
        await asyncio.sleep(bench.sizes.idle_s)
        seconds = time.perf_counter() - began
        share = {name: (cpu_seconds(pid, each) - before[name]) / seconds for name, pid in parts.items()}
        held = {name: memory(pid, each) for name, pid in parts.items()}
    except TimeoutError as late:
        raise TargetError(str(late)) from late
    finally:
        try:
            await editor.stop()
        except RuntimeError as gone:  # pygls': the server's process ended by itself
            bench.results.failed("ours", "idle_cpu", gone)
        await _stop(home, with_engine)
    against = ", ".join(share) + f" over {seconds:.0f} s"
    if ENGINE not in share:
        why = "left out" if ENGINE in bench.options.without else "not started in a quick run"
        against += f"; the engine host was {why}"
    bench.single("idle_cpu", sum(share.values()), "cores", against)
    for name, value in share.items():
        bench.single(f"idle_cpu_{name}", value, "cores")
    for name, value in held.items():
        bench.single(f"idle_pss_{name}_mb", value.proportional / MB, "MB")


def _ready(status: dict[str, Any], with_engine: bool) -> bool:
    """Whether all work is done: the engine answers and every chunk has its vector. Raises TargetError."""
    engine, roots = status["engine"], status["index"].get("roots") or []
    if engine["state"] == "failed":
        raise TargetError(f"the engine failed: {engine['reason']}; leave it out with --without engine")
    without_vectors = status["index"].get("embedder", "").startswith("none")
    whole = all(
        root["state"] == "ready" and (without_vectors or root["vectors"] >= root["chunks"]) for root in roots
    )
    return bool(roots) and whole and (engine["state"] == "ready" or not with_engine)


def _ignore(status: dict[str, Any]) -> None:
    """Nobody looks at how far it is."""


async def _stop(home: Home, with_engine: bool) -> None:
    """Whatever the editor has left running in this home."""
    if with_engine:
        with home.entered():
            await stop_engine(MODEL)
    with contextlib.suppress(TargetError):
        async with running(home):
            pass


PARTS = (Part("nothing", ("idle_cpu",), 7, idle),)
