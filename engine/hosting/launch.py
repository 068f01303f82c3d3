"""How SGLang is launched for a model on a machine: its command line, the threads, and the size of the KV
pool."""

from __future__ import annotations

from pathlib import Path

from engine.cpu import DEVICE
from engine.models.placement import STATIC_SHARE, gpu_bytes_needed, place
from engine.models.refusals import ELSEWHERE, UnsupportedModelError, refuse_without_gpu
from engine.models.yarn import override_arguments
from engine.profiles import RUNTIME_BYTES, Machine, Profile

CHUNK_TOKENS_CPU = 256
"""One prefill step; an abort and a new request wait for it: about 0.15 s on two cores with AVX-512 for the 0.5B
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


class ThreadsError(Exception):
    """FOREWORD_THREADS makes no sense; the message says what does."""


class MemoryShortError(Exception):
    """The machine has no room for the model; the message says how much is missing."""


COMPARABLE_LOGPROBS = {"SGLANG_RETURN_ORIGINAL_LOGPROB": "1"}
"""Variables by which SGLang tells how probable tokens are before it divides by a request's temperature (0.5.23,
layers/sampler.py): else of two equal texts the one drawn at the lower temperature would seem the more probable."""


def cpu_environment(cores: int, threads: str | None, kernels: Path) -> dict[str, str]:
    """Variables that must stand before torch and numba load. Threads wait passively: a spinning one takes the
    editor's core. How many compute is measured later (`engine.cpu.threads`), unless `threads` (FOREWORD_THREADS) says.

    `kernels` is the folder in which compiled kernels are kept. Raises ThreadsError where `threads` is no number.
    """
    if threads and not (threads.isdigit() and int(threads)):
        raise ThreadsError(
            f"FOREWORD_THREADS is {threads!r}; give a whole number from 1 on, or leave it unset."
        )
    return {
        "OMP_NUM_THREADS": threads or str(cores),
        "MKL_NUM_THREADS": threads or str(cores),
        "OPENBLAS_NUM_THREADS": "1",  # numpy's has nothing to do here, and a host with its threads could not fork
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "NUMBA_CACHE_DIR": str(kernels),
        DEVICE: "cpu",  # the others hide what the machine may have beside it
        "CUDA_VISIBLE_DEVICES": "",
        "HIP_VISIBLE_DEVICES": "",
        "ZE_AFFINITY_MASK": "",
    }


def kv_tokens(profile: Profile, machine: Machine, window: int | None = None) -> int:
    """Size of the KV pool on a CPU, for windows of the model's own size or of the configured one. Raises
    MemoryShortError where it would be too small to be of use."""
    window = window or profile.context_native
    beside_weights = max(0, machine.available_bytes - profile.weights_bytes)
    room = max(
        # what `Profile.needed_bytes` counts on, as long as that is no more than the share of all there is
        min(window * profile.kv_bytes_per_token, int(beside_weights * KV_SHARE_OF_AVAILABLE)),
        int((beside_weights - RUNTIME_BYTES) * KV_SHARE_OF_AVAILABLE),
    )
    tokens = min(KV_WINDOWS * window, room // profile.kv_bytes_per_token)
    least = min(KV_MIN_TOKENS, window)
    if tokens < least:
        needed = profile.weights_bytes + least * profile.kv_bytes_per_token / KV_SHARE_OF_AVAILABLE
        raise MemoryShortError(
            f"{profile.short} needs {needed / 2**30:.1f} GiB of free memory and this machine has "
            f"{machine.available_bytes / 2**30:.1f} GiB. Close something, or use an engine elsewhere."
        )
    return tokens


def sglang_arguments(
    profile: Profile, folder: Path, device: str, machine: Machine, *, window: int | None = None
) -> list[str]:
    """SGLang's command line, without the address and the key.

    `window` in tokens, where somebody configured one; past the model's own it turns YaRN on
    (`engine.models.yarn.tells_extended` finds that in the result). Raises WindowError, MemoryShortError and
    UnsupportedModelError.
    """
    common = [
        *("--model-path", str(folder)),
        *("--served-model-name", profile.short),
        *("--log-level", "warning"),
        "--sleep-on-idle",
        "--enable-priority-scheduling",
        "--enable-cache-report",
        *(("--tool-call-parser", profile.tool_call_parser) if profile.tool_call_parser else ()),
        *override_arguments(profile, window),
        *profile.sglang_args,
    ]
    if device != "cpu":
        return [*common, *_gpu_arguments(profile, machine, window)]
    if profile.needs_gpu:
        raise UnsupportedModelError(
            f"{profile.short} cannot run without a GPU: {profile.needs_gpu}. {ELSEWHERE}"
        )
    refuse_without_gpu(folder)
    tokens = kv_tokens(profile, machine, window)
    return [
        *common,
        *("--device", "cpu"),
        *("--attention-backend", "foreword"),
        *("--sampling-backend", "pytorch"),
        *("--context-length", str(_context(profile, tokens, window))),
        *("--max-total-tokens", str(tokens)),
        *("--max-running-requests", str(MAX_RUNNING_CPU)),
        *("--chunked-prefill-size", str(CHUNK_TOKENS_CPU)),
        "--disable-overlap-schedule",  # nothing to overlap with: the CPU is the device
    ]


def _gpu_arguments(profile: Profile, machine: Machine, window: int | None) -> list[str]:
    """How the model is laid over the machine's GPUs. Where none was found (another vendor's, say) the device was
    asked for by name: SGLang sees for itself."""
    placed = place(profile, machine.gpus, window=window)
    if placed is None and machine.gpus:
        largest = max(gpu.memory_bytes for gpu in machine.gpus)
        raise MemoryShortError(
            f"{profile.short} needs {gpu_bytes_needed(profile, profile.tensor_parallel[-1]) / 2**30:.1f} GiB on each "
            f"of {profile.tensor_parallel[-1]} equal GPUs, and this machine has {len(machine.gpus)}, the largest "
            f"of {largest / 2**30:.1f} GiB. Choose a smaller model, or use an engine elsewhere."
        )
    degree = placed.tensor_parallel if placed else profile.tensor_parallel[0]
    room = placed.kv_tokens if placed else window or profile.context_native
    groups = profile.expert_parallel(degree)
    return [
        *("--device", "cuda"),
        *("--context-length", str(_context(profile, room, window))),
        *("--mem-fraction-static", str(STATIC_SHARE)),
        *(("--tp-size", str(degree)) if degree > 1 else ()),
        *(("--ep-size", str(groups)) if groups > 1 else ()),
    ]


def _context(profile: Profile, pool_tokens: int, window: int | None) -> int:
    """The longest prompt with its answer: the window, or what the KV pool holds where nobody named a window."""
    if window is None:
        return min(profile.context_native, pool_tokens)
    if window > pool_tokens:
        raise MemoryShortError(
            f"A window of {window:,} tokens of {profile.short} takes "
            f"{window * profile.kv_bytes_per_token / 2**30:.1f} GiB of KV cache, and this machine has room for "
            f"{pool_tokens:,} tokens. Configure a window of at most that."
        )
    return window
