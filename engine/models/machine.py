"""What this machine has to run a model on: cores, free memory and GPUs, measured without torch."""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec
import psutil

log = logging.getLogger(__name__)

NVIDIA_SMI_TIMEOUT_S = 5.0
"""It answers in well under a second; a driver in trouble can keep it for ever."""
NO_ANSWER = "nvidia-smi is there but gives no answer, so no GPU is used: %s"
MIB = 1024**2
CGROUP_MOUNT = Path("/sys/fs/cgroup")
CGROUP_OF_SELF = Path("/proc/self/cgroup")


class Gpu(msgspec.Struct, frozen=True):
    name: str
    memory_bytes: int
    compute_capability: float | None = None
    """NVIDIA's number of what its cores can do, such as 8.9; None where the driver does not tell."""


class Machine(msgspec.Struct, frozen=True):
    """What this process may use: the machine's, or less where a container's limit is lower."""

    cores: int
    memory_bytes: int
    available_bytes: int
    gpus: tuple[Gpu, ...] = ()


class MemoryLimit(msgspec.Struct, frozen=True):
    limit_bytes: int
    free_bytes: int


def measure() -> Machine:
    """Look at this machine now. Takes some milliseconds, or `NVIDIA_SMI_TIMEOUT_S` where a driver hangs."""
    memory = psutil.virtual_memory()
    limits = list(cgroup_limits(CGROUP_MOUNT, CGROUP_OF_SELF))
    return Machine(
        cores=usable_cores(CGROUP_MOUNT, CGROUP_OF_SELF),
        memory_bytes=min([memory.total, *(limit.limit_bytes for limit in limits)]),
        available_bytes=min([memory.available, *(limit.free_bytes for limit in limits)]),
        gpus=tuple(nvidia_gpus()),
    )


def usable_cores(mount: Path, of_self: Path) -> int:
    """Cores that this process may run on, or as many as its quota of time is worth: of more threads than that, all
    are stopped together once it is used up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(quota) for quota in cpu_quotas(mount, of_self))]))


def nvidia_gpus() -> list[Gpu]:
    """Graphics processors as `nvidia-smi` lists them; none where it is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        return parse_nvidia_smi(_ask(program, "name,memory.total,compute_cap"))
    except subprocess.CalledProcessError:  # a driver from before 2022 knows no such field
        log.info("nvidia-smi does not tell the compute capability; models in FP8 are not chosen unasked")
    except (subprocess.SubprocessError, OSError) as error:
        log.warning(NO_ANSWER, error)
        return []
    try:
        return parse_nvidia_smi(_ask(program, "name,memory.total"))
    except (subprocess.SubprocessError, OSError) as error:
        log.warning(NO_ANSWER, error)
        return []


def _ask(nvidia_smi: str, fields: str) -> str:
    query = [nvidia_smi, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=NVIDIA_SMI_TIMEOUT_S, check=True)
    return done.stdout


def parse_nvidia_smi(text: str) -> list[Gpu]:
    """Lines of `NAME, MEBIBYTES` or `NAME, MEBIBYTES, CAPABILITY`. A line without a size (`[N/A]` on shared-memory
    boards) is left out."""
    return [gpu for line in text.splitlines() if (gpu := _parse_row(line)) is not None]


def _parse_row(line: str) -> Gpu | None:
    rest, _, last = line.rpartition(",")
    capability = float(last) if re.fullmatch(r"\s*\d+\.\d+\s*", last) else None
    name, _, size = (line if capability is None else rest).rpartition(",")
    return Gpu(name.strip(), int(size) * MIB, capability) if size.strip().isdigit() else None


def cgroup_limits(mount: Path, of_self: Path) -> Iterator[MemoryLimit]:
    """Memory limits of the control groups that this process is in, and of all groups above them.

    Reads version 2 (`memory.max`) and version 1 (`memory.limit_in_bytes`); see the kernel's
    admin-guide/cgroup-v2 and cgroup-v1/memory. Inside a container the own group often is the mount itself,
    which is why the mount is looked at too.
    """
    for group, version in _groups(mount, of_self, "memory"):
        limit = _limit(group, *_MEMORY_FILES[version])
        if limit is not None:
            yield limit


def cpu_quotas(mount: Path, of_self: Path) -> Iterator[float]:
    """Cores that the same groups' quotas of time are worth: version 2 has quota and period in `cpu.max`, version 1
    in `cpu.cfs_quota_us` and `cpu.cfs_period_us`; see the kernel's scheduler/sched-bwc."""
    for group, version in _groups(mount, of_self, "cpu"):
        if version == 2:
            quota, _, period = _read(group / "cpu.max").strip().partition(" ")
        else:
            quota, period = (_read(group / f"cpu.cfs_{each}_us").strip() for each in ("quota", "period"))
        if quota.isdigit() and period.isdigit() and int(period):  # "max" and -1 are no limit
            yield int(quota) / int(period)


_MEMORY_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""By version: limit, usage, and the line of memory.stat that says what is given back under pressure."""


def _groups(mount: Path, of_self: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Folders of the groups that this process is in and of all above them, each with the version of its files."""
    for line in _read(of_self).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, version = mount, 2
        elif controller in controllers.split(","):
            root, version = mount / controller, 1
        else:
            continue
        own = PurePosixPath(path.lstrip("/"))
        for group in (own, *own.parents):
            yield root / group, version


def _limit(group: Path, limit_name: str, usage_name: str, reclaimable_name: str) -> MemoryLimit | None:
    limit, usage = _read(group / limit_name).strip(), _read(group / usage_name).strip()
    if not (limit.isdigit() and usage.isdigit()):  # "max" is no limit
        return None
    stat = dict(line.split(" ", 1) for line in _read(group / "memory.stat").splitlines())
    used = int(usage) - int(stat.get(reclaimable_name, "0"))  # cached files are given back under pressure
    return MemoryLimit(int(limit), max(0, int(limit) - used))


def _read(path: Path) -> str:
    """A small file of the kernel, or nothing: absent ones are normal (another version, another system)."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
