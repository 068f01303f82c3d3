"""What Foreword costs while nothing is asked of it: time to `initialize`, idle CPU and memory of all its processes.

`.venv/bin/python benchmarks/footprint.py [--seconds 60] [--starts 7] [--json]`. It opens this repository with the
default model, waits until index and engine are ready, and then only watches. Needs a machine without another editor
of the same user on Foreword, since the service and the engine host are shared.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
from pathlib import Path
from typing import Any

import msgspec
import psutil
from client import Editor

from benchmarks.figures import Figure
from benchmarks.processes import MB, cpu_seconds, memory

ROOT = Path(__file__).resolve().parent.parent
READY_TIMEOUT_S = 1800.0
SETTLE_S = 90.0
"""After the last work: the children that parse and embed are kept for a minute, and the store is compacted."""


def machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def ours(server_pid: int, status: dict[str, Any]) -> dict[str, int]:
    """The three processes of this run that have all others as their children."""
    return {"server": server_pid, "index": status["index"]["pid"], "engine": status["engine"]["pid"]}


async def starts(count: int) -> list[float]:
    """Seconds from the start of a server process to its answer to `initialize`, `count` times."""
    seconds: list[float] = []
    for _ in range(count):
        editor = Editor()
        await editor.start(ROOT, {"engine": {"kind": "none"}})
        seconds.append(editor.initialize_s)
        await editor.stop()
    return seconds


async def idle(seconds: float) -> tuple[dict[str, float], dict[str, float]]:
    """(share of a core, proportional MB) by part, over an idle time after everything was ready."""
    editor = Editor()
    await editor.start(ROOT)
    try:
        status = await editor.until(_ready, lambda _: None, READY_TIMEOUT_S)
        await asyncio.sleep(SETTLE_S)
        assert editor.server_pid is not None
        pids = ours(editor.server_pid, status)
        each = tuple(pids.values())
        before = {name: cpu_seconds(pid, each) for name, pid in pids.items()}
        await asyncio.sleep(seconds)
        share = {name: (cpu_seconds(pid, each) - before[name]) / seconds for name, pid in pids.items()}
        held = {name: memory(pid, each).proportional / MB for name, pid in pids.items()}
        return share, held
    finally:
        await editor.stop()


def _ready(status: dict[str, Any]) -> bool:
    """Whether all work is done: the engine answers and every chunk has its vector."""
    roots = status["index"].get("roots") or []
    whole = all(root["state"] == "ready" and root["vectors"] >= root["chunks"] for root in roots)
    return status["engine"]["state"] == "ready" and bool(roots) and whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    initialize = asyncio.run(starts(arguments.starts))
    share, held = asyncio.run(idle(arguments.seconds))
    median = statistics.median(initialize)
    figures = [
        Figure("initialize_s", median, "s", "", len(initialize), min(initialize), max(initialize)),
        Figure("idle_cpu", sum(share.values()), "cores", "", 1, sum(share.values()), sum(share.values())),
    ]
    figures += [
        Figure(f"idle_cpu_{name}", value, "cores", "", 1, value, value) for name, value in share.items()
    ]
    figures += [Figure(f"pss_{name}_mb", value, "MB", "", 1, value, value) for name, value in held.items()]
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode({"machine": machine(), "figures": figures})).decode())
        return
    for figure in figures:
        print(
            f"{figure.name:20} {figure.value:10.4f} {figure.unit}   n={figure.n} {figure.min:.4f}–{figure.max:.4f}"
        )


if __name__ == "__main__":
    main()
