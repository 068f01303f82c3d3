"""SGLang's command line for every model: what it says, and that SGLang's own parser and resolution take it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tiny_models import config_of, published_config, write_config

from engine.hosting.launch import MemoryShortError, kv_tokens, sglang_arguments
from engine.models.machine import MIB
from engine.models.placement import place
from engine.models.refusals import UnsupportedModelError, refuse_without_gpu
from engine.models.yarn import WindowError, is_extended, override_arguments, tells_extended
from engine.profiles import GIB, PROFILES, QWEN_SMALL, SMOLLM, Gpu, Machine, Profile, find

H100 = Gpu("NVIDIA H100 80GB HBM3", 81_559 * MIB, 9.0)
H200 = Gpu("NVIDIA H200", 143_771 * MIB, 9.0)
B300 = Gpu("NVIDIA B300", 288_000 * MIB, 10.3)
BESIDE = Path("models/somewhere")
PARSE = Path(__file__).with_name("parse_launches.py")


def machine(free_gib: float = 64, *gpus: Gpu, cores: int = 8) -> Machine:
    return Machine(cores, int(free_gib * GIB), int(free_gib * GIB), gpus)


def value(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


def devices(profile: Profile, extended: bool) -> list[tuple[str, Machine]]:
    """A machine of each kind that the model can run on, the smallest node of 8 that does."""
    nodes = [machine(64, *[gpu] * 8) for gpu in (H100, H200, B300)]
    window = half_way(profile) if extended else 1
    rooms = [(here, place(profile, here.gpus, window=window)) for here in nodes]
    with_gpus = next(here for here, placed in rooms if placed and placed.kv_tokens >= window)
    return [("cuda", with_gpus)] + ([] if profile.needs_gpu else [("cpu", machine(400))])


def half_way(profile: Profile) -> int:
    """A window that YaRN is needed for."""
    assert profile.context_extended is not None
    return (profile.context_native + profile.context_extended) // 2 // 1024 * 1024


LAUNCHES = [
    (short, device, here, extended)
    for short, profile in PROFILES.items()
    for extended in ([False, True] if profile.context_extended else [False])
    for device, here in devices(profile, extended)
]


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """All launches through SGLang's parser and, with the published configuration of each model beside them,
    through the resolution and validation that its server does before it loads anything; in one process, since
    SGLang takes ten seconds to import."""
    pytest.importorskip("sglang", reason="needs the extra foreword[engine]")
    folder = tmp_path_factory.mktemp("published")
    lines: list[dict[str, object]] = []
    for short, device, here, extended in LAUNCHES:
        profile = PROFILES[short]
        model = write_config(folder / short, published_config(profile))
        window = half_way(profile) if extended else None
        arguments = sglang_arguments(profile, model, device, here, window=window)
        # SGLang asks the platform whether it can snapshot states, and the platform here is no GPU
        lines.append(
            {"arguments": arguments, "resolve": profile.shape is not None and profile.shape.linear is None}
        )
    asked = folder / "launches.json"
    asked.write_text(json.dumps(lines))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(PARSE), str(asked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(asked.with_suffix(".out").read_text())


@pytest.mark.parametrize("index", range(len(LAUNCHES)), ids=[f"{s}-{d}-{e}" for s, d, _, e in LAUNCHES])
def test_sglang_takes_the_arguments(parsed: list[dict[str, Any]], index: int):
    short, device, here, extended = LAUNCHES[index]
    profile, got = PROFILES[short], parsed[index]
    assert profile.shape is not None
    assert "error" not in got, got["error"]
    assert got["served_model_name"] == short
    assert got["device"] == device
    assert got["tool_call_parser"] == profile.tool_call_parser
    window = half_way(profile) if extended else None
    placed = place(profile, here.gpus, window=window)
    degree = placed.tensor_parallel if placed and device == "cuda" else 1
    assert (got["tp_size"], got["ep_size"]) == (degree, profile.expert_parallel(degree))
    if "architectures" not in got:
        return  # parsed only, see above
    assert got["architectures"] == [profile.shape.sglang]
    assert got["context_len"] == got["context_length"]
    rope = got["rope"]
    assert rope["rope_theta"] == profile.shape.rope_theta
    if extended:
        assert got["context_len"] == half_way(profile) > profile.context_native
        assert got["max_position_embeddings"] == half_way(profile)
        assert (rope["rope_type"], rope["type"]) == ("yarn", "yarn")
        assert rope["factor"] * rope["original_max_position_embeddings"] == half_way(profile)
    else:
        assert got["context_len"] <= profile.context_native == got["max_position_embeddings"]
        assert rope["rope_type"] == "default"


def test_no_row_names_a_parser_that_sglang_is_about_to_drop(parsed: list[dict[str, Any]]):
    assert not [got["deprecated"] for got in parsed if got["deprecated"]]


@pytest.mark.parametrize(
    ("short", "window", "said"),
    [
        ("qwen3-coder-30b", 1_048_577, r"1,048,577 tokens is larger.*YaRN at most 1,048,576\. Configure"),
        ("qwen2.5-coder-7b", 200_000, r"own is 32,768, with YaRN at most 131,072"),
        ("qwen2.5-coder-0.5b", 32_769, r"which is 32,768 and cannot be extended\..*a larger window"),
        ("qwen3-coder-next", 300_000, r"262,144 and cannot be extended"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_window_larger_than_the_models_is_refused(short: str, window: int, said: str, device: str):
    with pytest.raises(WindowError, match=said):
        sglang_arguments(find(short), BESIDE, device, machine(400, *[H200] * 8), window=window)


@pytest.mark.parametrize(
    ("window", "extended"),
    [(None, False), (8_192, False), (262_144, False), (262_145, True), (1_048_576, True)],
)
def test_yarn_is_off_unless_the_window_asks_for_it(window: int | None, extended: bool):
    profile = find("qwen3-coder-30b")
    arguments = sglang_arguments(profile, BESIDE, "cuda", machine(64, *[B300] * 4), window=window)
    assert is_extended(profile, window) == tells_extended(arguments) == extended
    assert bool(override_arguments(profile, window)) == extended
    assert value(arguments, "--context-length") == str(window or profile.context_native)


def test_other_overrides_are_no_yarn():
    assert not tells_extended(["--json-model-override-args", '{"rms_norm_eps": 1e-5}'])
    assert not tells_extended([])


@pytest.mark.parametrize(
    ("device", "here", "short", "window", "said"),
    [
        ("cpu", machine(8), "qwen2.5-coder-7b", 131_072, r"needs 15\.1 GiB of free memory.*has 8\.0 GiB"),
        (
            "cpu",
            machine(40),
            "qwen2.5-coder-7b",
            131_072,
            r"takes 7\.0 GiB of KV cache.*room for [\d,]+ tokens",
        ),
        (
            "cuda",
            machine(64, H100),
            "qwen3-coder-30b",
            262_144,
            r"24\.0 GiB of KV cache.*room for 118,2\d\d tokens",
        ),
        (
            "cuda",
            machine(64, H100),
            "qwen3-coder-480b-fp8",
            None,
            r"on each of 8 equal GPUs.*has 1, the largest",
        ),
    ],
)
def test_no_room(device: str, here: Machine, short: str, window: int | None, said: str):
    with pytest.raises(MemoryShortError, match=said):
        sglang_arguments(find(short), BESIDE, device, here, window=window)


def test_a_large_window_takes_more_gpus():
    profile, here = find("qwen3-coder-30b-fp8"), machine(64, *[H100] * 2)
    assert "--tp-size" not in sglang_arguments(profile, BESIDE, "cuda", here, window=262_144)
    assert value(sglang_arguments(profile, BESIDE, "cuda", here, window=524_288), "--tp-size") == "2"


def test_the_window_told_is_what_the_pool_holds():
    on_gpu = sglang_arguments(find("qwen3-coder-30b"), BESIDE, "cuda", machine(64, H100))
    assert 100_000 < int(value(on_gpu, "--context-length")) < 262_144
    on_cpu = sglang_arguments(QWEN_SMALL, BESIDE, "cpu", machine(2))
    assert int(value(on_cpu, "--context-length")) == kv_tokens(QWEN_SMALL, machine(2)) < 32_768


def test_a_smaller_window_takes_a_smaller_pool():
    here = machine(24)
    assert kv_tokens(QWEN_SMALL, here, 4_096) == 4 * 4_096 < kv_tokens(QWEN_SMALL, here)
    assert (
        value(sglang_arguments(QWEN_SMALL, BESIDE, "cpu", here, window=4_096), "--context-length") == "4096"
    )


def test_a_gpu_that_nobody_measured_is_left_to_sglang():
    arguments = sglang_arguments(SMOLLM, BESIDE, "cuda", machine(16))
    assert (value(arguments, "--device"), value(arguments, "--context-length")) == ("cuda", "8192")


@pytest.mark.parametrize("short", [short for short, profile in PROFILES.items() if profile.needs_gpu])
def test_rows_for_gpus_are_refused_without_one(short: str):
    with pytest.raises(
        UnsupportedModelError, match=rf"{short} cannot run without a GPU: .*or run this one on a GPU"
    ):
        sglang_arguments(find(short), BESIDE, "cpu", machine(2_000))


FULL = config_of(QWEN_SMALL.shape, 1_024) if QWEN_SMALL.shape else {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"use_sliding_window": True, "sliding_window": 4_096}, "slides over a window of 4,096 tokens"),
        (
            {"use_sliding_window": None, "sliding_window": 4_096},
            "slides over a window of 4,096 tokens",
        ),  # Mistral
        (
            {"layer_types": ["full_attention", "chunked_attention"]},
            "some of its layers have chunked_attention",
        ),
        ({"layer_types": ["linear_attention", "full_attention"]}, "linear attention takes Triton kernels"),
        (
            published_config(find("qwen3-coder-next")),
            r"Qwen3NextForCausalLM in .* linear attention takes Triton",
        ),
        (published_config(find("qwen3-coder-30b-fp8")), r"weights are quantized \(fp8\)"),
        ({"is_encoder_decoder": True}, "an encoder with a decoder"),
    ],
)
def test_models_that_the_plug_in_cannot_run_are_refused_before_weights_are_read(
    changes: dict[str, Any], said: str, tmp_path: Path
):
    folder = write_config(tmp_path, FULL | changes)
    with pytest.raises(UnsupportedModelError, match=rf"{said}.*Choose a model with full causal attention"):
        sglang_arguments(SMOLLM, folder, "cpu", machine(16))
    sglang_arguments(SMOLLM, folder, "cuda", machine(16))  # on a GPU SGLang decides


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_sliding_window": False, "sliding_window": 131_072},  # as published for Qwen2.5: switched off
        {"layer_types": ["full_attention"] * 2},
    ],
)
def test_full_attention_is_not_refused(changes: dict[str, Any], tmp_path: Path):
    refuse_without_gpu(write_config(tmp_path, FULL | changes))


def test_profiles_without_a_shape_can_be_launched():
    """Weights in a folder of the user's own are known by sizes alone."""
    profile = msgspec.structs.replace(find("qwen2.5-coder-7b"), shape=None)
    arguments = sglang_arguments(profile, BESIDE, "cuda", machine(64, H100), window=65_536)
    assert "rope_theta" not in value(arguments, "--json-model-override-args")
    assert tells_extended(arguments)
