"""What the host tells about itself at `GET /foreword/host`, for `foreword engine status`."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from engine.cpu.facts import Facts
from engine.hosting.steps import StepPage
from engine.scheduler.workspaces import kv_share_tokens

Kind = Literal["server", "scheduler", "detokenizer", "other"]
KIB = 1024


class ProcessMemory(msgspec.Struct, frozen=True):
    """Of all processes of one kind."""

    rss_bytes: int
    """Resident. Libraries that processes share count once for each."""
    pss_bytes: int | None
    """Their proportional share: sums up to what the machine really gave. None where the system does not tell."""


class HostStatus(msgspec.Struct, frozen=True):
    """One look at a host."""

    model: str
    uptime_s: float
    requests: int
    """Prompts read since the start, the one of the warm-up among them."""
    running: int
    """Requests that prefill or decode."""
    waiting: int
    gave_way: int
    """Prompts that were put back for something more urgent, since the start."""
    kv_free_tokens: int
    kv_total_tokens: int
    workspaces: int
    """Seen in the last ten minutes; callers who do not name theirs count as one."""
    kv_share_tokens: int
    """Of each of them (see `engine.scheduler.workspaces`)."""
    cache_hit_rate: float | None
    """Share of all prompt tokens since the start that the prefix cache had; None before the first."""
    rss_bytes: int
    """Resident memory of all processes of the host. Libraries that they share count once for each."""
    processes: dict[Kind, ProcessMemory]
    threads: int
    linears: str
    speculation: str
    why: str
    """Why these threads and linear layers, in words."""
    window_extended: bool
    """Whether YaRN is on, for a window past the model's own."""


def host_status(
    model: str, page: StepPage, *, live_workspaces: int, facts: Facts, window_extended: bool
) -> HostStatus:
    host = psutil.Process()
    processes = memory_by_kind(host)
    steps = page.read()  # last, for what it tells is over soonest
    return HostStatus(
        model=model,
        uptime_s=time.time() - host.create_time(),
        requests=steps.requests,
        running=steps.running - steps.waiting,
        waiting=steps.waiting,
        gave_way=steps.gave_way,
        kv_free_tokens=steps.kv_free_tokens,
        kv_total_tokens=steps.kv_total_tokens,
        workspaces=live_workspaces,
        kv_share_tokens=kv_share_tokens(steps.kv_total_tokens, live_workspaces),
        cache_hit_rate=steps.cached_tokens / steps.prompt_tokens if steps.prompt_tokens else None,
        rss_bytes=sum(memory.rss_bytes for memory in processes.values()),
        processes=processes,
        threads=facts.threads or int(os.environ.get("OMP_NUM_THREADS", "0")),
        linears=facts.linears,
        speculation=facts.speculation,
        why=facts.why,
        window_extended=window_extended,
    )


def memory_by_kind(host: psutil.Process) -> dict[Kind, ProcessMemory]:
    found: dict[Kind, list[ProcessMemory]] = {"server": [memory_of(host)]}
    for child in host.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended between the two looks
            found.setdefault(kind_of(child), []).append(memory_of(child))
    return {kind: summed(parts) for kind, parts in found.items()}


def kind_of(process: psutil.Process) -> Kind:
    """SGLang names its processes; multiprocessing's resource tracker is what is left."""
    title = " ".join(process.cmdline())
    if "sglang::scheduler" in title:
        return "scheduler"
    return "detokenizer" if "sglang::detokenizer" in title else "other"


def memory_of(process: psutil.Process) -> ProcessMemory:
    return ProcessMemory(process.memory_info().rss, pss_bytes(process.pid))


def pss_bytes(pid: int) -> int | None:
    """From Linux's `smaps_rollup` (proc_pid_smaps(5))."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # no Linux, or the process has ended
        return None
    sizes = [int(line.split()[1]) * KIB for line in lines if line.startswith("Pss:")]
    return sizes[0] if sizes else None


def summed(parts: list[ProcessMemory]) -> ProcessMemory:
    shares = [part.pss_bytes for part in parts if part.pss_bytes is not None]
    return ProcessMemory(
        sum(part.rss_bytes for part in parts), sum(shares) if len(shares) == len(parts) else None
    )
