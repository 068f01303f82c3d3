"""What a host's file says of its start, and what the launcher makes of a start that failed; no host runs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.hosting.host import Record
from engine.hosting.hostfile import (
    EngineInfo,
    State,
    foreword_version,
    json_path,
    read_file,
    take_lock,
    write_info,
)
from engine.hosting.launcher import _Child, _why_it_ended
from engine.paths import logs_folder

MODEL = "smollm2-135m"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def ended() -> Iterator[_Child]:
    """A host that has just failed, its last words in its log."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, "-I", "-c", "raise SystemExit(1)"])
        process.wait()
        (logs_folder() / f"engine-{MODEL}.log").write_text("Traceback (most recent call last):\n  its end\n")
        yield _Child(process, output)


def info(state: State, pid: int, reason: str = "") -> EngineInfo:
    return EngineInfo(
        url="",
        key="",
        pid=pid,
        started_at=time.time(),
        version=foreword_version(),
        model=MODEL,
        model_hash="",
        device="cpu",
        state=state,
        reason=reason,
    )


def test_a_reason_stands_alone(ended: _Child) -> None:
    failed = info("failed", ended.process.pid, "The disk is full.")
    write_info(failed, json_path(MODEL, foreword_version()))
    said = _why_it_ended(MODEL, ended, 1)
    assert said.splitlines() == [
        f"The engine for {MODEL} did not start. The disk is full.",
        f"Its log: {logs_folder() / f'engine-{MODEL}.log'}",
    ]


def test_without_a_reason_its_last_words_are_shown(ended: _Child) -> None:
    write_info(info("failed", ended.process.pid + 1, "another host's"), json_path(MODEL, foreword_version()))
    said = _why_it_ended(MODEL, ended, 1)
    assert "ended with code 1" in said and "its end" in said and "another" not in said


def test_it_is_downloading_only_when_there_is_something_to_fetch() -> None:
    version = foreword_version()
    with take_lock(MODEL, version) as lock:
        record = Record(info("loading", 1), lock)
        record.progress("checking", 5, 10)
        told = read_file(json_path(MODEL, version))
        assert told is not None and (told.state, told.stage, told.done) == ("downloading", "checking", 5)
        record.say("loading")
        told = read_file(json_path(MODEL, version))
        assert told is not None and (told.state, told.stage) == ("loading", "")
