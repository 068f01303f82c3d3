"""What the host tells about itself at `GET /foreword/host`, for `foreword engine status`."""

from __future__ import annotations

import contextlib
import time

import msgspec
import psutil

from engine.steps import Steps


class HostStatus(msgspec.Struct, frozen=True):
    """One look at a host."""

    model: str
    uptime_s: float
    requests: int
    """Prompts read since the start, the one of the warm-up among them."""
    running: int
    """Requests that prefill or decode."""
    waiting: int
    kv_free_tokens: int
    kv_total_tokens: int
    cache_hit_rate: float | None
    """Share of all prompt tokens since the start that the prefix cache had; None before the first."""
    rss_bytes: int
    """Resident memory of all processes of the host. Libraries that they share count once for each."""


def host_status(model: str, steps: Steps) -> HostStatus:
    host = psutil.Process()
    return HostStatus(
        model=model,
        uptime_s=time.time() - host.create_time(),
        requests=steps.requests,
        running=steps.running - steps.waiting,
        waiting=steps.waiting,
        kv_free_tokens=steps.kv_free_tokens,
        kv_total_tokens=steps.kv_total_tokens,
        cache_hit_rate=steps.cached_tokens / steps.prompt_tokens if steps.prompt_tokens else None,
        rss_bytes=sum(_rss_bytes(process) for process in (host, *host.children(recursive=True))),
    )


def _rss_bytes(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):  # it ended between the two looks
        return process.memory_info().rss
    return 0
