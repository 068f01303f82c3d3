"""Finds a model by its name, and chooses the best one for a machine from its measured memory and cores."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from engine.models.catalogue import QWEN_SMALL, ROWS, SMOLLM
from engine.models.machine import Gpu, Machine, measure
from engine.models.model import GIB, RUNTIME_BYTES, Device, FimTokens, GgufWeights, Profile, Wheel
from engine.models.placement import gpu_bytes_needed, place
from engine.models.speed import completion_s, fast_enough

__all__ = [
    "GIB",
    "PROFILES",
    "QWEN_SMALL",
    "RUNTIME_BYTES",
    "SMOLLM",
    "Choice",
    "Device",
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

NONE_RUNS: Mapping[str, Device] = MappingProxyType({})

PROFILES: dict[str, Profile] = {profile.short: profile for profile in ROWS}
"""By short name, best first."""


class Choice(msgspec.Struct, frozen=True):
    profile: Profile
    reason: str
    device: Device
    suggestion: str = ""
    """A better model that this machine would run quickly enough if somebody asked for it; empty for none."""


class ProfileError(Exception):
    """No model fits, or not the one that was asked for; the message says what to do."""


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
        device = _default_device(machine, profile)
        if device is not None:
            why = f"{_found(machine)}, {_needs(machine, profile, device)}: {_title(profile)}"
            return Choice(profile, why, device, _suggestion(machine, profile) if device == "cpu" else "")
    least = list(PROFILES.values())[-1]
    raise ProfileError(
        f"No model fits this machine: {_found(machine)}, and the smallest, {_title(least)}, needs "
        f"{_gib(least.needed_bytes())}. Free some memory, or set engine.url to a server on another machine."
    )


def _asked_for(machine: Machine, wanted: Profile) -> Choice:
    device = _possible_device(machine, wanted)
    if device is not None:
        slow = ""
        if device == "cpu" and not fast_enough(wanted, machine):
            slow = f", and a completion may take {completion_s(wanted, machine):.0f} s on {_cores(machine)}"
        needs = _needs(machine, wanted, device)
        return Choice(wanted, f"asked for; {_found(machine)}, {needs}{slow}: {_title(wanted)}", device)
    if wanted.needs_gpu:
        raise ProfileError(
            f"{_title(wanted)} runs on a GPU and cannot run here: {_found(machine)}, "
            f"{_needs(machine, wanted, 'cuda')} ({wanted.needs_gpu}). Set engine.url to a server on a machine "
            f"that has one, or choose {QWEN_SMALL.short}, which runs without."
        )
    if machine.memory_bytes < wanted.needed_bytes():
        raise ProfileError(
            f"{_title(wanted)} cannot run here: it needs {_gib(wanted.needed_bytes())} of memory, and this "
            f"machine may use {_gib(machine.memory_bytes)} in all. Raise the limit, or set engine.url to a "
            "server elsewhere."
        )
    # Enough memory in all, too little free just now: whoever names a model may know what is about to end.
    needs = _needs(machine, wanted, "cpu")
    return Choice(wanted, f"asked for, though memory is short: {_found(machine)}, {needs}", "cpu")


def _default_device(machine: Machine, profile: Profile) -> Device | None:
    if profile.by_name_only:
        return None
    if "cuda" in profile.devices and place(profile, machine.gpus, unasked=True):
        return "cuda"
    if "cpu" in profile.devices and machine.available_bytes >= profile.needed_bytes():
        return "cpu"
    return None


def _possible_device(machine: Machine, profile: Profile) -> Device | None:
    if place(profile, machine.gpus):
        return "cuda"
    if not profile.needs_gpu and machine.available_bytes >= profile.needed_bytes():
        return "cpu"
    return None


def _suggestion(machine: Machine, chosen: Profile) -> str:
    """The best model from the hub that has room here and is as quick as the small one on a single core."""
    for profile in PROFILES.values():
        if profile is chosen:
            return ""
        fits = machine.available_bytes >= profile.needed_bytes()
        if fits and not (profile.needs_gpu or profile.by_name_only) and fast_enough(profile, machine):
            seconds = completion_s(profile, machine)
            return (
                f"{_cores(machine)} would also run {profile.short} (a short completion in some {seconds:.0f} s, "
                f"{_gib(profile.weights_bytes)} from the model hub): set foreword.model to it to have it"
            )
    return ""


def _found(machine: Machine) -> str:
    gpus = ", ".join(f"{gpu.name} ({_gib(gpu.memory_bytes)})" for gpu in machine.gpus)
    return f"{gpus or 'no GPU found'}; {_gib(machine.available_bytes)} of memory free"


def _needs(machine: Machine, profile: Profile, device: Device) -> str:
    if device == "cpu":
        return f"the model needs {_gib(profile.needed_bytes())}"
    placed = place(profile, machine.gpus)
    degree = placed.tensor_parallel if placed else profile.tensor_parallel[0]
    on = "one GPU" if degree == 1 else f"each of {degree} equal GPUs"
    return f"the model needs {_gib(gpu_bytes_needed(profile, degree))} on {on}"


def _cores(machine: Machine) -> str:
    return "1 core" if machine.cores == 1 else f"{machine.cores} cores"


def _title(profile: Profile) -> str:
    return profile.name.rpartition("/")[2]


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB"
