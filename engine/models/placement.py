"""On which GPUs of one machine a model fits, over how many it is split, and how much context has room beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from engine.models.machine import Gpu
from engine.models.model import Profile

STATIC_SHARE = 0.85
"""Share of a GPU's memory for weights and KV cache; the rest is for activations and CUDA graphs."""
MIN_KV_TOKENS = 32_768
"""A GPU that holds the weights but less context than this is no better than the small model."""
STATES = 32
"""Requests and snapshots whose state a model with linear attention must be able to keep."""
FP8_CAPABILITY = 8.9
"""From NVIDIA's Ada generation on, GPUs multiply in FP8; SGLang's kernels for FP8 experts want that."""

MIN_CAPABILITY = 7.5
"""SGLang's kernels are built for NVIDIA's Turing generation and later."""


class Placement(msgspec.Struct, frozen=True):
    """A model on so many equal GPUs of one machine."""

    gpu: Gpu
    tensor_parallel: int
    kv_tokens: int
    """Room of the KV cache, shared by all who use the model."""


def place(
    profile: Profile, gpus: tuple[Gpu, ...], *, unasked: bool = False, window: int | None = None
) -> Placement | None:
    """The fewest equal GPUs that hold the model and `MIN_KV_TOKENS` of context, or `window` where one is
    configured; where nothing holds that window, what comes nearest. None where the model does not fit.

    `unasked`: for a default, which must not rest on kernels that the GPU lacks, or on a guess about FP8.
    """
    least = min(profile.context_native, MIN_KV_TOKENS)
    possible = [each for each in _placements(profile, gpus, unasked) if each.kv_tokens >= least]
    enough = [each for each in possible if each.kv_tokens >= (window or least)]
    return enough[0] if enough else max(possible, key=lambda each: each.kv_tokens, default=None)


def _placements(profile: Profile, gpus: tuple[Gpu, ...], unasked: bool) -> Iterator[Placement]:
    """All that are possible, on the largest GPUs first, on few before many."""
    kinds = Counter(gpus)
    for gpu in sorted(kinds, key=lambda kind: kind.memory_bytes, reverse=True):
        if unasked and not _has_kernels(gpu, profile):
            continue
        for degree in profile.tensor_parallel:
            if degree <= kinds[gpu]:
                yield Placement(gpu, degree, kv_room(profile, gpu.memory_bytes, degree))


def _has_kernels(gpu: Gpu, profile: Profile) -> bool:
    capability = gpu.compute_capability
    if capability is None:
        return not profile.fp8
    return capability >= (FP8_CAPABILITY if profile.fp8 else MIN_CAPABILITY)


def kv_room(profile: Profile, gpu_bytes: int, tensor_parallel: int) -> int:
    """Tokens of KV cache beside the weights on each of so many GPUs; negative where the weights do not fit."""
    static = int(gpu_bytes * STATIC_SHARE)
    states = STATES * profile.shape.state_bytes() if profile.shape else 0
    room = static - (profile.weights_bytes + states) // tensor_parallel
    return room // profile.kv_bytes_per_gpu(tensor_parallel)


def gpu_bytes_needed(profile: Profile, tensor_parallel: int) -> int:
    """Memory that each of so many GPUs must have."""
    tokens = min(profile.context_native, MIN_KV_TOKENS)
    states = STATES * profile.shape.state_bytes() if profile.shape else 0
    per_gpu = (profile.weights_bytes + states) / tensor_parallel
    return int((per_gpu + tokens * profile.kv_bytes_per_gpu(tensor_parallel)) / STATIC_SHARE)
