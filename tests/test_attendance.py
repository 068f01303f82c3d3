"""When a host leaves: it has drained, nobody asks, or nobody can find it any more."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from engine.endpoints import token_body
from engine.hosting import attendance as rules
from engine.hosting.attendance import Attendance
from engine.hosting.host import Record
from engine.hosting.hostfile import EngineInfo, json_path, lock_path, still_in_place, take_lock, version_key

INFO = EngineInfo(
    url="", key="k", pid=os.getpid(), started_at=0.0, version="1.0", model="m", model_hash="", device="cpu",
    state="ready",
)  # fmt: skip


def attended(app, *, idle_exit_s=3600.0, still_known=lambda: True, on_draining=lambda: None) -> Attendance:
    made = Attendance(
        app,
        idle_exit_s=idle_exit_s,
        clock=time.monotonic,
        still_known=still_known,
        on_draining=on_draining,
    )
    made.mark_ready()
    return made


async def until_released(scope, receive, send):
    await scope["release"].wait()


async def test_a_host_that_nobody_finds_finishes_and_leaves(monkeypatch):
    monkeypatch.setattr(rules, "LOOK_AT_FOLDER_S", 0.02)
    known, told, release = [True], [], asyncio.Event()
    host = attended(until_released, still_known=lambda: known[0], on_draining=lambda: told.append("draining"))
    leaving = asyncio.create_task(host.until_unneeded())
    request = asyncio.create_task(host({"type": "http", "path": "/generate", "release": release}, None, None))
    await asyncio.sleep(0.1)
    assert not host.draining and not leaving.done()
    known[0] = False
    await asyncio.sleep(0.1)
    assert host.draining and told == ["draining"] and not leaving.done(), "what runs is finished"
    release.set()
    await request
    assert await asyncio.wait_for(leaving, 1) == "drained"


async def test_whoever_only_looks_does_not_keep_the_host():
    """Neither by asking again and again, nor by a question that is open."""
    now_s, release = [0.0], asyncio.Event()
    host = Attendance(
        until_released,
        idle_exit_s=10,
        clock=lambda: now_s[0],
        still_known=lambda: True,
        on_draining=lambda: None,
    )
    host.mark_ready()
    open_look = asyncio.create_task(
        host({"type": "http", "path": "/foreword/host", "release": release}, None, None)
    )
    await asyncio.sleep(0)
    done = asyncio.Event()
    done.set()
    now_s[0] = 11.0
    for path in ("/foreword/host", "/foreword/steps"):
        await host({"type": "http", "path": path, "release": done}, None, None)
    assert await asyncio.wait_for(host.until_unneeded(), 1) == "no request for 11 s"
    await host({"type": "http", "path": "/generate", "release": done}, None, None)
    leaving = asyncio.create_task(host.until_unneeded())
    await asyncio.sleep(0.05)
    assert not leaving.done(), "a request is work"
    leaving.cancel()
    release.set()
    await open_look


@pytest.mark.parametrize("path", ["/generate", token_body.PATH, "/v1/completions", "/abort_requests"])
async def test_a_draining_host_refuses_by_name(path):
    host, sent = attended(until_released), []
    host.drain()

    async def send(message):
        sent.append(message)

    await host({"type": "http", "path": path}, None, send)
    assert sent[0]["status"] == 503 and json.loads(sent[1]["body"])["error"] == "draining"


@pytest.mark.parametrize("path", ["/foreword/host", "/foreword/steps", "/foreword/drain", "/abort_request"])
async def test_a_draining_host_can_be_watched_and_what_runs_be_cancelled(path):
    done = asyncio.Event()
    done.set()
    host = attended(until_released)
    host.drain()
    await host({"type": "http", "path": path, "release": done}, None, None)


@pytest.fixture
def runtime(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "foreword"


def test_a_successor_in_a_new_folder_is_left_alone(runtime):
    with take_lock("m", "1.0") as old:
        record = Record(INFO, old)
        assert record.still_known() and json_path("m", "1.0").exists()
        shutil.rmtree(runtime)
        assert not still_in_place(old, lock_path("m", "1.0"))
        record.say("draining")
        assert not [*runtime.iterdir()], "nobody would read it"
        with take_lock("m", "1.0") as new:
            successor = Record(INFO, new)
            record.say("draining")
            record.remove()
            assert (
                successor.still_known() and json.loads(json_path("m", "1.0").read_bytes())["state"] == "ready"
            )
            assert not record.still_known()


@pytest.mark.parametrize(("older", "newer"), [("0.9", "0.10"), ("0.1.0", "0.1.1"), ("1.9.9", "2.0")])
def test_versions_have_an_order(older, newer):
    assert version_key(older) < version_key(newer)
