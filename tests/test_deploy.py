"""docs/deploy.md is true: the parsers that its command lines are for take them, its numbers are those of the rows."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.hosting.launch import sglang_arguments
from engine.models.machine import MIB
from engine.models.placement import kv_room
from engine.profiles import Gpu, Machine, find

PAGE = (Path(__file__).parent.parent / "docs" / "deploy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(text.replace("\\\n", " ")) for language, text in BLOCKS if language == "sh"]
SERVERS = [command[3:] for command in COMMANDS if command[2] == "sglang.launch_server"]
ROUTERS = [command[3:] for command in COMMANDS if command[2] == "sglang_router.launch_router"]
PARSE = Path(__file__).with_name("parse_launches.py")
TIMEOUT_S = 240

MEMORY_MIB = {
    "RTX 4060 8 GB": (8_188, 8.9),
    "RTX 4090 24 GB": (24_564, 8.9),
    "L40S 48 GB": (46_068, 8.9),
    "H100 80 GB": (81_559, 9.0),
    "H200 141 GB": (143_771, 9.0),
}
"""As nvidia-smi reports them, with their compute capability."""
BASE_TOKENS, PERSON_TOKENS, PEOPLE = 65_536, 8_192, 5
GPUS_OF_COMMAND = {
    ("qwen3-coder-30b-fp8", 262_144): 1,
    ("qwen3-coder-30b-fp8", 524_288): 2,
    ("qwen3-coder-480b-fp8", 262_144): 8,
    ("qwen3-coder-next-fp8", 262_144): 2,
}
"""Of 80 GB, by model and window; one for the others."""


def options(arguments: list[str]) -> dict[str, str]:
    """Each option with its value; switches have none."""
    found: dict[str, str] = {}
    for name, value in zip(arguments, [*arguments[1:], "--"], strict=True):
        if name.startswith("--"):
            found[name] = "" if value.startswith("--") else value
    return found


def test_the_page_has_nothing_else_to_run():
    assert len(SERVERS) == 6
    assert len(ROUTERS) == 1
    assert len(COMMANDS) == len(SERVERS) + len(ROUTERS)
    assert all(command[:2] == ["python", "-m"] for command in COMMANDS)


@pytest.mark.parametrize("arguments", SERVERS, ids=[options(line)["--served-model-name"] for line in SERVERS])
def test_servers_are_launched_as_foreword_itself_would(arguments: list[str]):
    told = options(arguments)
    profile, window = find(told["--served-model-name"]), int(told["--context-length"])
    memory = "RTX 4090 24 GB" if "7b" in profile.short else "H100 80 GB"
    gpu = Gpu(memory, MEMORY_MIB[memory][0] * MIB, MEMORY_MIB[memory][1])
    gpus = (gpu,) * GPUS_OF_COMMAND.get((profile.short, window), 1)
    here = Machine(cores=32, memory_bytes=2**40, available_bytes=2**40, gpus=gpus)
    asked = window if window > profile.context_native else None
    ours = options(sglang_arguments(profile, Path(profile.name), "cuda", here, window=asked))
    deployed = {"--config": "/etc/foreword/engine.yaml", "--host": "127.0.0.1", "--port": "30000"}
    assert told == ours | deployed


def test_sglang_takes_every_server(tmp_path: Path):
    pytest.importorskip("sglang", reason="needs the extra foreword[engine]")
    secret = tmp_path / "engine.yaml"
    secret.write_text(next(text for language, text in BLOCKS if language == "yaml"))
    lines = [
        {
            "arguments": [str(secret) if each.endswith("/engine.yaml") else each for each in line],
            "resolve": False,
        }
        for line in SERVERS
    ]
    asked = tmp_path / "launches.json"
    asked.write_text(json.dumps(lines))
    run([sys.executable, str(PARSE), str(asked)])
    got: list[dict[str, Any]] = json.loads(asked.with_suffix(".out").read_text())
    assert [result.get("error") for result in got] == [None] * len(SERVERS)
    assert [result["served_model_name"] for result in got] == [
        options(line)["--served-model-name"] for line in SERVERS
    ]
    assert {result["api_key"] for result in got} == {"replace-me-with-openssl-rand-hex-32"}


def test_the_router_takes_its_line():
    if importlib.util.find_spec("sglang_router") is None:
        pytest.skip("needs sglang-router==0.3.2")
    code = (
        "import json, sys; from sglang_router.launch_router import parse_router_args; "
        "got = parse_router_args(json.loads(sys.argv[1])); got._validate_router_args(); "
        "print(json.dumps([got.policy, got.worker_urls, got.cb_failure_threshold, got.retry_max_retries]))"
    )
    policy, workers, failures, retries = json.loads(run([sys.executable, "-c", code, json.dumps(ROUTERS[0])]))
    assert policy == "cache_aware"
    assert len(workers) == 2
    assert failures < retries, "else retries end before the dead worker's circuit opens"


def run(command: list[str]) -> str:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


ROWS = re.findall(r"^\| (\d) × (.+?) \| (\S+) \| (.+) \|$", PAGE, re.MULTILINE)


def test_the_table_is_there():
    assert len(ROWS) == 10
    assert {gpu for _, gpu, _, _ in ROWS} == set(MEMORY_MIB)


@pytest.mark.parametrize(("gpus", "gpu", "short", "cells"), ROWS)
def test_the_numbers_of_the_table(gpus: str, gpu: str, short: str, cells: str):
    profile, count = find(short), int(gpus)
    room = kv_room(profile, MEMORY_MIB[gpu][0] * MIB, count)
    base = min(BASE_TOKENS, profile.context_native // 2)
    assert cells.split(" | ") == [
        f"{profile.weights_bytes / 1e9:.1f}",
        f"{profile.kv_bytes_per_token:,}",
        f"{room:,}",
        str(room // (base + PEOPLE * PERSON_TOKENS)),
        str((room - base) // PERSON_TOKENS),
    ]
    # the page's own arithmetic, in another order than the code's
    static = count * MEMORY_MIB[gpu][0] * MIB * 0.85
    state = 32 * profile.shape.state_bytes() if profile.shape else 0
    assert room == pytest.approx(
        (static - profile.weights_bytes - state) / profile.kv_bytes_per_token, rel=1e-4
    )


def test_the_settings_on_the_page_are_understood():
    from lsp.settings import read_settings

    sections = [json.loads(text) for language, text in BLOCKS if language == "json"]
    assert sections
    for section in sections:
        read = read_settings(section)
        assert not read.complaints
        assert find(read.settings.engine.model).context_native >= read.settings.engine.context_tokens
