"""A window that somebody configured: on its way to the host, and where a host runs already with another one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.hosting.hostfile import EngineInfo, foreword_version, json_path, take_lock, write_info
from engine.hosting.launcher import other_window, window_arguments
from engine.profiles import Choice, find
from lsp.links.engines import host_endpoint, host_of

MODEL = "smollm2-135m"
OWN = 8192


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FOREWORD_MODELS", str(tmp_path / "models"))


@pytest.fixture
def running(_home: None) -> Iterator[EngineInfo]:
    """A host of the model with its own window, as far as its lock and its file go."""
    info = EngineInfo(
        url="http://127.0.0.1:9",
        key="k",
        pid=os.getpid(),
        started_at=time.time(),
        version=foreword_version(),
        model=MODEL,
        model_hash="",
        device="cpu",
        context_tokens=OWN,
        state="ready",
    )
    with take_lock(MODEL, foreword_version()):
        write_info(info, json_path(MODEL, foreword_version()))
        yield info


def start(window: int) -> subprocess.CompletedProcess[str]:
    code = "from lsp.cli import main; main()"
    command = [sys.executable, "-I", "-c", code, "engine", "start", "--model", MODEL, "--window", str(window)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_nothing_configured_is_the_models_own() -> None:
    assert window_arguments(0) == ()
    assert window_arguments(65536) == ("--window", "65536")


def test_the_command_says_what_has_to_be_stopped_first(running: EngineInfo) -> None:
    same, other = start(OWN), start(4096)
    assert same.returncode == 0, same.stderr
    said = " ".join(other.stderr.split())
    assert other.returncode == 1
    assert "runs with a window of 8,192 tokens and not 4,096" in said
    assert f"foreword engine stop --model {MODEL}" in said


async def test_completions_go_on_with_the_window_that_there_is_and_say_so(running: EngineInfo) -> None:
    choice = Choice(find(MODEL), "cpu", "asked for")
    info = await host_of(choice, lambda _: None, 4096)
    assert info == running
    endpoint = host_endpoint(choice, info, 4096)
    try:
        assert endpoint.context_tokens == OWN
        assert endpoint.limits == [other_window(info, 4096)]
        assert "not 4,096" in endpoint.limits[0]
    finally:
        await endpoint.close()
    unasked = host_endpoint(choice, info)
    assert unasked.limits == []
    await unasked.close()


def test_a_window_that_the_model_cannot_have_is_the_reason_and_nothing_is_fetched(tmp_path: Path) -> None:
    refused = start(10_000_000)
    said = " ".join(refused.stderr.split())
    assert refused.returncode == 1
    assert f"A window of 10,000,000 tokens is larger than that of {MODEL}" in said
    assert "Configure at most that" in said
    assert not (tmp_path / "models").exists()
