"""Programs that download: their bytes are counted while they run, and they are ended when they hang."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import lives

from engine.weights.sources import SourceError, run_watched


def child(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


def test_a_child_is_watched_while_it_writes(tmp_path: Path):
    code = """
import os, time
with open(os.environ["TMPDIR"] + "/x", "wb", 0) as out:
    for _ in range(8):
        out.write(b"x" * 1000)
        time.sleep(0.15)
"""
    seen: list[int] = []
    assert run_watched(child(code), tmp_path, seen.append) is None
    assert len(seen) >= 2
    assert seen == sorted(seen)
    assert 1000 <= seen[0] <= seen[-1] <= 8000


def test_a_child_that_does_not_answer_is_ended(tmp_path: Path):
    code = "import os,time; open('pid','w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(SourceError, match="no answer within 1 s"):
        run_watched(child(code), tmp_path, lambda _: None, answer=("found", 1.0))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_child_that_stalls_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.weights.sources.STALL_S", 0.8)
    with pytest.raises(SourceError, match="stood still"):
        run_watched(
            child("print('found', flush=True); import time; time.sleep(60)"), tmp_path, lambda _: None
        )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_starter(tmp_path: Path, number: int):
    """A slow download, under a starter that ends as a host does: killed, or told to."""
    download = child("import os,time; open('pid','w').write(str(os.getpid())); time.sleep(60)")
    starter = f"""
import pathlib, signal
from engine.hosting.host import end_early
from engine.weights.sources import run_watched
signal.signal(signal.SIGTERM, end_early)
run_watched({download!r}, pathlib.Path({str(tmp_path)!r}), print)
"""
    with subprocess.Popen(child(starter), stderr=subprocess.DEVNULL) as started:
        pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
        started.send_signal(number)
    wait_for(lambda: not lives(pid))


def wait_for(condition, timeout_s: float = 20.0):
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.02)
    return result


def test_a_child_on_a_full_disk(tmp_path: Path):
    code = "import sys; f=open('/dev/full','w'); f.write('x'); f.flush()"
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError, match="No space") as caught:
        run_watched(child(code), tmp_path, lambda _: None)
    assert caught.value.errno == errno.ENOSPC
