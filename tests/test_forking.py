"""SGLang's processes are forks of the host that hold nothing of it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
from pathlib import Path

import psutil
import pytest
from host_client import connect, generate

from engine.hosting import forking
from engine.hosting.forking import NO_FORK, Child, Forking, other_threads
from engine.paths import logs_folder
from engine.tied import PARENT_PID

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells its threads so")


def test_a_second_thread_is_seen():
    before = len(other_threads())
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert len(other_threads()) == before + 1
    end.set()
    thread.join()


def test_a_thread_that_has_just_ended_is_none(tmp_path, monkeypatch):
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    (tmp_path / "2/comm").write_text("lives\n")
    monkeypatch.setattr(forking, "TASKS", tmp_path)
    assert other_threads() == ["lives"]


@pytest.fixture
def spawning():
    """The method of starting processes that SGLang asks for."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def test_processes_are_forked_only_while_sglang_is_launched(spawning, monkeypatch):
    monkeypatch.setattr(forking, "other_threads", list)
    launch = Forking()
    launch.prefer()
    assert multiprocessing.get_start_method() == "fork"
    launch.look_again()
    assert multiprocessing.get_start_method() == "fork"
    launch.end()
    assert multiprocessing.get_start_method() == "spawn"
    gc.unfreeze()


def test_a_thread_between_two_forks_ends_forking(spawning, monkeypatch):
    threads = []
    monkeypatch.setattr(forking, "other_threads", lambda: threads)
    launch = Forking()
    launch.prefer()
    threads.append("came late")
    launch.look_again()
    assert multiprocessing.get_start_method() == "spawn"
    launch.end()
    assert multiprocessing.get_start_method() == "spawn"
    gc.unfreeze()


def test_a_fork_starts_no_forks_of_its_own(spawning, monkeypatch):
    monkeypatch.setattr(forking, "other_threads", list)
    launch = Forking()
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def tell() -> None:
        sender.send((multiprocessing.get_start_method(), int(os.environ[PARENT_PID]) == os.getpid()))

    launch.prefer()
    process = multiprocessing.Process(target=Child(tell, (), launch))
    process.start()
    launch.end()
    process.join()
    assert process.exitcode == 0
    assert receiver.recv() == ("spawn", True)
    gc.unfreeze()


def test_a_host_that_has_threads_says_that_it_does_not_fork(spawning, monkeypatch, capsys):
    monkeypatch.setattr(forking, "other_threads", lambda: ["a library's"])
    launch = Forking()
    launch.prefer()
    assert multiprocessing.get_start_method() == "spawn"
    assert 'is no fork, for the host has threads: ["a library\'s"]' in capsys.readouterr().out


@pytest.mark.engine
def test_a_host_forks(engine_host):
    """Whatever a library starts on its import would make it import everything three times over, and say nothing."""
    log = (logs_folder() / f"engine-{engine_host.model}.log").read_text("utf-8")
    assert "Linear layers: " in log
    assert NO_FORK not in log


@pytest.mark.engine
def test_a_host_imports_no_models_but_those_of_the_profiles(engine_host):
    """SGLang says of some of its own that they cannot be imported here."""
    log = (logs_folder() / f"engine-{engine_host.model}.log").read_text("utf-8")
    assert "Linear layers: " in log
    assert "Ignore import error" not in log


@pytest.mark.engine
async def test_children_hold_neither_lock_nor_port(engine_host):
    """Else a host that was killed would seem to live, and its port would stay taken, as long as they do."""
    children = psutil.Process(engine_host.pid).children()
    assert len(children) >= 2
    for child in children:
        files = [
            Path(f"/proc/{child.pid}/fd/{each.name}") for each in Path(f"/proc/{child.pid}/fd").iterdir()
        ]
        assert not any(str(file.readlink()).endswith(".lock") for file in files if file.is_symlink())
        listening = [
            each.laddr for each in child.net_connections("inet") if each.status == psutil.CONN_LISTEN
        ]
        assert not any(f":{address.port}" in engine_host.url for address in listening)
    async with connect(engine_host) as client:
        assert (await generate(client, [1, 2, 3], 2))["meta_info"]["completion_tokens"] == 2
