"""What a reader of the figures must know of the machine: its processor, its versions, and how quiet it was."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

TELLING_FLAGS = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
"""Instructions that decide how fast a matrix product of small numbers is."""
BUSY_LOAD_PER_CORE = 0.25
BUSY_STEAL_SHARE = 0.02
"""With more than this others were at work, and the figures are worse and less even than they could be."""
ENGINE_PACKAGES = ("foreword", "sglang", "torch", "transformers")


def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty where there is none (not Linux)."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return {}
    first = file.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def cpu_flags() -> set[str]:
    info = _cpuinfo()
    return set((info.get("flags") or info.get("Features") or "").split())


def steal_s() -> float:
    """Seconds that other guests of the same host have taken from this one since it started."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def machine_before(packages: tuple[str, ...] = ENGINE_PACKAGES) -> dict[str, Any]:
    """All that is known before anything is started; `packages` are those whose versions count."""
    info, flags = _cpuinfo(), cpu_flags()
    return {
        "system": platform.platform(),
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "cpu_flags": [flag for flag in TELLING_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "available_bytes_before": psutil.virtual_memory().available,
        "load_average_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def noise(load_before: float, steal_share: float, cores: int) -> str:
    """One sentence about who else was at work; empty where nobody was."""
    told: list[str] = []
    if load_before > BUSY_LOAD_PER_CORE * cores:
        told.append(f"the load average was {load_before:.2f} before the run")
    if steal_share > BUSY_STEAL_SHARE:
        told.append(f"{steal_share:.0%} of the processors' time went to other guests of the host")
    return f"Noisy: {' and '.join(told)}; repeat on a quiet machine." if told else ""


def machine_after(machine: dict[str, Any], steal_before_s: float, elapsed_s: float) -> dict[str, Any]:
    """What is known of a run when it is over; `machine` is what `machine_before` told."""
    cores = os.cpu_count() or 1
    steal_share = (steal_s() - steal_before_s) / (elapsed_s * cores)
    return {
        "steal_share": round(steal_share, 4),
        "noise": noise(machine["load_average_before"], steal_share, cores),
        "seconds": round(elapsed_s, 1),
    }
