"""How SGLang is launched for a model on a machine: its command line, the threads, and the size of the KV
pool."""

from __future__ import annotations

from pathlib import Path

from engine.profiles import RUNTIME_BYTES, Machine, Profile

CHUNK_TOKENS_CPU = 256
"""One prefill step; an abort and a new request wait for it: 0.3 to 0.6 s on one AMX core for the 0.5B
model."""
MAX_RUNNING_CPU = 8
"""Requests in one batch: the interactive ones of a few editors and what is prefetched for them."""
KV_WINDOWS = 4
"""Full windows worth caching: one per repository that a person works in, and room for what is about to be
evicted."""
KV_SHARE_OF_AVAILABLE = 0.25
"""The machine belongs to its user: of what is free beside the model and its processes, this much is for
the KV pool, or one window where that is more."""
KV_MIN_TOKENS = 4096
"""Less than this and a prompt hardly holds more than the open file."""
MAX_THREADS = 16
"""More threads than this only wait for one another at the row counts of completions."""


class MemoryShortError(Exception):
    """The machine has no room for the model; the message says how much is missing."""


def threads_for(machine: Machine, override: str | None) -> int:
    """OpenMP threads of the scheduler: one core is left to the editor, and `override` (FOREWORD_THREADS)
    decides."""
    if override:
        return max(1, int(override))
    return max(1, min(machine.cores - 1, MAX_THREADS))


def thread_environment(threads: int) -> dict[str, str]:
    """Variables that must stand before torch loads. Threads wait passively: a spinning one takes the editor's
    core."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }


def kv_tokens(profile: Profile, machine: Machine) -> int:
    """Size of the KV pool on a CPU. Raises MemoryShortError where it would be too small to be of use."""
    beside_weights = max(0, machine.available_bytes - profile.weights_bytes)
    window = profile.context_native * profile.kv_bytes_per_token
    room = max(
        # what `Profile.needed_bytes` counts on, as long as that is no more than the share of all there is
        min(window, int(beside_weights * KV_SHARE_OF_AVAILABLE)),
        int((beside_weights - RUNTIME_BYTES) * KV_SHARE_OF_AVAILABLE),
    )
    tokens = min(KV_WINDOWS * profile.context_native, room // profile.kv_bytes_per_token)
    if tokens < KV_MIN_TOKENS:
        least_kv_bytes = KV_MIN_TOKENS * profile.kv_bytes_per_token
        needed = profile.weights_bytes + least_kv_bytes / KV_SHARE_OF_AVAILABLE
        raise MemoryShortError(
            f"{profile.short} needs {needed / 2**30:.1f} GiB of free memory and this machine has "
            f"{machine.available_bytes / 2**30:.1f} GiB. Close something, or use an engine elsewhere."
        )
    return tokens


def sglang_arguments(profile: Profile, folder: Path, device: str, machine: Machine) -> list[str]:
    """SGLang's command line, without the address and the key."""
    common = [
        *("--model-path", str(folder)),
        *("--served-model-name", profile.short),
        *("--log-level", "warning"),
        "--sleep-on-idle",
        "--enable-priority-scheduling",
        "--enable-cache-report",
    ]
    if device != "cpu":
        return [*common, "--context-length", str(profile.context_native), *profile.sglang_args]
    tokens = kv_tokens(profile, machine)
    return [
        *common,
        *("--device", "cpu"),
        *("--attention-backend", "foreword"),
        *("--sampling-backend", "pytorch"),
        *("--context-length", str(min(profile.context_native, tokens))),
        *("--max-total-tokens", str(tokens)),
        *("--max-running-requests", str(MAX_RUNNING_CPU)),
        *("--chunked-prefill-size", str(CHUNK_TOKENS_CPU)),
        "--disable-overlap-schedule",  # nothing to overlap with: the CPU is the device
    ]
